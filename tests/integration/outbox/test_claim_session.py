"""One claim session: what it reads, from where, and that nothing is passed over however transactions end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from rowcast.outbox.claim_session import ClaimSession, session_settings
from rowcast.outbox.shards import Shards
from rowcast.store.pool import Database, connect
from rowcast.store.sql import load_queries
from rowcast.testing.fake_clock import FakeClock
from tests.integration.outbox.events import emit, emit_some, session

SETTLE = "insert into rowcast.event_state (event_id, status) select id, 'published' from unnest($1::uuid[]) as id"


@pytest_asyncio.fixture
async def claiming(dsn: str, clock: FakeClock) -> AsyncIterator[ClaimSession]:
    """A session that holds all shards and stores its bounds at every look."""
    opened = await begin(dsn, clock)
    yield opened
    await opened.connection.close()


async def begin(dsn: str, clock: FakeClock, *, batch_size: int = 10) -> ClaimSession:
    connection = await connect(dsn, settings=session_settings(60.0))
    opened = ClaimSession(connection, batch_size=batch_size, clock=clock, share_every_s=1.0)
    await opened.begin()
    return opened


async def drain(claiming: ClaimSession, clock: FakeClock) -> list[Any]:
    """Settle everything that is pending and give the ids in the order in which they came."""
    found: list[Any] = []
    while (batch := await claiming.claim()) is not None:
        found += [event.id for event in batch.events]
        async with claiming.connection.transaction():
            await claiming.connection.driver.execute(SETTLE, [event.id for event in batch.events])
        clock.tick(2.0)
        await claiming.settled()
    clock.tick(2.0)
    return found


async def low_seqs(dsn: str) -> set[int]:
    async with session(dsn) as driver:
        return {row[0] for row in await driver.fetch("select low_seq from rowcast.feed_cursor where shard >= 0")}


async def last_seq(dsn: str) -> int:
    async with session(dsn) as driver:
        return int(await driver.fetchval("select last_value from rowcast.event_seq"))


async def test_the_bound_follows_what_is_settled(claiming: ClaimSession, dsn: str, clock: FakeClock) -> None:
    await emit_some(dsn, 200, keys=200)
    assert len(await drain(claiming, clock)) == 200
    await drain(claiming, clock)

    assert await low_seqs(dsn) == {await last_seq(dsn) + 1}


async def test_a_session_that_takes_over_begins_at_the_bound(
    claiming: ClaimSession, dsn: str, clock: FakeClock
) -> None:
    await emit_some(dsn, 200, keys=200)
    await drain(claiming, clock)
    await drain(claiming, clock)
    await claiming.connection.close()
    successor = await begin(dsn, clock)
    assert set(successor._positions.values()) == {await last_seq(dsn) + 1}
    await emit_some(dsn, 5, keys=5)

    assert len(await drain(successor, clock)) == 5
    await successor.connection.close()


async def test_a_long_transaction_holds_the_bound_and_its_event_comes_in_the_end(
    claiming: ClaimSession, dsn: str, clock: FakeClock
) -> None:
    async with session(dsn) as slow:
        transaction = slow.transaction()
        await transaction.start()
        late = await emit(slow, key="slow")
        late_seq = await last_seq(dsn)
        for _ in range(4):
            await emit_some(dsn, 30, keys=30)
            assert len(await drain(claiming, clock)) == 30
        assert max(await low_seqs(dsn)) <= late_seq
        assert min(claiming._positions.values()) > late_seq + 100, "what is settled meanwhile is not read again"
        await transaction.commit()

        assert await drain(claiming, clock) == [late]
    await drain(claiming, clock)
    assert await low_seqs(dsn) == {await last_seq(dsn) + 1}


async def test_a_successor_finds_the_event_of_a_transaction_that_was_open_all_the_time(
    claiming: ClaimSession, dsn: str, clock: FakeClock
) -> None:
    async with session(dsn) as slow:
        transaction = slow.transaction()
        await transaction.start()
        late = await emit(slow, key="slow")
        await emit_some(dsn, 50, keys=50)
        await drain(claiming, clock)
        await claiming.connection.close()
        successor = await begin(dsn, clock)
        assert await drain(successor, clock) == []
        await transaction.commit()

        assert await drain(successor, clock) == [late]
        await successor.connection.close()


async def test_the_lower_of_two_numbers_comes_though_it_commits_second(
    claiming: ClaimSession, dsn: str, clock: FakeClock
) -> None:
    async with session(dsn) as first, session(dsn) as second:
        one, two = first.transaction(), second.transaction()
        await one.start()
        await two.start()
        lower, higher = await emit(first, key="a"), await emit(second, key="b")
        await two.commit()
        assert await drain(claiming, clock) == [higher]
        await one.commit()

        assert await drain(claiming, clock) == [lower]


async def test_a_gap_that_an_aborted_transaction_left_holds_nothing_up(
    claiming: ClaimSession, dsn: str, clock: FakeClock
) -> None:
    async with session(dsn) as driver:
        transaction = driver.transaction()
        await transaction.start()
        await emit(driver)
        await emit_some(dsn, 5)
        await drain(claiming, clock)
        await transaction.rollback()
    await drain(claiming, clock)
    await drain(claiming, clock)

    assert await low_seqs(dsn) == {await last_seq(dsn) + 1}


async def test_a_number_drawn_after_a_savepoint_was_rolled_back_comes_too(
    claiming: ClaimSession, dsn: str, clock: FakeClock
) -> None:
    async with session(dsn) as driver:
        transaction = driver.transaction()
        await transaction.start()
        inner = driver.transaction()
        await inner.start()
        await emit(driver)
        await emit_some(dsn, 3)
        await drain(claiming, clock)
        await inner.rollback()
        await drain(claiming, clock)
        kept = await emit(driver)
        await emit_some(dsn, 3)
        await drain(claiming, clock)
        await transaction.commit()

        assert await drain(claiming, clock) == [kept]


async def test_the_event_of_a_prepared_transaction_comes_when_it_is_committed(
    claiming: ClaimSession, dsn: str, clock: FakeClock
) -> None:
    async with session(dsn) as driver:
        await driver.execute("begin")
        late = await emit(driver, key="two-phase")
        late_seq = await last_seq(dsn)
        await emit_some(dsn, 5)
        await drain(claiming, clock)
        await driver.execute("prepare transaction 'outbox'")
        for _ in range(3):
            await emit_some(dsn, 20, keys=20)
            assert len(await drain(claiming, clock)) == 20
        assert max(await low_seqs(dsn)) <= late_seq
        await driver.execute("commit prepared 'outbox'")

        assert await drain(claiming, clock) == [late]


async def test_an_event_that_two_looks_would_both_miss_is_found_by_the_lock(
    claiming: ClaimSession, dsn: str, clock: FakeClock
) -> None:
    """The insert has its number but no transaction id yet: only its table lock tells of it."""
    async with session(dsn) as driver:
        await driver.execute(
            "create function pause() returns trigger language plpgsql as"
            " $$ begin perform pg_advisory_xact_lock_shared(1, 1); return new; end $$"
        )
        await driver.execute("create trigger pause before insert on rowcast.event for each row when (new.tenant_id = 'paused')"
                             " execute function pause()")  # fmt: skip
        await driver.execute("select pg_advisory_lock(1, 1)")
        async with session(dsn) as paused, asyncio.TaskGroup() as group:
            inserting = group.create_task(emit(paused, tenant="paused"))
            async with asyncio.timeout(10):
                while not await driver.fetchval(
                    "select exists (select 1 from pg_locks where locktype = 'advisory' and classid = 1 and not granted"
                    " and database = (select oid from pg_database where datname = current_database()))"
                ):
                    await asyncio.sleep(0.02)
            await emit_some(dsn, 20, keys=20)
            assert len(await drain(claiming, clock)) == 20
            assert await drain(claiming, clock) == []
            await driver.execute("select pg_advisory_unlock(1, 1)")
            late = await inserting

        assert await drain(claiming, clock) == [late]


@pytest.mark.parametrize("name", ["pending_events", "overtaking_events"])
async def test_a_claim_walks_along_one_index_and_stops_at_its_limit(dsn: str, name: str) -> None:
    await emit_some(dsn, 20_000, keys=500)
    async with session(dsn) as driver:
        await driver.execute(
            "insert into rowcast.event_state (event_id, status) select id, 'published' from rowcast.event where seq % 20 <> 0"
        )
    connection = await connect(dsn, settings={**session_settings(60.0), "plan_cache_mode": "force_generic_plan"})
    query = load_queries("rowcast.outbox")[name]
    values: dict[str, object] = (
        {"from_seq": 1, "positions": [1] * 64, "limit": 50}
        if name == "pending_events"
        else {"from_seq": 1, "until_seq": 50_000, "shards": list(range(64)), "heavy": ["flood"], "limit": 50}
    )
    shown = [
        row["QUERY PLAN"]
        for row in await connection.driver.fetch(
            "explain (analyze, costs off, timing off) " + query.text, *query.bind(**values)
        )
    ]
    await connection.close()

    plan = "\n".join(shown)
    assert "Merge Append" in plan
    assert "Seq Scan" not in plan
    assert "Sort" not in plan.replace("Sort Key", "")
    removed = [int(line.rsplit(":", 1)[1]) for line in shown if "Rows Removed by Filter" in line]
    assert sum(removed) < 1_200, plan


async def test_a_claim_that_holds_no_shard_gives_nothing(
    claiming: ClaimSession, dsn: str, clock: FakeClock, database: Database
) -> None:
    await emit_some(dsn, 3)
    other = await begin(dsn, clock)

    assert other.shards == frozenset()
    assert await other.claim() is None
    await other.connection.close()


async def test_a_session_gives_up_its_surplus_and_counts_what_it_holds_once(claiming: ClaimSession, dsn: str) -> None:
    shards = Shards(claiming.connection)
    await shards.share()
    await shards.share()
    assert len(shards.owned) == 64
    other = await connect(dsn)
    second = Shards(other)
    await second.register()
    await shards.share()
    await second.share()

    assert (len(shards.owned), len(second.owned)) == (32, 32)
    assert not shards.owned & second.owned
    await other.close()


async def test_a_batch_that_was_not_settled_in_time_cannot_be_settled_later(
    claiming: ClaimSession, dsn: str, clock: FakeClock
) -> None:
    await emit_some(dsn, 3)
    batch = await claiming.claim()
    assert batch is not None
    assert claiming.is_out(batch)
    async with session(dsn) as driver:
        await driver.execute(SETTLE, [event.id for event in batch.events])
    assert await claiming.claim() is None

    assert not claiming.is_out(batch)
