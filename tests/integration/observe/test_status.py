"""The status counts what is there."""

import asyncio
from datetime import timedelta

from rowcast.observe.status import DeliveryCount, StatusReader
from rowcast.store.pool import Database, PoolSettings, open_database
from rowcast.store.sql import parse_query

_EMIT = parse_query("emit", "select rowcast.emit('acme', 'orders.made', '{}') from generate_series(1, :count)")
_SETTLE = parse_query(
    "settle",
    "insert into rowcast.event_state (event_id, status) select id, :status from ("
    " select id from rowcast.event e where not exists (select 1 from rowcast.event_state s where s.event_id = e.id)"
    " order by seq limit :count) e",
)
_AGE = parse_query("age", "update rowcast.event set created_at = created_at - :age::interval")
_DELIVER = parse_query(
    "deliver",
    "insert into rowcast.delivery (tenant_id, sink, target, status, due_at)"
    " select 'acme', :sink, 't', :status, now() + :wait::interval from generate_series(1, :count)",
)
_FLUSH = parse_query("flush", "select pg_stat_force_next_flush()")


async def _fill(database: Database) -> None:
    await database.fetch(_EMIT, count=10)
    for status, count in (("published", 5), ("failed", 2), ("dead", 1)):
        await database.execute(_SETTLE, status=status, count=count)
    await database.execute(_AGE, age=timedelta(minutes=5))


async def test_events_are_counted_by_status_with_the_age_of_the_oldest_pending_one(database: Database) -> None:
    await _fill(database)

    events = (await StatusReader(database=database).read()).events

    assert (events.pending, events.failed, events.dead) == (2, 2, 1)
    assert 299 < events.oldest_pending_seconds < 400


async def test_published_events_are_what_the_statistics_say(dsn: str) -> None:
    async with open_database(dsn, PoolSettings(max_size=1)) as database:
        await _fill(database)
        await database.fetch(_FLUSH)
        reader = StatusReader(database=database)
        async with asyncio.timeout(20):
            while (await reader.read()).events.published != 5:
                await database.fetch(_FLUSH)


async def test_an_empty_database_has_nothing_to_do(database: Database) -> None:
    status = await StatusReader(database=database).read()

    assert (status.events.pending, status.events.oldest_pending_seconds) == (0, 0.0)
    assert (status.deliveries, status.slots, status.open_gaps) == ((), (), 0)


async def test_deliveries_are_counted_by_sink_and_status_with_the_longest_wait(database: Database) -> None:
    for sink, status, wait_s, count in (
        ("webhooks", "waiting", -60, 3),
        ("webhooks", "waiting", 600, 2),
        ("webhooks", "delivered", 0, 9),
        ("jobs", "running", 0, 1),
        ("jobs", "dead", 0, 4),
    ):
        await database.execute(_DELIVER, sink=sink, status=status, wait=timedelta(seconds=wait_s), count=count)

    counts = (await StatusReader(database=database).read()).deliveries

    assert [(count.sink, count.status, count.deliveries) for count in counts] == [
        ("jobs", "dead", 4),
        ("jobs", "running", 1),
        ("webhooks", "waiting", 5),
    ]
    assert 59 < counts[2].overdue_seconds < 200
    assert counts[1] == DeliveryCount("jobs", "running", 1, 0.0)


async def test_counting_stops_at_the_cap(database: Database) -> None:
    await database.execute(_DELIVER, sink="jobs", status="waiting", wait=timedelta(0), count=50)

    counts = (await StatusReader(database=database, cap=20).read()).deliveries

    assert counts[0].deliveries == 20


async def test_a_slot_shows_how_much_log_is_kept_for_it(database: Database) -> None:
    await database.fetch(parse_query("slot", "select pg_create_logical_replication_slot('rowcast_status', 'pgoutput')"))
    await database.fetch(_EMIT, count=100)

    (slot,) = (await StatusReader(database=database).read()).slots

    assert (slot.name, slot.is_active, slot.wal_status) == ("rowcast_status", False, "reserved")
    assert slot.retained_bytes >= slot.lag_bytes > 0
