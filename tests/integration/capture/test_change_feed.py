"""Row changes on every node: one reads, the others hear of it, and whatever may be missing is announced."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from rowcast.bus.bus import Bus
from rowcast.bus.memory import MemoryBus
from rowcast.capture.change_feed import ChangeFeed, ChangeFeedOptions
from rowcast.core.clock import SystemClock
from rowcast.core.row_change import RowChanges
from rowcast.server.embedded import EmbeddedPostgres
from rowcast.store.migrate import migrate_database
from rowcast.store.pool import Database, open_database
from tests.integration.capture.feeding import Heard, run, slots, until

OPTIONS = ChangeFeedOptions(lease_s=3.0, linger_s=0.2, retry_s=0.05, piece_rows=100)
END = "select pg_terminate_backend(active_pid) from pg_replication_slots where database = current_database()"


class Hearer:
    """Writes down what it hears; `gate` holds it up."""

    def __init__(self) -> None:
        self.numbers: list[int] = []
        self.said: list[str] = []
        self.pieces: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def hear_changes(self, changes: RowChanges) -> None:
        await self.gate.wait()
        self.pieces.append(len(changes.rows))
        self.numbers += [int(row.new[0]) for row in changes.rows if row.new and isinstance(row.new[0], bytes)]

    def hear_gap(self, reason: str) -> None:
        self.said.append("gap")

    def hear_live(self) -> None:
        self.said.append("live")


@asynccontextmanager
async def running(
    dsn: str, database: Database, *, bus: Bus | None = None, name: str = "a", options: ChangeFeedOptions = OPTIONS
) -> AsyncIterator[tuple[ChangeFeed, Hearer]]:
    feed = ChangeFeed(
        dsn=dsn, database=database, bus=bus or MemoryBus(), node=name, clock=SystemClock(), options=options
    )
    hearer = Hearer()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(feed.run(hearer))
        await asyncio.sleep(0)
        try:
            yield feed, hearer
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def live(feed: ChangeFeed) -> None:
    async with asyncio.timeout(20):
        await feed.go_live()


def prepare(dsn: str) -> None:
    run(dsn, "create table orders (id int primary key, note text)")
    run(dsn, "alter publication supabase_realtime add table orders")


def insert(dsn: str, first: int, last: int | None = None) -> None:
    run(dsn, f"insert into orders select n from generate_series({first}, {last or first}) n")


async def test_changes_are_live_when_it_says_so(dsn: str, database: Database) -> None:
    prepare(dsn)
    async with running(dsn, database) as (feed, hearer):
        assert slots(dsn) == []
        await live(feed)
        insert(dsn, 1, 250)
        await until(lambda: len(hearer.numbers) == 250)

    assert hearer.numbers == list(range(1, 251))
    assert max(hearer.pieces) <= 100
    assert hearer.said == ["live"]
    await until(lambda: slots(dsn) == [])


async def test_the_publication_is_made_where_it_is_missing(dsn: str, database: Database) -> None:
    run(dsn, "drop publication supabase_realtime")
    async with running(dsn, database) as (feed, _):
        await live(feed)

    assert run(dsn, "select count(*) from pg_publication where pubname = 'supabase_realtime'") == [(1,)]


async def test_a_slot_that_nobody_needs_is_dropped_and_made_again_without_a_gap(dsn: str, database: Database) -> None:
    prepare(dsn)
    async with running(dsn, database) as (feed, hearer):
        await live(feed)
        feed.rest()
        await until(lambda: slots(dsn) == [])
        await live(feed)
        insert(dsn, 1)
        await until(lambda: hearer.numbers == [1])

    assert hearer.said == ["live", "live"]


async def test_a_connection_that_ends_is_made_again_and_the_gap_is_announced(dsn: str, database: Database) -> None:
    prepare(dsn)
    async with running(dsn, database) as (feed, hearer):
        await live(feed)
        run(dsn, END)
        await until(lambda: hearer.said == ["live", "gap", "live"])
        insert(dsn, 1)
        await until(lambda: hearer.numbers == [1])

    assert feed.is_live


async def test_the_second_node_hears_of_changes_over_the_bus(dsn: str, database: Database) -> None:
    prepare(dsn)
    bus = MemoryBus()
    async with (
        running(dsn, database, bus=bus) as (one, first),
        running(dsn, database, bus=bus, name="b") as (two, second),
    ):
        await live(one)
        insert(dsn, 1)
        await until(lambda: first.numbers == [1])
        await live(two)
        insert(dsn, 2, 300)
        await until(lambda: len(second.numbers) == 299)

        assert (one.is_reading, two.is_reading) == (True, False)
        assert len(slots(dsn)) == 1

    assert second.numbers == list(range(2, 301))
    assert first.numbers == list(range(1, 301))
    assert second.said == ["live"]


async def test_who_reads_goes_on_for_the_others_when_nobody_of_its_own_listens(dsn: str, database: Database) -> None:
    prepare(dsn)
    bus = MemoryBus()
    async with running(dsn, database, bus=bus) as (one, _), running(dsn, database, bus=bus, name="b") as (two, second):
        await live(one)
        await live(two)
        one.rest()
        await asyncio.sleep(1.5)
        insert(dsn, 1)
        await until(lambda: second.numbers == [1])

        assert one.is_reading


async def test_when_the_reader_is_gone_another_node_takes_over_and_announces_the_gap(
    dsn: str, database: Database
) -> None:
    prepare(dsn)
    bus = MemoryBus()
    async with running(dsn, database, bus=bus, name="b") as (two, second):
        async with running(dsn, database, bus=bus) as (one, _):
            await live(one)
            await live(two)
        await until(lambda: two.is_reading)
        insert(dsn, 1)
        await until(lambda: second.numbers == [1])

    assert second.said == ["live", "gap", "live"]


async def test_a_node_that_cannot_follow_keeps_a_bounded_amount_and_says_that_something_is_missing(
    dsn: str, database: Database
) -> None:
    prepare(dsn)
    bus, small = MemoryBus(), ChangeFeedOptions(lease_s=3.0, retry_s=0.05, piece_rows=10, queued_bytes=2000)
    async with (
        running(dsn, database, bus=bus) as (one, first),
        running(dsn, database, bus=bus, name="b", options=small) as (two, second),
    ):
        await live(one)
        await live(two)
        second.gate.clear()
        insert(dsn, 1, 5000)
        await until(lambda: len(first.numbers) == 5000)
        second.gate.set()
        await until(lambda: second.said[-1] == "live" and len(second.said) > 1)
        insert(dsn, 9000)
        await until(lambda: second.numbers[-1:] == [9000])

    assert second.said[:3] == ["live", "gap", "live"]
    assert len(second.numbers) < 5000


async def test_the_reader_waits_for_who_is_slow_and_stays_alive(dsn: str, database: Database) -> None:
    prepare(dsn)
    async with running(dsn, database) as (feed, hearer):
        await live(feed)
        hearer.gate.clear()
        insert(dsn, 1, 2000)
        await asyncio.sleep(OPTIONS.lease_s + 1.0)
        hearer.gate.set()
        await until(lambda: len(hearer.numbers) == 2000)

    assert hearer.said == ["live"]
    assert hearer.numbers == list(range(1, 2001))


async def test_how_far_it_is_behind_is_told(dsn: str, database: Database) -> None:
    prepare(dsn)
    with Heard() as heard:
        async with running(dsn, database) as (feed, _):
            await live(feed)
            await until(lambda: bool(heard.named("changes.measured")))

    facts: dict[str, Any] = heard.named("changes.measured")[0]
    assert set(facts) == {"lag_s", "lag_bytes", "kept_bytes", "safe_bytes", "wal_status"}
    assert facts["wal_status"] == "reserved"


async def test_a_slot_that_the_server_gives_up_is_announced_and_made_anew(server_folder: Path) -> None:
    settings = {"max_slot_wal_keep_size": "1MB", "max_wal_size": "32MB", "min_wal_size": "32MB", "fsync": "off"}
    async with EmbeddedPostgres(server_folder, settings=settings) as server:
        dsn = server.dsn
        await migrate_database(dsn)
        prepare(dsn)
        run(dsn, "create table noise (t text)")
        async with open_database(dsn) as database, running(dsn, database) as (feed, hearer):
            await live(feed)
            hearer.gate.clear()
            insert(dsn, 1)
            for _ in range(6):
                run(dsn, "insert into noise select repeat('x', 1000) from generate_series(1, 20000)")
                run(dsn, "select pg_switch_wal()")
                run(dsn, "checkpoint")
            await until(lambda: slots(dsn) == [])
            hearer.gate.set()
            await until(lambda: hearer.said == ["live", "gap", "live"])
            insert(dsn, 9000)
            await until(lambda: hearer.numbers[-1:] == [9000])
