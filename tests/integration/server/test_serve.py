"""The life of a server: what SIGTERM does, in which order, and that half a server never goes on."""

import asyncio
import dataclasses
import gc
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import psycopg
import pytest
from websockets.asyncio.client import connect

from rowcast.core.clock import SystemClock
from rowcast.core.errors import ConfigError, StoreError
from rowcast.core.telemetry import listening as hearing
from rowcast.observe.health import Health
from rowcast.realtime.authorize import sign_token
from rowcast.server.app import open_app
from rowcast.server.failure import refusal_in
from rowcast.server.serve import Server
from tests.integration.server.processes import JWT_SECRET, started
from tests.integration.server.running import running, settings_for

SLOW_PACK = """
import asyncio
from rowcast import Pack, rule, task

@task(name="slow.short", timeout_s=60.0)
async def short(event):
    await asyncio.sleep(2.0)
    return {"done": True}

@task(name="slow.long", timeout_s=600.0)
async def long(event):
    await asyncio.sleep(600.0)

pack = Pack(name="slow", tasks=(short, long), rules=(
    rule("slow.short", ("slow.started",), sink="jobs", target="slow.short"),
    rule("slow.long", ("slow.started",), sink="jobs", target="slow.long"),
))
"""
DELIVERIES = "select target, status, leased_by is not null from rowcast.delivery order by target"


def wait_for(found: Callable[[], Any], seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (answer := found()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return answer


def readiness(port: int) -> int:
    try:
        with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as reply:
            return int(reply.status)
    except HTTPError as error:
        with error:
            return error.code
    except OSError:
        return 0


async def close_code(url: str, joined: asyncio.Event) -> int | None:
    async with connect(url) as socket:
        joined.set()
        await socket.wait_closed()
        return socket.close_code


async def test_sigterm_ends_a_server_in_the_order_that_loses_nothing(dsn: str, tmp_path: Path) -> None:
    (tmp_path / "slow_pack.py").write_text(SLOW_PACK)
    token = sign_token({"role": "authenticated", "tenant_id": "acme", "exp": int(time.time()) + 86_400}, JWT_SECRET)
    with (
        psycopg.connect(dsn, autocommit=True) as connection,
        started(
            "serve", "--database", dsn, "--port", "0", "--feed", "claim", folder=tmp_path,
            ROWCAST_PACKS="slow_pack", ROWCAST_SERVER__SHUTDOWN_GRACE_S="5",
        ) as process,
    ):  # fmt: skip
        port = (await asyncio.to_thread(process.until, "server.listening"))["port"]
        joined = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            url = f"ws://127.0.0.1:{port}/realtime/v1/websocket?apikey={token}&vsn=2.0.0"
            closed = group.create_task(close_code(url, joined))
            await joined.wait()
            connection.execute("select rowcast.emit('acme', 'slow.started', '{}'::jsonb)")
            rows = lambda: connection.execute(DELIVERIES).fetchall()  # noqa: E731
            await asyncio.to_thread(wait_for, lambda: [row[1] for row in rows()] == ["running", "running"])

            process.signal(signal.SIGTERM)
            await asyncio.to_thread(process.until, "server.stopping")
            assert await asyncio.to_thread(wait_for, lambda: readiness(port)) == 503
            code, _, err = await asyncio.to_thread(process.end)

        assert code == 0, err
        assert closed.result() == 1012
        assert rows() == [("slow.long", "waiting", False), ("slow.short", "delivered", False)]
        assert connection.execute("select count(*) from rowcast.attempt where outcome = 'lost'").fetchone() == (0,)
        assert "Traceback" not in err


async def test_a_server_without_work_ends_at_once(dsn: str) -> None:
    async with running(dsn, roles=("gateway", "relay", "delivery"), server__shutdown_grace_s=60.0) as server:
        loop = asyncio.get_running_loop()
        before = loop.time()
        server.server.stop()
        await server.task

    assert loop.time() - before < 10


class Broken:
    """A relay or runner that ends by an error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def run(self) -> None:
        raise self._error


@pytest.mark.parametrize("part", ["relay", "runner"])
async def test_a_relay_or_runner_that_crashes_ends_the_server(dsn: str, part: str) -> None:
    settings = settings_for(dsn, ("relay", "delivery"))
    async with open_app(settings, database_url=dsn, packs=()) as app:
        broken: Any = Broken(ZeroDivisionError("a fault"))
        half = dataclasses.replace(app, **{"relay": None, "archive": None, "runner": None, part: broken})
        server = Server(half, health=Health(clock=SystemClock()), listener=None, authorizer=None, routes=())

        with pytest.raises(ExceptionGroup) as ended:
            async with asyncio.timeout(20):
                await server.run()

    assert refusal_in(ended.value) is None
    assert ended.value.subgroup(ZeroDivisionError) is not None


async def test_what_only_the_operator_can_correct_comes_out_as_that(dsn: str) -> None:
    settings = settings_for(dsn, ("relay",))
    async with open_app(settings, database_url=dsn, packs=()) as app:
        broken: Any = Broken(ConfigError("set wal_level", code="config.wal_level"))
        half = dataclasses.replace(app, relay=broken)
        server = Server(half, health=Health(clock=SystemClock()), listener=None, authorizer=None, routes=())

        with pytest.raises(ExceptionGroup) as ended:
            await server.run()

    refusal = refusal_in(ended.value)
    assert refusal is not None
    assert refusal.code == "config.wal_level"


async def test_a_duty_that_fails_begins_again(dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowcast.server.serve._DUTY_PAUSE_S", 0.01)
    told: list[str] = []
    calls: list[int] = []

    async with open_app(settings_for(dsn, ("delivery",)), database_url=dsn, packs=()) as app:
        server = Server(app, health=Health(clock=SystemClock()), listener=None, authorizer=None, routes=())

        async def duty() -> None:
            calls.append(1)
            if len(calls) < 3:
                raise StoreError("in the way", code="store.contended")
            server.stop()

        with hearing(lambda name, _: told.append(name)):
            await server.run(duties=[duty])

    assert len(calls) == 3
    assert told.count("server.duty_failed") == 2


@pytest.fixture
def thawed() -> Iterator[None]:
    """Nothing is frozen, as in a process that begins."""
    gc.unfreeze()
    yield
    gc.collect()
    gc.freeze()


async def test_the_collector_is_as_it_was_after_a_server(thawed: None, dsn: str) -> None:
    before = gc.get_threshold()
    async with running(dsn, roles=("delivery",)):
        frozen, during = gc.get_freeze_count(), gc.get_threshold()

    assert frozen > 10_000
    assert during[0] > before[0]
    assert (gc.get_freeze_count(), gc.get_threshold()) == (0, before)


async def test_the_collector_of_who_has_frozen_already_is_left_alone(thawed: None, dsn: str) -> None:
    gc.freeze()
    before, threshold = gc.get_freeze_count(), gc.get_threshold()

    async with running(dsn, roles=("delivery",)):
        during = gc.get_freeze_count()
        assert gc.get_threshold() == threshold

    assert 0 < during <= before
    assert 0 < gc.get_freeze_count() <= before
