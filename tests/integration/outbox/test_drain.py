"""One drain: correct where no relay runs, and beside running ones."""

import asyncio

from rowcast.core.codec import encode_json
from rowcast.outbox.claim_feed import ClaimFeed
from rowcast.outbox.drain import Drained
from rowcast.outbox.options import RelayOptions
from rowcast.outbox.relay import Relay
from rowcast.store.pool import Database
from tests.integration.outbox.events import Recorder, emit, emit_some, is_in_order, session, statuses


def make_relay(database: Database, dsn: str, handler: Recorder, **options: object) -> Relay:
    return Relay(
        feed=ClaimFeed(dsn=dsn, batch_size=50),
        handler=handler,
        database=database,
        options=RelayOptions(spare_feed=lambda: ClaimFeed(dsn=dsn, batch_size=50), **options),  # type: ignore[arg-type]
    )


async def test_where_no_relay_runs_a_drain_publishes_all_that_is_pending(database: Database, dsn: str) -> None:
    handler = Recorder(error=lambda event: "no" if event.aggregate_id == "k3" else None)
    await emit_some(dsn, 120, keys=10)
    drained = await make_relay(database, dsn, handler).drain()

    assert drained == Drained(published=108, failed=12, skipped=0, oldest_pending_seconds=0.0)
    assert await statuses(database) == {"published": 108, "failed": 12}
    assert is_in_order(handler.told)


async def test_the_answer_has_the_names_that_the_api_promises(database: Database, dsn: str) -> None:
    drained = await make_relay(database, dsn, Recorder()).drain()

    assert encode_json(drained) == b'{"published":0,"failed":0,"skipped":0,"oldestPendingSeconds":0.0}'


async def test_beside_a_running_relay_a_drain_waits_for_it_and_tells_nothing_twice(
    database: Database, dsn: str
) -> None:
    running, draining = Recorder(), Recorder()
    relay = make_relay(database, dsn, running)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(relay.run())
        while not await held(dsn):
            await asyncio.sleep(0.02)
        await emit_some(dsn, 300)
        drained = await make_relay(database, dsn, draining).drain()
        assert await statuses(database) == {"published": 300}
        relay.stop()
        await task

    assert (len(running.told), draining.told) == (300, [])
    assert drained.failed == 0
    assert drained.published <= 300


async def test_two_drains_at_once_tell_each_event_once(database: Database, dsn: str) -> None:
    handlers = [Recorder(), Recorder()]
    await emit_some(dsn, 400, keys=40)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(make_relay(database, dsn, handler).drain()) for handler in handlers]

    told = [event.id for handler in handlers for event in handler.told]
    assert len(told) == len(set(told)) == 400
    assert await statuses(database) == {"published": 400}
    assert sum(task.result().published for task in tasks) >= 400


async def test_a_drain_that_may_not_relay_itself_ends_when_its_time_is_up(database: Database, dsn: str) -> None:
    await emit_some(dsn, 3)
    relay = Relay(
        feed=ClaimFeed(dsn=dsn), handler=Recorder(), database=database,
        options=RelayOptions(drain_timeout_s=0.3),
    )  # fmt: skip
    drained = await relay.drain()

    assert (drained.published, drained.failed) == (0, 0)
    assert drained.oldest_pending_seconds > 0


async def test_a_drain_tries_failed_events_again_that_are_due(database: Database, dsn: str) -> None:
    async with session(dsn) as driver:
        await driver.execute(
            "insert into rowcast.event_state (event_id, status, next_attempt_at) values ($1, 'failed', now())",
            await emit(driver),
        )
    drained = await make_relay(database, dsn, Recorder()).drain()

    assert drained.published == 1
    assert await statuses(database) == {"published": 1}


async def held(dsn: str) -> bool:
    async with session(dsn) as driver:
        return bool(
            await driver.fetchval(
                "select count(*) = 65 from pg_locks where locktype = 'advisory'"
                " and database = (select oid from pg_database where datname = current_database())"
            )
        )
