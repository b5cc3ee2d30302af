"""The express lane and the retry lane: who overtakes whom, and in which order."""

from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from rowcast.core.envelope import Envelope
from rowcast.outbox.event_row import read_envelope
from rowcast.outbox.side_lanes import SideLanes
from rowcast.store.pool import Connection, connect
from rowcast.testing.fake_clock import FakeClock
from tests.integration.outbox.events import emit, emit_some, is_in_order, session

BATCH = 100
_SHARD_OF = """
    select rowcast.shard_of(tenant_id, aggregate_type, aggregate_id) from rowcast.event where id = $1
"""


@pytest_asyncio.fixture
async def connection(dsn: str) -> AsyncIterator[Connection]:
    """The session that a feed settles on."""
    opened = await connect(dsn)
    yield opened
    await opened.close()


async def oldest(connection: Connection, limit: int = BATCH) -> list[Envelope]:
    rows = await connection.driver.fetch(
        "select * from rowcast.outbox where status = 'pending' order by seq limit $1", limit
    )
    return [read_envelope(row) for row in rows]


async def settle(connection: Connection, events: Any) -> None:
    await connection.driver.execute(
        "insert into rowcast.event_state (event_id, status) select id, 'published' from unnest($1::uuid[]) as id",
        [event.id for event in events],
    )


async def backlog(dsn: str, connection: Connection, lanes: SideLanes, count: int = 50_000) -> None:
    """Let one tenant fill the main road."""
    await emit_some(dsn, count, tenant="flood", keys=100)
    first = await oldest(connection)
    lanes.passed(first, is_more=True)
    await settle(connection, first)


async def test_without_a_backlog_nothing_overtakes(connection: Connection, dsn: str, clock: FakeClock) -> None:
    lanes = SideLanes(batch_size=BATCH, clock=clock)
    await emit_some(dsn, 50)
    lanes.passed(await oldest(connection), is_more=False)

    assert await lanes.next_events(connection) == ()


async def test_behind_fifty_thousand_events_of_one_tenant_another_ones_event_is_next(
    connection: Connection, dsn: str, clock: FakeClock
) -> None:
    lanes = SideLanes(batch_size=BATCH, clock=clock)
    await backlog(dsn, connection, lanes)
    async with session(dsn) as driver:
        fresh = [await emit(driver, tenant="small"), await emit(driver, tenant="other")]

    assert [event.id for event in await lanes.next_events(connection)] == fresh


async def test_after_an_express_batch_it_is_the_main_roads_turn(
    connection: Connection, dsn: str, clock: FakeClock
) -> None:
    lanes = SideLanes(batch_size=BATCH, clock=clock)
    await backlog(dsn, connection, lanes, 2_000)
    await emit_some(dsn, 300, tenant="small")
    taken = await lanes.next_events(connection)
    await settle(connection, taken)
    lanes.settled()

    assert len(taken) == BATCH
    assert await lanes.next_events(connection) == ()


async def test_an_express_batch_that_was_not_settled_comes_again(
    connection: Connection, dsn: str, clock: FakeClock
) -> None:
    lanes = SideLanes(batch_size=BATCH, clock=clock)
    await backlog(dsn, connection, lanes, 2_000)
    await emit_some(dsn, 5, tenant="small")
    first = await lanes.next_events(connection)
    lanes.passed(await oldest(connection), is_more=True)

    assert await lanes.next_events(connection) == first


async def test_a_tenant_that_fills_the_express_lane_becomes_part_of_the_backlog(
    connection: Connection, dsn: str, clock: FakeClock
) -> None:
    lanes = SideLanes(batch_size=BATCH, clock=clock)
    await backlog(dsn, connection, lanes, 2_000)
    await emit_some(dsn, 2_000, tenant="second flood")
    async with session(dsn) as driver:
        fresh = await emit(driver, tenant="small")
    seen: list[set[str]] = []
    for _ in range(2):
        taken = await lanes.next_events(connection)
        seen.append({event.tenant_id for event in taken})
        await settle(connection, taken)
        lanes.settled()
        main = await oldest(connection)
        lanes.passed(main, is_more=True)
        await settle(connection, main)

    assert seen == [{"second flood"}, {"small"}]
    assert fresh in {event.id for event in taken}


async def test_an_event_that_commits_late_goes_before_the_later_ones_of_its_aggregate(
    connection: Connection, dsn: str, clock: FakeClock
) -> None:
    lanes = SideLanes(batch_size=BATCH, clock=clock)
    async with session(dsn) as slow, session(dsn) as driver:
        transaction = slow.transaction()
        await transaction.start()
        first = await emit(slow, tenant="small", key="k")
        await backlog(dsn, connection, lanes, 2_000)
        other = await emit(driver, tenant="other")
        taken = await lanes.next_events(connection)
        assert [event.id for event in taken] == [other]
        await settle(connection, taken)
        lanes.settled()
        await transaction.commit()
        second = await emit(driver, tenant="small", key="k")
        lanes.passed(await oldest(connection), is_more=True)
        events = await lanes.next_events(connection)

    assert [event.id for event in events] == [first, second]
    assert is_in_order(events)


async def test_only_events_of_the_feeds_own_shards_overtake(connection: Connection, dsn: str, clock: FakeClock) -> None:
    lanes = SideLanes(batch_size=BATCH, clock=clock)
    await backlog(dsn, connection, lanes, 2_000)
    async with session(dsn) as driver:
        event_id = await emit(driver, tenant="small")
        shard = await driver.fetchval(_SHARD_OF, event_id)
    others = [each for each in range(64) if each != shard]

    assert await lanes.next_events(connection, shards=others) == ()


async def test_a_failed_event_comes_when_it_is_due_and_its_shard_is_ours(
    connection: Connection, dsn: str, clock: FakeClock
) -> None:
    lanes = SideLanes(batch_size=BATCH, clock=clock)
    async with session(dsn) as driver:
        due, later = await emit(driver), await emit(driver)
        await driver.execute(
            "insert into rowcast.event_state (event_id, status, next_attempt_at) values"
            " ($1, 'failed', now() - interval '1 s'), ($2, 'failed', now() + interval '1 h')", due, later,
        )  # fmt: skip
        shard = await driver.fetchval(_SHARD_OF, due)

    assert await lanes.next_events(connection, shards=[each for each in range(64) if each != shard]) == ()
    clock.tick(1.0)
    assert [event.id for event in await lanes.next_events(connection, shards=[shard])] == [due]


async def test_the_retry_lane_is_looked_at_now_and_then_only(
    connection: Connection, dsn: str, clock: FakeClock
) -> None:
    lanes = SideLanes(batch_size=BATCH, clock=clock)
    assert await lanes.next_events(connection) == ()
    async with session(dsn) as driver:
        await driver.execute(
            "insert into rowcast.event_state (event_id, status, next_attempt_at) values ($1, 'failed', now())",
            await emit(driver),
        )

    assert await lanes.next_events(connection) == ()
    clock.tick(1.0)
    assert len(await lanes.next_events(connection)) == 1


async def test_behind_a_backlog_that_takes_long_to_look_through_a_fresh_event_is_among_the_first(
    connection: Connection, dsn: str, clock: FakeClock
) -> None:
    lanes = SideLanes(batch_size=BATCH, clock=clock)
    await backlog(dsn, connection, lanes, 120_000)
    async with session(dsn) as driver:
        fresh = [await emit(driver, tenant="small", key="k1") for _ in range(3)]
    assert lanes._position == 0
    taken = await lanes.next_events(connection)

    assert [event.id for event in taken] == fresh
    assert lanes._position < 1_000, "the cursor has not looked through the backlog"


async def test_an_old_event_of_a_fresh_tenant_goes_before_its_new_ones(
    connection: Connection, dsn: str, clock: FakeClock
) -> None:
    lanes = SideLanes(batch_size=4, clock=clock)
    async with session(dsn) as driver:
        await emit_some(dsn, 200, tenant="flood")
        old = [await emit(driver, tenant="small", key="k1") for _ in range(3)]
        await emit_some(dsn, 60_000, tenant="flood")
        new = [await emit(driver, tenant="small", key="k1") for _ in range(3)]
    main = await oldest(connection, 4)
    lanes.passed(main, is_more=True)
    first = await lanes.next_events(connection)
    await settle(connection, first)
    lanes.settled()

    assert [event.id for event in first] == [*old, new[0]]


async def test_the_lane_that_looks_ahead_and_the_newest_tenants_take_turns(
    connection: Connection, dsn: str, clock: FakeClock
) -> None:
    lanes = SideLanes(batch_size=BATCH, clock=clock)
    await emit_some(dsn, 200, tenant="flood")
    async with session(dsn) as driver:
        middle = await emit(driver, tenant="middle")
    await backlog(dsn, connection, lanes, 60_000)
    await emit_some(dsn, 500, tenant="small")
    seen: list[set[str]] = []
    for _ in range(2):
        taken = await lanes.next_events(connection)
        seen.append({event.tenant_id for event in taken})
        await settle(connection, taken)
        lanes.settled()
        lanes.passed(await oldest(connection), is_more=True)

    assert seen[0] == {"small"}
    assert middle in {event.id for event in taken}
