"""How much waits, and how long the oldest has waited."""

from rowcast.outbox import stats
from rowcast.outbox.low_bound import LowBound
from rowcast.outbox.stats import OutboxStats, oldest_pending_seconds, outbox_stats
from rowcast.store.pool import Database, open_database
from tests.integration.outbox.events import emit, emit_some, session


async def test_an_empty_outbox_waits_for_nothing(database: Database) -> None:
    assert await outbox_stats(database) == OutboxStats(0, 0, 0.0)
    assert await oldest_pending_seconds(database) == 0.0


async def test_the_age_is_that_of_the_oldest_event_without_a_state(database: Database, dsn: str) -> None:
    async with session(dsn) as driver:
        settled, old, _ = await emit(driver), await emit(driver), await emit(driver)
        await driver.execute("insert into rowcast.event_state (event_id, status) values ($1, 'published')", settled)
        await driver.execute("update rowcast.event set created_at = now() - interval '1 day' where id = $1", settled)
        await driver.execute("update rowcast.event set created_at = now() - interval '100 s' where id = $1", old)

    assert 100 <= await oldest_pending_seconds(database) < 110
    assert (await outbox_stats(database)).pending == 2


async def test_failed_events_are_counted_apart(database: Database, dsn: str) -> None:
    async with session(dsn) as driver:
        for status in ("failed", "failed", "dead", "published"):
            await driver.execute(
                "insert into rowcast.event_state (event_id, status) values ($1, $2)", await emit(driver), status
            )

    assert await outbox_stats(database) == OutboxStats(0, 2, 0.0)


async def test_a_large_number_is_an_upper_bound_and_says_so(database: Database, dsn: str) -> None:
    await emit_some(dsn, stats.COUNT_LIMIT + 500)
    found = await outbox_stats(database)

    assert not found.is_exact
    assert found.pending >= stats.COUNT_LIMIT + 500


async def test_what_is_settled_is_not_read_again(dsn: str) -> None:
    await emit_some(dsn, 20_000)
    async with session(dsn) as driver:
        await driver.execute(
            "insert into rowcast.event_state (event_id, status) select id, 'published' from rowcast.event"
        )
    async with open_database(dsn) as first:
        await LowBound(database=first).advance()
    before = await rows_read(dsn)
    async with open_database(dsn) as second:
        await outbox_stats(second)

    # A session counts what it has read when it ends.
    assert await rows_read(dsn) - before < 100


async def rows_read(dsn: str) -> int:
    async with session(dsn) as driver:
        return int(await driver.fetchval(
            "select coalesce(sum(idx_tup_fetch + seq_tup_read), 0) from pg_stat_user_tables where relname like 'event%'"
        ))  # fmt: skip
