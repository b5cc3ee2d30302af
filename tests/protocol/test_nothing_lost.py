"""Stock clients, unchanged, lose nothing: not by connections that are aborted, and not by a server that is killed.

A real `rowcast serve` behind a proxy; 2,000 events go into the database while the proxy aborts every connection five
times, or the server is killed. A client that asks to be recovered gets all of them, in order.
"""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from realtime import AsyncRealtimeClient

from rowcast.realtime.authorize import sign_token
from tests.integration.server.processes import JWT_SECRET
from tests.protocol.aborting_proxy import Proxy, proxied
from tests.protocol.js_client import js_client
from tests.protocol.served import Served, serving

MESSAGES = 2000
BATCH = 5
PAUSE_S = BATCH / 220
ABORTS = 5
TOPIC = "tenant:acme"
PATIENCE_S = 60.0

Trouble = Callable[[int], Awaitable[None]]
"""What happens when so many messages were sent."""


class Heard:
    """What a client's application has heard: the number in each message, and its `meta.id`."""

    def __init__(self) -> None:
        self.messages: list[tuple[int, str]] = []
        self._changed = asyncio.Event()

    def take(self, message: dict[str, Any]) -> None:
        """Keep one message."""
        self.messages.append((message["payload"]["payload"]["n"], message["meta"]["id"]))
        self._changed.set()

    @property
    def lost(self) -> set[int]:
        """Give the numbers that never came."""
        return set(range(MESSAGES)) - {number for number, _ in self.messages}

    @property
    def duplicates(self) -> int:
        """Give how many came more than once."""
        return len(self.messages) - len({number for number, _ in self.messages})

    async def whole(self) -> None:
        """Wait until nothing is missing."""
        async with asyncio.timeout(PATIENCE_S):
            while self.lost:
                await self._changed.wait()
                self._changed.clear()

    async def quiet(self, seconds: float = 3.0) -> None:
        """Wait until nothing more comes."""
        async with asyncio.timeout(PATIENCE_S):
            before = -1
            while before != len(self.messages):
                before = len(self.messages)
                await asyncio.sleep(seconds)

    def check(self) -> None:
        """See that nothing was lost, that the order held, and that what came twice came under one id."""
        first_times = list(dict.fromkeys(number for number, _ in self.messages))
        ids = dict(self.messages)
        assert self.lost == set()
        assert first_times == sorted(first_times)
        assert all(ids[number] == found for number, found in self.messages)
        assert len(set(ids.values())) == MESSAGES


def user_token() -> str:
    """Give the token of somebody of the tenant `acme`."""
    claims = {"role": "authenticated", "tenant_id": "acme", "exp": int(time.time()) + 3600}
    return sign_token(claims, JWT_SECRET)


@asynccontextmanager
async def js_listening(port: int, vsn: str, heard: Heard, *, session: str | None) -> AsyncIterator[None]:
    """Run the stock JavaScript client for the time of a block."""
    recover = {} if session is None else {"recover": {"session": session}}
    async with js_client(f"ws://127.0.0.1:{port}/realtime/v1", user_token(), vsn) as client:
        joined = await client.join(TOPIC, private=True, broadcast=recover)
        assert joined["status"] == "SUBSCRIBED", joined

        async def read() -> None:
            while True:
                heard.take((await client.fact(lambda fact: "message" in fact, seconds=PATIENCE_S))["message"])

        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read(), name="js:read")
            yield
            reading.cancel()


@asynccontextmanager
async def python_listening(port: int, heard: Heard, *, session: str | None) -> AsyncIterator[None]:
    """Run the stock Python client for the time of a block."""
    recover = {} if session is None else {"recover": {"session": session}}
    client = AsyncRealtimeClient(
        f"ws://127.0.0.1:{port}/realtime/v1", user_token(), hb_interval=15, max_retries=60, initial_backoff=0.1
    )
    broadcast: Any = {"ack": False, "self": False, **recover}
    config: Any = {"broadcast": broadcast, "presence": {"key": "", "enabled": False}, "private": True}
    await client.connect()
    joined = asyncio.Event()
    channel = client.channel(TOPIC, {"config": config})
    channel.on_broadcast("orders.made", heard.take)  # type: ignore[arg-type]
    await channel.subscribe(lambda _state, _error: joined.set())
    async with asyncio.timeout(15):
        await joined.wait()
    try:
        yield
    finally:
        await client.close()


async def emit(dsn: str, trouble: Trouble) -> None:
    """Write the events at about 220 a second, and make trouble now and then."""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        for start in range(0, MESSAGES, BATCH):
            await trouble(start)
            numbers = list(range(start, start + BATCH))
            await connection.execute(
                "select rowcast.emit('acme', 'orders.made', jsonb_build_object('n', n), aggregate_id => 'one') "
                "from unnest(%s::int[]) as n",
                [numbers],
            )
            await asyncio.sleep(PAUSE_S)


def aborting(proxy: Proxy) -> Trouble:
    """Give five aborts, spread over the messages."""
    moments = {MESSAGES * number // (ABORTS + 1) // BATCH * BATCH for number in range(1, ABORTS + 1)}

    async def abort(sent: int) -> None:
        if sent in moments:
            proxy.abort()

    return abort


def killing(served: Served) -> Trouble:
    """Give one SIGKILL of the server in the middle."""

    async def kill(sent: int) -> None:
        if sent == MESSAGES // 2:
            await asyncio.to_thread(served.kill)

    return kill


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder for the server."""
    return tmp_path_factory.mktemp("serve")


@asynccontextmanager
async def listening(kind: str, port: int, heard: Heard, *, is_recovered: bool = True) -> AsyncIterator[None]:
    """Run one of the stock clients for the time of a block."""
    session = str(uuid.uuid4()) if is_recovered else None
    if kind == "python":
        async with python_listening(port, heard, session=session):
            yield
    else:
        async with js_listening(port, kind, heard, session=session):
            yield


@pytest.mark.parametrize("kind", ["1.0.0", "2.0.0", "python"])
async def test_five_aborted_connections_lose_nothing(dsn: str, folder: Path, kind: str) -> None:
    heard = Heard()
    with serving(dsn, folder) as served:
        async with proxied(served.port) as proxy, listening(kind, proxy.port, heard):
            await emit(dsn, aborting(proxy))
            await heard.whole()

            assert proxy.connections > ABORTS

    heard.check()
    print(f"{kind}: 0 lost, {heard.duplicates} duplicates")


@pytest.mark.parametrize("kind", ["1.0.0", "2.0.0", "python"])
async def test_a_killed_server_loses_nothing(dsn: str, folder: Path, kind: str) -> None:
    heard = Heard()
    with serving(dsn, folder) as served:
        async with proxied(served.port) as proxy, listening(kind, proxy.port, heard):
            await emit(dsn, killing(served))
            await heard.whole()

    heard.check()
    print(f"{kind}: 0 lost, {heard.duplicates} duplicates")


async def test_without_recovery_messages_are_lost(dsn: str, folder: Path) -> None:
    """The check has teeth: the same trouble, and a client that does not ask for anything."""
    heard = Heard()
    with serving(dsn, folder) as served:
        async with proxied(served.port) as proxy, listening("2.0.0", proxy.port, heard, is_recovered=False):
            await emit(dsn, aborting(proxy))
            await heard.quiet()

    assert heard.lost
    print(f"without recovery: {len(heard.lost)} lost")
