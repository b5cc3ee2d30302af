"""Reading the table once, in order, from the oldest event that may be pending."""

from collections.abc import AsyncIterator

import pytest_asyncio

from rowcast.capture.healing import begin_healing
from rowcast.store.pool import Connection, Database
from tests.integration.capture.feeding import emit, run


@pytest_asyncio.fixture
async def connection(database: Database) -> AsyncIterator[Connection]:
    async with database.connection() as opened:
        yield opened


async def test_an_empty_outbox_is_over_at_once(connection: Connection) -> None:
    healing = await begin_healing(connection, batch_size=10)

    assert healing.is_over
    assert await healing.next_events(connection) == ()


async def test_pending_events_come_in_order_and_settled_ones_do_not(connection: Connection, dsn: str) -> None:
    emit(dsn, 25)
    run(
        dsn,
        "insert into rowcast.event_state (event_id, status) select id, 'published' from rowcast.event where seq %% 5 = 0",
        [],
    )
    healing = await begin_healing(connection, batch_size=8)
    seqs = []
    while events := await healing.next_events(connection):
        seqs += [event.seq for event in events]
        healing.settled()

    assert seqs == [number for number in range(1, 26) if number % 5]
    assert (healing.is_over, healing.healed_events) == (True, 20)


async def test_what_was_not_settled_comes_again(connection: Connection, dsn: str) -> None:
    emit(dsn, 5)
    healing = await begin_healing(connection, batch_size=3)
    first = await healing.next_events(connection)

    assert await healing.next_events(connection) == first
    healing.settled()
    assert [event.seq for event in await healing.next_events(connection)] == [4, 5]


async def test_it_begins_at_the_low_bound_and_ends_where_the_numbers_ended_when_it_began(
    connection: Connection, dsn: str
) -> None:
    emit(dsn, 10)
    run(dsn, "update rowcast.feed_cursor set low_seq = 4 where shard >= 0")
    healing = await begin_healing(connection, batch_size=100)
    emit(dsn, 10)

    assert [event.seq for event in await healing.next_events(connection)] == [4, 5, 6, 7, 8, 9, 10]


async def test_stretches_where_everything_is_settled_are_passed_over(connection: Connection, dsn: str) -> None:
    emit(dsn, 3)
    run(dsn, "select setval('rowcast.event_seq', 200000)")
    emit(dsn, 3)
    healing = await begin_healing(connection, batch_size=3)
    assert [event.seq for event in await healing.next_events(connection)] == [1, 2, 3]
    healing.settled()

    assert [event.seq for event in await healing.next_events(connection)] == [200001, 200002, 200003]
