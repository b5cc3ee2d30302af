"""One suite for every feed: committed events, in order, again until they are settled, and nothing passed over."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack

import asyncpg
import pytest
import pytest_asyncio

from rowcast.core.envelope import Envelope
from rowcast.core.errors import StoreUnavailableError
from rowcast.outbox.claim_feed import ClaimFeed
from rowcast.outbox.feed import Batch, Feed
from rowcast.outbox.options import RelayOptions
from rowcast.outbox.publisher import NewState, record_of
from rowcast.outbox.relay import Relay
from rowcast.store.pool import Database
from tests.contract.feeds import FEEDS, make_feed
from tests.integration.outbox.events import Recorder, emit, emit_some, is_in_order, session, settle, statuses
from tests.record import failed

Make = Callable[..., Feed]


@pytest.fixture(params=FEEDS)
def make(request: pytest.FixtureRequest, dsn: str) -> Make:
    """`make(batch_size=..., lease_s=...)` gives a feed of one more process."""
    return lambda **values: make_feed(request.param, dsn, **values)


@pytest_asyncio.fixture
async def feed(make: Make) -> AsyncIterator[Feed]:
    """An open feed."""
    async with AsyncExitStack() as stack:
        yield await opened(stack, make())


async def opened(stack: AsyncExitStack, feed: Feed) -> Feed:
    await feed.open()
    stack.push_async_callback(feed.close)
    return feed


async def next_batch(feed: Feed) -> Batch:
    async with asyncio.timeout(20):
        return await feed.next_batch()


async def fresh_events(database: Database, batch: Batch) -> list[Envelope]:
    """Give what a relay would tell: a stream may repeat events that have their state already."""
    async with database.connection() as connection:
        rows = await connection.driver.fetch(
            "select event_id from rowcast.event_state where event_id = any($1::uuid[]) and status = 'published'",
            [event.id for event in batch.events],
        )
    settled = {row["event_id"] for row in rows}
    return [event for event in batch.events if event.id not in settled]


async def is_silent(feed: Feed, database: Database) -> bool:
    """Tell whether nothing new comes although there was time for several polls."""
    try:
        async with asyncio.timeout(0.8):
            while True:
                batch = await feed.next_batch()
                if await fresh_events(database, batch):
                    return False
                await settle(feed, batch)
    except TimeoutError:
        return True


async def collect(feed: Feed, database: Database, wanted: Iterable[uuid.UUID] | int) -> list[Envelope]:
    """Settle batch after batch until everything wanted has come; give what was told, in order."""
    events: list[Envelope] = []
    left = set() if isinstance(wanted, int) else set(wanted)
    while left or (isinstance(wanted, int) and len(events) < wanted):
        batch = await next_batch(feed)
        told = await fresh_events(database, batch)
        events += told
        left -= {event.id for event in told}
        await settle(feed, batch)
    return events


async def test_a_committed_event_is_handed_out_with_everything_it_carries(feed: Feed, dsn: str) -> None:
    async with session(dsn) as driver:
        event_id = await driver.fetchval(
            "select rowcast.emit_json('acme', 'orders.placed', '{\"a\": [1, \"é\"]}', 'order', 'o1', 2, null, '2026-01-02 03:04:05+00',"
            " '00-trace', 'orders:acme')"
        )
        seq = await driver.fetchval("select seq from rowcast.event")
    (event,) = (await next_batch(feed)).events

    assert (str(event.id), event.seq, event.tenant_id) == (str(event_id), seq, "acme")
    assert (event.aggregate_type, event.aggregate_id, event.event_type, event.version) == (
        "order",
        "o1",
        "orders.placed",
        2,
    )
    assert (event.payload_value(), event.traceparent, event.topic) == ({"a": [1, "é"]}, "00-trace", "orders:acme")
    assert event.occurred_at.isoformat() == "2026-01-02T03:04:05+00:00"


async def test_an_event_is_not_handed_out_before_its_transaction_commits(
    feed: Feed, dsn: str, database: Database
) -> None:
    async with session(dsn) as driver:
        async with driver.transaction():
            event_id = await emit(driver)
            assert await is_silent(feed, database)

        assert [event.id for event in await collect(feed, database, 1)] == [event_id]


async def test_an_event_that_was_rolled_back_is_never_handed_out(feed: Feed, dsn: str, database: Database) -> None:
    async with session(dsn) as driver:
        transaction = driver.transaction()
        await transaction.start()
        await emit(driver)
        await transaction.rollback()
        kept = await emit(driver)

    assert [event.id for event in await collect(feed, database, 1)] == [kept]
    assert await is_silent(feed, database)


async def test_what_was_committed_before_the_feed_opened_comes_too(make: Make, dsn: str, database: Database) -> None:
    async with AsyncExitStack() as stack:
        first = await opened(stack, make())
        await first.close()
        await emit_some(dsn, 25)
        feed = await opened(stack, make(batch_size=10))

        assert len(await collect(feed, database, 25)) == 25


async def test_an_aggregates_events_come_in_order_across_batches(make: Make, dsn: str, database: Database) -> None:
    async with AsyncExitStack() as stack:
        feed = await opened(stack, make(batch_size=7))
        await emit_some(dsn, 100, keys=3)
        events = await collect(feed, database, 100)

    assert is_in_order(events)
    assert len({event.id for event in events}) == 100


async def test_a_batch_that_was_not_settled_comes_again(make: Make, dsn: str, database: Database) -> None:
    async with AsyncExitStack() as stack:
        feed = await opened(stack, make())
        await emit_some(dsn, 5)
        first = {event.id for event in (await next_batch(feed)).events}
        await feed.close()
        await feed.open()

        assert first
        assert first <= {event.id for event in await collect(feed, database, 5)}


async def test_a_settled_batch_does_not_come_again(make: Make, dsn: str, database: Database) -> None:
    async with AsyncExitStack() as stack:
        feed = await opened(stack, make())
        await emit_some(dsn, 5)
        await collect(feed, database, 5)
        await feed.close()
        await feed.open()

        assert await is_silent(feed, database)


async def test_when_settling_fails_nothing_of_it_remains_and_the_batch_comes_again(
    make: Make, dsn: str, database: Database
) -> None:
    async with AsyncExitStack() as stack:
        feed = await opened(stack, make())
        await emit_some(dsn, 1)
        batch = await next_batch(feed)
        unknown = NewState(batch.events[0], "nonsense")
        with pytest.raises(asyncpg.CheckViolationError):
            await feed.settle(batch, record_of([NewState(batch.events[0], "published"), unknown]))
        async with database.connection() as connection:
            assert await connection.driver.fetchval("select count(*) from rowcast.event_state") == 0
        await feed.close()
        await feed.open()

        assert [event.id for event in await collect(feed, database, 1)] == [batch.events[0].id]


async def test_an_event_that_commits_late_is_not_passed_over(feed: Feed, dsn: str, database: Database) -> None:
    async with session(dsn) as slow, session(dsn) as fast:
        transaction = slow.transaction()
        await transaction.start()
        late = await emit(slow, key="slow")
        early = [await emit(fast, key="fast") for _ in range(5)]
        await collect(feed, database, early)
        await transaction.commit()

        assert [event.id for event in await collect(feed, database, [late])] == [late]


async def test_waiting_can_be_cancelled_at_any_moment(feed: Feed, dsn: str, database: Database) -> None:
    for wait_s in (0.0, 0.001, 0.003, 0.01, 0.03):
        try:
            async with asyncio.timeout(wait_s):
                batch = await feed.next_batch()
                pytest.fail(f"nothing was emitted, and yet {batch} came")
        except TimeoutError:
            continue
    await emit_some(dsn, 3)

    assert len(await collect(feed, database, 3)) == 3


async def test_a_failed_event_comes_again_when_its_time_has_come(feed: Feed, dsn: str, database: Database) -> None:
    async with session(dsn) as driver:
        event_id = await emit(driver)
        batch = await next_batch(feed)
        await feed.settle(batch, failed(batch.events, wait_s=86_400.0))
        await feed.acknowledge(batch)
        assert await is_silent(feed, database)
        await driver.execute("update rowcast.event_state set next_attempt_at = clock_timestamp()")

        assert [event.id for event in (await next_batch(feed)).events] == [event_id]


async def test_a_fresh_event_of_another_tenant_overtakes_a_backlog(make: Make, dsn: str, database: Database) -> None:
    async with AsyncExitStack() as stack:
        feed = await opened(stack, make(batch_size=100))
        await emit_some(dsn, 20_000, tenant="flood", keys=50)
        await settle(feed, await next_batch(feed))
        async with session(dsn) as driver:
            fresh = [await emit(driver, tenant="small", key="k1") for _ in range(3)]
        batches = 0
        found: list[uuid.UUID] = []
        while len(found) < 3:
            batch = await next_batch(feed)
            found += [event.id for event in await fresh_events(database, batch) if event.tenant_id == "small"]
            await settle(feed, batch)
            batches += 1
            assert batches <= 6, "200 batches of the backlog lie before it"

        assert found == fresh


async def test_overtaking_breaks_no_order_and_loses_nothing(make: Make, dsn: str, database: Database) -> None:
    async with AsyncExitStack() as stack:
        feed = await opened(stack, make(batch_size=50))
        for tenant in ("flood", "small", "flood", "other"):
            await emit_some(dsn, 1_000 if tenant == "flood" else 60, tenant=tenant, keys=4)
        events = await collect(feed, database, 2_120)

    assert is_in_order(events)
    assert len({event.id for event in events}) == 2_120


async def test_a_sign_of_life_keeps_a_batch_that_takes_longer_than_the_lease(
    make: Make, dsn: str, database: Database
) -> None:
    async with AsyncExitStack() as stack:
        feed = await opened(stack, make(lease_s=1.0))
        await emit_some(dsn, 1)
        batch = await next_batch(feed)
        async with asyncio.TaskGroup() as group:
            beat = group.create_task(feed.keep_alive())
            await asyncio.sleep(2.5)
            await settle(feed, batch)
            beat.cancel()
        await emit_some(dsn, 1)

        assert len(await collect(feed, database, 1)) == 1


async def test_when_the_server_ends_every_session_the_feed_says_so_and_opens_again(
    make: Make, dsn: str, database: Database
) -> None:
    async with AsyncExitStack() as stack:
        feed = await opened(stack, make())
        await emit_some(dsn, 2)
        batch = await next_batch(feed)
        async with session(dsn) as driver:
            await driver.execute(
                "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
        with pytest.raises(StoreUnavailableError):
            await settle(feed, batch)
        await feed.close()
        async with asyncio.timeout(20):
            await feed.open()

        assert len(await collect(feed, database, 2)) == 2


async def test_a_batch_of_a_feed_that_was_closed_cannot_be_settled(make: Make, dsn: str, database: Database) -> None:
    async with AsyncExitStack() as stack:
        feed = await opened(stack, make())
        await emit_some(dsn, 1)
        batch = await next_batch(feed)
        await feed.close()
        with pytest.raises(StoreUnavailableError):
            await settle(feed, batch)
        await feed.open()
        with pytest.raises(StoreUnavailableError):
            await settle(feed, batch)

        assert len(await collect(feed, database, 1)) == 1


def make_relay(make: Make, dsn: str, database: Database, handler: Recorder) -> Relay:
    options = RelayOptions(spare_feed=lambda: ClaimFeed(dsn=dsn))
    return Relay(feed=make(batch_size=30), handler=handler, database=database, options=options)


async def until_published(database: Database, count: int) -> None:
    async with asyncio.timeout(40):
        while (await statuses(database)).get("published", 0) < count:
            await asyncio.sleep(0.05)


async def test_two_relays_that_are_cut_off_again_and_again_publish_everything_in_order(
    make: Make, dsn: str, database: Database
) -> None:
    handler = Recorder()
    relays = [make_relay(make, dsn, database, handler) for _ in range(2)]
    async with asyncio.TaskGroup() as group, session(dsn) as driver:
        for relay in relays:
            group.create_task(relay.run())
        for turn in range(16):
            await emit_some(dsn, 50, keys=12)
            await asyncio.sleep(0.1)
            if turn % 4 == 1:
                await driver.execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity"
                    " where datname = current_database() and pid <> pg_backend_pid()"
                )
        await until_published(database, 800)
        for relay in relays:
            relay.stop()

    assert is_in_order(handler.told)
    async with session(dsn) as driver:
        assert await driver.fetchval("select count(*) from rowcast.delivery") == 800
        assert await driver.fetchval("select count(distinct event_id) from rowcast.delivery") == 800


async def test_a_drain_beside_a_running_relay_waits_for_it_and_tells_nothing_itself(
    make: Make, dsn: str, database: Database
) -> None:
    running, draining = Recorder(), Recorder()
    relay = make_relay(make, dsn, database, running)
    async with asyncio.TaskGroup() as group:
        group.create_task(relay.run())
        await emit_some(dsn, 1)
        await until_published(database, 1)
        await emit_some(dsn, 400)
        drained = await make_relay(make, dsn, database, draining).drain()
        assert await statuses(database) == {"published": 401}
        relay.stop()

    assert draining.told == []
    assert drained.failed == drained.skipped == 0
    assert len(running.told) == 401
