"""Several claim feeds on one database: fair shares, order, takeover, and a fence that nobody can pass."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from rowcast.core.envelope import Envelope
from rowcast.core.errors import StoreUnavailableError
from rowcast.outbox.claim_feed import ClaimFeed
from rowcast.store.pool import Database
from tests.integration.outbox.events import emit, emit_some, is_in_order, session, settle, statuses

Open = Callable[..., Awaitable[ClaimFeed]]


@pytest_asyncio.fixture
async def feeds(dsn: str) -> AsyncIterator[Open]:
    """`await feeds(lease_s=...)` opens one more feed."""
    async with AsyncExitStack() as stack:

        async def one_more(*, lease_s: float = 5.0, batch_size: int = 100) -> ClaimFeed:
            feed = ClaimFeed(dsn=dsn, lease_s=lease_s, batch_size=batch_size)
            await feed.open()
            stack.push_async_callback(feed.close)
            return feed

        yield one_more


async def until(condition: Callable[[], object], *polled: ClaimFeed) -> None:
    """Let feeds look for work until something has become so."""
    async with asyncio.timeout(20):
        while not condition():
            for feed in polled:
                await feed.poll()
            await asyncio.sleep(0.05)


# Other tests have feeds in other databases of the same server.
_FEEDS = """
select count(*) from pg_locks where locktype = 'advisory' and objid = 64
  and database = (select oid from pg_database where datname = current_database())
"""


async def sessions(dsn: str) -> int:
    """Give how many claim feeds this database has."""
    async with session(dsn) as driver:
        return int(await driver.fetchval(_FEEDS))


async def test_one_feed_alone_holds_every_shard(feeds: Open) -> None:
    assert len((await feeds()).shards) == 64


async def test_live_feeds_share_the_shards_fairly_and_no_shard_twice(feeds: Open) -> None:
    first, second, third = [await feeds() for _ in range(3)]
    await until(
        lambda: sorted(len(feed.shards) for feed in (first, second, third)) == [20, 22, 22], first, second, third
    )

    assert first.shards | second.shards | third.shards == frozenset(range(64))


async def test_the_shards_of_a_feed_that_closes_are_taken_by_the_others(feeds: Open) -> None:
    first, second = await feeds(), await feeds()
    await until(lambda: len(second.shards) == 32, first, second)
    await first.close()

    await until(lambda: len(second.shards) == 64, second)


async def test_a_surplus_is_not_given_away_while_its_batch_is_being_worked_on(feeds: Open, dsn: str) -> None:
    first = await feeds(lease_s=3.0)
    await emit_some(dsn, 50, keys=50)
    batch = await first.next_batch()
    second = await feeds(lease_s=3.0)
    for _ in range(12):
        assert await second.poll() is None
        await asyncio.sleep(0.1)

    assert second.shards == frozenset()
    await settle(first, batch)


async def test_three_feeds_at_once_keep_the_order_of_each_aggregate(feeds: Open, dsn: str, database: Database) -> None:
    told: list[Envelope] = []

    async def relay(feed: ClaimFeed) -> None:
        while True:
            batch = await feed.next_batch()
            told.extend(batch.events)
            await asyncio.sleep(0)
            await settle(feed, batch)

    async with asyncio.TaskGroup() as group:
        relays = [group.create_task(relay(await feeds(batch_size=37))) for _ in range(3)]
        for _ in range(20):
            await emit_some(dsn, 100, keys=40)
            await asyncio.sleep(0.08)
        async with asyncio.timeout(20):
            while (await statuses(database)).get("pending"):
                await asyncio.sleep(0.05)
        for task in relays:
            task.cancel()

    assert is_in_order(told)
    assert len(told) == len({event.id for event in told}) == 2000


async def test_a_frozen_feed_loses_its_session_and_changes_nothing_when_it_wakes(
    feeds: Open, dsn: str, database: Database
) -> None:
    frozen = await feeds(lease_s=1.0)
    await emit_some(dsn, 5)
    batch = await frozen.next_batch()
    async with asyncio.timeout(30):
        while await sessions(dsn):  # it gives no sign of life, and the server ends it
            await asyncio.sleep(0.1)
    second = await feeds()
    again = await second.next_batch()

    with pytest.raises(StoreUnavailableError):
        await settle(frozen, batch)
    assert {event.id for event in again.events} == {event.id for event in batch.events}
    assert await statuses(database) == {"pending": 5}
    await settle(second, again)
    assert await statuses(database) == {"published": 5}


async def test_an_idle_feed_that_polls_keeps_its_session_past_the_lease(feeds: Open, dsn: str) -> None:
    feed = await feeds(lease_s=1.0)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(2.5):
            await feed.next_batch()
    await emit_some(dsn, 1)

    assert len((await feed.next_batch()).events) == 1


async def test_a_nudge_ends_the_wait_for_the_next_poll(feeds: Open, dsn: str) -> None:
    feed = await feeds()
    async with asyncio.TaskGroup() as group, session(dsn) as driver:
        waiting = group.create_task(feed.next_batch())
        await asyncio.sleep(1.5)  # by now it polls four times a second
        feed._wait_s = 3600.0
        await asyncio.sleep(0.4)
        event_id = await emit(driver)
        feed.nudge()
        async with asyncio.timeout(5):
            batch = await waiting

    assert [event.id for event in batch.events] == [event_id]


# Transaction numbers are the whole cluster's, and other tests draw them: so the versions of the rows are compared.
_ROW_VERSIONS = """
select (select string_agg(xmin::text || ctid::text, ' ' order by shard) from rowcast.feed_cursor)
       || (select string_agg(xmin::text || ctid::text, ' ' order by event_id) from rowcast.event_state)
"""


async def test_a_poll_that_finds_nothing_new_writes_nothing(feeds: Open, dsn: str) -> None:
    feed = await feeds()
    await emit_some(dsn, 10)
    await settle(feed, await feed.next_batch())
    await asyncio.sleep(1.1)
    await feed.poll()
    async with session(dsn) as driver:
        before = await driver.fetchval(_ROW_VERSIONS)
        for _ in range(20):
            assert await feed.poll() is None
            await asyncio.sleep(0.06)

        assert await driver.fetchval(_ROW_VERSIONS) == before
