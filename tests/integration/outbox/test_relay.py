"""The relay: at least once to the sockets, exactly once into states and deliveries, wherever it is interrupted."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest

from rowcast.bus.memory import MemoryBus
from rowcast.core.envelope import Envelope
from rowcast.core.errors import ConfigError
from rowcast.core.retry import RetryPolicy
from rowcast.core.telemetry import listening
from rowcast.outbox.claim_feed import ClaimFeed
from rowcast.outbox.feed import Routed
from rowcast.outbox.options import RelayOptions
from rowcast.outbox.publisher import FAILPOINTS
from rowcast.outbox.relay import DELIVERY_DUE, Relay
from rowcast.store.pool import Database
from tests.integration.outbox.events import Recorder, emit, emit_some, is_in_order, session, statuses

QUICK = RetryPolicy(max_attempts=3, base_s=0.01, cap_s=0.05)


class Interruption:
    """A failpoint that does something the first time that a place is passed."""

    def __init__(self, place: str, act: Callable[[], None]) -> None:
        self.place, self.act, self.is_done = place, act, False

    def __call__(self, name: str, /) -> None:
        if name == self.place and not self.is_done:
            self.is_done = True
            self.act()


def make_relay(database: Database, dsn: str, handler: Recorder, **options: object) -> Relay:
    return Relay(
        feed=ClaimFeed(dsn=dsn, lease_s=5.0, batch_size=50),
        handler=handler,
        database=database,
        options=RelayOptions(**{"retry": QUICK, "low_bound_every_s": 0.2, **options}),  # type: ignore[arg-type]
    )


@asynccontextmanager
async def running(*relays: Relay) -> AsyncIterator[None]:
    """Run relays for the time of a block, then let each finish what it holds."""
    async with asyncio.TaskGroup() as group:
        for relay in relays:
            group.create_task(relay.run())
        try:
            yield
        finally:
            for relay in relays:
                relay.stop()


async def until_settled(database: Database, count: int) -> None:
    async with asyncio.timeout(30):
        while (
            sum(found for status, found in (await statuses(database)).items() if status in ("published", "dead"))
            < count
        ):
            await asyncio.sleep(0.03)


async def deliveries(dsn: str) -> list[tuple[str, int]]:
    """Give each event that owes deliveries and how many."""
    async with session(dsn) as driver:
        rows = await driver.fetch("select event_id::text, count(*) from rowcast.delivery group by 1")
    return [(row[0], row[1]) for row in rows]


def each_once(events: Sequence[tuple[str, int]], count: int) -> bool:
    return len(events) == count and all(number == 1 for _, number in events)


async def test_every_event_is_told_in_order_published_and_owed_once(database: Database, dsn: str) -> None:
    handler = Recorder()
    await emit_some(dsn, 500, keys=20)
    async with running(make_relay(database, dsn, handler)):
        await until_settled(database, 500)

    assert await statuses(database) == {"published": 500}
    assert each_once(await deliveries(dsn), 500)
    assert is_in_order(handler.told)
    assert len(handler.told) == 500


async def test_sockets_are_told_and_deliveries_added_in_the_order_of_the_batch(database: Database, dsn: str) -> None:
    handler = Recorder()
    await emit_some(dsn, 50, keys=50)
    async with running(make_relay(database, dsn, handler)):
        await until_settled(database, 50)
    async with session(dsn) as driver:
        rows = await driver.fetch("select event_id from rowcast.delivery order by id")

    assert [event.seq for event in handler.told] == sorted(event.seq for event in handler.told)
    assert [row[0] for row in rows] == [event.id for event in handler.told]


@pytest.mark.parametrize("place", FAILPOINTS)
async def test_an_error_at_any_place_repeats_the_batch_and_doubles_nothing(
    database: Database, dsn: str, place: str
) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    handler, interruption = Recorder(), Interruption(place, fail)
    await emit_some(dsn, 100, keys=5)
    async with running(make_relay(database, dsn, handler, failpoint=interruption)):
        await until_settled(database, 100)

    assert interruption.is_done
    assert each_once(await deliveries(dsn), 100)
    assert {event.id for event in handler.told} == {event.id for event in handler.told[-100:]} or len(
        handler.told
    ) == 150
    assert is_in_order(handler.told)


@pytest.mark.parametrize("place", FAILPOINTS)
async def test_a_session_that_the_server_ends_at_any_place_changes_nothing_but_the_time(
    database: Database, dsn: str, place: str
) -> None:
    def cut() -> None:
        with psycopg.connect(dsn, autocommit=True) as admin:
            admin.execute(
                "select pg_terminate_backend(pid, 5000) from pg_locks where locktype = 'advisory' and objid = 64"
                " and database = (select oid from pg_database where datname = current_database())"
            )

    handler, interruption = Recorder(), Interruption(place, cut)
    await emit_some(dsn, 100, keys=5)
    async with running(make_relay(database, dsn, handler, failpoint=interruption)):
        await until_settled(database, 100)

    assert interruption.is_done
    assert each_once(await deliveries(dsn), 100)
    assert is_in_order(handler.told)


@pytest.mark.parametrize("place", FAILPOINTS)
async def test_a_relay_killed_at_any_place_is_replaced_and_nothing_is_lost_or_doubled(
    database: Database, dsn: str, place: str, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    await emit_some(dsn, 60, keys=5)
    process = await asyncio.to_thread(run_process, dsn, told, f"{place}=kill:2")
    assert process.returncode == -signal.SIGKILL, process.stderr.decode()
    handler = Recorder()
    async with running(make_relay(database, dsn, handler)):
        await until_settled(database, 60)

    before = [line.split()[0] for line in told.read_text().splitlines()]
    after = [str(event.id) for event in handler.told]
    assert len(set(before + after)) == 60
    assert len(before + after) <= 80, "at most the batch that was out is told twice"
    assert each_once(await deliveries(dsn), 60)


def run_process(dsn: str, told: Path, failpoints: str) -> subprocess.CompletedProcess[bytes]:
    environment = {**os.environ, "ROWCAST_TEST_TOLD_FILE": str(told), "ROWCAST_FAILPOINTS": failpoints}
    command = [sys.executable, "-m", "tests.integration.outbox.relay_process", dsn]
    return subprocess.run(
        command, env=environment, cwd=Path(__file__).parents[3], capture_output=True, timeout=60, check=False
    )


def start_process(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=environment, cwd=Path(__file__).parents[3])


async def test_a_relay_frozen_after_telling_wakes_to_a_fence_and_one_duplicate_at_most(
    database: Database, dsn: str, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    environment = {
        **os.environ,
        "ROWCAST_TEST_TOLD_FILE": str(told),
        "ROWCAST_FAILPOINTS": "after_tell_before_settle=freeze",
    }
    command = [sys.executable, "-m", "tests.integration.outbox.relay_process", dsn]
    await emit_some(dsn, 20, keys=5)
    process = await asyncio.to_thread(start_process, command, environment)
    try:
        handler = Recorder()
        async with asyncio.timeout(20):
            while not told.exists():
                await asyncio.sleep(0.05)
        async with running(make_relay(database, dsn, handler)):
            await until_settled(database, 20)
            process.send_signal(signal.SIGCONT)
            await asyncio.sleep(1.0)
        assert process.poll() is None, "it goes on as a healthy relay"
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait(timeout=10)

    assert len(told.read_text().splitlines()) == len(handler.told) == 20
    assert each_once(await deliveries(dsn), 20)


async def test_three_relays_whose_sessions_are_cut_again_and_again_keep_order_and_lose_nothing(
    database: Database, dsn: str
) -> None:
    handler = Recorder()
    async with running(*(make_relay(database, dsn, handler) for _ in range(3))):
        async with session(dsn) as driver:
            for turn in range(30):
                await emit_some(dsn, 40, keys=15)
                await asyncio.sleep(0.05)
                if turn % 4 == 0:
                    await driver.execute(
                        "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory' and objid = 64"
                        " and database = (select oid from pg_database where datname = current_database()) limit 1"
                    )
        await until_settled(database, 1200)

    assert each_once(await deliveries(dsn), 1200)
    assert is_in_order(handler.told)


async def test_an_event_that_cannot_be_routed_is_tried_again_and_published(database: Database, dsn: str) -> None:
    tries: list[Envelope] = []

    def error(event: Envelope) -> str | None:
        tries.append(event)
        return "not yet" if len(tries) < 3 else None

    await emit_some(dsn, 1)
    async with running(make_relay(database, dsn, Recorder(error=error))):
        await until_settled(database, 1)
    async with session(dsn) as driver:
        row = await driver.fetchrow("select status, attempts, error, next_attempt_at from rowcast.event_state")

    assert tuple(row) == ("published", 3, None, None)
    assert each_once(await deliveries(dsn), 1)


async def test_an_event_that_can_never_be_routed_is_dead_and_the_others_are_published(
    database: Database, dsn: str
) -> None:
    handler = Recorder(error=lambda event: "never\x00" if event.aggregate_id == "k1" else None)
    await emit_some(dsn, 10, keys=5)
    async with running(make_relay(database, dsn, handler)):
        await until_settled(database, 10)
    async with session(dsn) as driver:
        rows = await driver.fetch("select attempts, error from rowcast.event_state where status = 'dead'")

    assert await statuses(database) == {"published": 8, "dead": 2}
    assert [tuple(row) for row in rows] == [(3, "never")] * 2
    assert {event.aggregate_id for event in handler.told} == {"k0", "k2", "k3", "k4"}


class Brittle(Recorder):
    """A handler that breaks altogether when one event is among those it is given."""

    async def route(self, events: Sequence[Envelope]) -> Sequence[Routed]:
        if any(event.aggregate_id == "k1" for event in events):
            raise ZeroDivisionError
        return await super().route(events)


async def test_an_event_that_breaks_the_handler_fails_alone(database: Database, dsn: str) -> None:
    await emit_some(dsn, 30, keys=10)
    async with running(make_relay(database, dsn, Brittle())):
        await until_settled(database, 30)

    assert await statuses(database) == {"published": 27, "dead": 3}


async def test_what_was_published_meanwhile_is_skipped_and_counted(database: Database, dsn: str) -> None:
    await emit_some(dsn, 10)
    facts: list[dict[str, object]] = []
    relay = make_relay(
        database, dsn, handler := Recorder(), failpoint=Interruption("before_tell", lambda: publish(dsn, 4))
    )
    with listening(lambda name, values: facts.append(dict(values)) if name == "relay.batch_settled" else None):
        async with running(relay):
            await until_settled(database, 10)

    assert [(fact["published"], fact["failed"], fact["skipped"], fact["deliveries"]) for fact in facts] == [
        (6, 0, 4, 6)
    ]
    assert len(await deliveries(dsn)) == 6
    assert len(handler.told) == 10


def publish(dsn: str, count: int) -> None:
    """Be another relay that was faster."""
    with psycopg.connect(dsn, autocommit=True) as other:
        other.execute(
            "insert into rowcast.event_state (event_id, status) select id, 'published' from rowcast.event limit %s",
            [count],
        )


async def test_a_published_event_never_returns_to_pending(database: Database, dsn: str) -> None:
    await emit_some(dsn, 1)
    async with running(make_relay(database, dsn, Recorder())):
        await until_settled(database, 1)
    async with session(dsn) as driver:
        for statement in ("update rowcast.event_state set status = 'failed'", "delete from rowcast.event_state"):
            with pytest.raises(Exception, match=r"outbox\.published_is_final"):
                await driver.execute(statement)

    assert await statuses(database) == {"published": 1}


async def test_the_delivery_runners_are_woken_when_something_is_owed(database: Database, dsn: str) -> None:
    bus, heard = MemoryBus(), asyncio.Queue[bytes]()
    await bus.open()
    bus.subscribe(DELIVERY_DUE, heard.put_nowait)
    relay = Relay(feed=ClaimFeed(dsn=dsn), handler=Recorder(), database=database, bus=bus)
    await emit_some(dsn, 1)
    async with running(relay), asyncio.timeout(20):
        assert await heard.get() == b"webhooks"
    await bus.close()


async def test_stop_lets_the_batch_that_is_out_be_settled(database: Database, dsn: str) -> None:
    holder: list[Relay] = []

    def stop() -> None:
        holder[0].stop()

    handler = Recorder()
    relay = make_relay(database, dsn, handler, failpoint=Interruption("after_tell_before_settle", stop))
    holder.append(relay)
    await emit_some(dsn, 120)
    async with asyncio.timeout(20):
        await relay.run()

    assert await statuses(database) == {"published": 50, "pending": 70}
    assert len(handler.told) == 50


async def test_stop_ends_a_relay_that_waits(database: Database, dsn: str) -> None:
    relay = make_relay(database, dsn, Recorder())
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        task = group.create_task(relay.run())
        await asyncio.sleep(0.5)
        relay.stop()
        await task


async def test_stop_ends_a_relay_that_has_not_become_the_leader(database: Database, dsn: str) -> None:
    class Waiting(ClaimFeed):
        async def open(self) -> None:
            await asyncio.Event().wait()

    relay = Relay(feed=Waiting(dsn=dsn), handler=Recorder(), database=database)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        task = group.create_task(relay.run())
        await asyncio.sleep(0.2)
        relay.stop()
        await task


async def test_a_relay_keeps_the_low_bound_of_every_shard(database: Database, dsn: str) -> None:
    await emit_some(dsn, 50, keys=1)
    async with running(make_relay(database, dsn, Recorder())), session(dsn) as driver:
        await until_settled(database, 50)
        async with asyncio.timeout(20):
            while await driver.fetchval("select min(low_seq) from rowcast.feed_cursor where shard >= 0") <= 50:
                await asyncio.sleep(0.05)


async def test_a_database_that_is_away_is_tried_again_and_told_of(database: Database, dsn: str) -> None:
    class Away(ClaimFeed):
        tries = 0

        async def open(self) -> None:
            self.tries += 1
            if self.tries < 3:
                raise OSError("away")
            await super().open()

    told: list[str] = []
    relay = Relay(feed=Away(dsn=dsn), handler=Recorder(), database=database)
    await emit_some(dsn, 1)
    with listening(lambda name, _: told.append(name)):
        async with running(relay):
            await until_settled(database, 1)

    assert told.count("relay.interrupted") == 2


async def test_a_feed_that_this_database_cannot_serve_ends_the_relay(database: Database, dsn: str) -> None:
    class Impossible(ClaimFeed):
        async def open(self) -> None:
            raise ConfigError("The database has wal_level = replica. Set it to logical.", code="config.wal_level")

    relay = Relay(feed=Impossible(dsn=dsn), handler=Recorder(), database=database)
    with pytest.raises(ExceptionGroup) as ended:
        await relay.run()

    assert ended.group_contains(ConfigError)


async def test_an_error_text_is_kept_with_a_failed_event_until_it_is_due(database: Database, dsn: str) -> None:
    slow = RetryPolicy(max_attempts=3, base_s=3600.0)
    async with session(dsn) as driver:
        await emit(driver)
        async with running(make_relay(database, dsn, Recorder(error=lambda _: "no route"), retry=slow)):
            async with asyncio.timeout(20):
                while not await driver.fetchval("select count(*) from rowcast.event_state"):
                    await asyncio.sleep(0.03)
        row = await driver.fetchrow(
            "select status, error, attempts, next_attempt_at > now() + interval '50 minutes' from rowcast.outbox"
        )

    assert tuple(row) == ("failed", "no route", 1, True)
