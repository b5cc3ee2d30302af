"""Partitions ahead, old days off the tables, old deliveries deleted, and never anything that is still owed."""

from datetime import UTC, date, datetime, timedelta

from rowcast.core.ids import uuid7
from rowcast.core.telemetry import listening
from rowcast.outbox.archive import Archive, Retention
from rowcast.outbox.low_bound import LowBound
from rowcast.store.pool import Database
from tests.integration.outbox.events import emit, session

TODAY = datetime.now(UTC).date()
OLD = TODAY - timedelta(days=40)


def make_archive(database: Database, **retention: object) -> Archive:
    return Archive(database=database, retention=Retention(**retention), noise=lambda: 0.0)  # type: ignore[arg-type]


async def old_event(driver: object, day: date = OLD, status: str | None = "published") -> object:
    """Write an event of a past day, in that day's partition."""
    at = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    event_id = uuid7(at)
    await driver.execute("select rowcast.make_partition($1)", day)  # type: ignore[attr-defined]
    await driver.execute(  # type: ignore[attr-defined]
        "select rowcast.emit_json('acme', 'orders.placed', '{}', 'order', 'o1', 1, $1, null, null, null)", event_id
    )
    if status:
        await driver.execute("insert into rowcast.event_state (event_id, status) values ($1, $2)", event_id, status)  # type: ignore[attr-defined]
    return event_id


async def tables(driver: object) -> set[str]:
    rows = await driver.fetch(  # type: ignore[attr-defined]
        "select relname from pg_class where relnamespace = 'rowcast'::regnamespace and relkind = 'r' and relname ~ 'event.*[0-9]{8}$'"
    )
    return {row[0] for row in rows}


def names(day: date, prefix: str = "") -> set[str]:
    return {f"{prefix}event_{day:%Y%m%d}", f"{prefix}event_state_{day:%Y%m%d}"}


async def test_partitions_are_made_for_the_days_ahead(database: Database, dsn: str) -> None:
    await make_archive(database, ahead_days=3).run_once()
    async with session(dsn) as driver:
        found = await tables(driver)

    assert all(names(TODAY + timedelta(days=ahead)) <= found for ahead in range(4))


async def test_a_settled_old_day_is_detached_and_stays_for_the_operator(database: Database, dsn: str) -> None:
    async with session(dsn) as driver:
        event_id = await old_event(driver)
        await LowBound(database=database).advance()
        archived = await make_archive(database).run_once()

        assert (archived.detached, archived.busy) == ((OLD,), ())
        assert names(OLD, "archived_") <= await tables(driver)
        assert await driver.fetchval("select count(*) from rowcast.event where id = $1", event_id) == 0
        assert await driver.fetchval(f"select id from rowcast.archived_event_{OLD:%Y%m%d}") == event_id
        assert await driver.fetchval(f"select status from rowcast.archived_event_state_{OLD:%Y%m%d}") == "published"


async def test_a_detached_day_is_dropped_where_the_setting_says_so(database: Database, dsn: str) -> None:
    async with session(dsn) as driver:
        await old_event(driver)
        await LowBound(database=database).advance()
        await make_archive(database, drop_detached=True).run_once()

        assert not (names(OLD) | names(OLD, "archived_")) & await tables(driver)


async def test_a_day_with_a_pending_event_stays(database: Database, dsn: str) -> None:
    async with session(dsn) as driver:
        await old_event(driver, status=None)
        await LowBound(database=database).advance()
        archived = await make_archive(database).run_once()

        assert (archived.detached, archived.busy) == ((), (OLD,))
        assert names(OLD) <= await tables(driver)


async def test_a_day_with_a_failed_event_stays(database: Database, dsn: str) -> None:
    async with session(dsn) as driver:
        await old_event(driver, status="failed")
        await LowBound(database=database).advance()

        assert (await make_archive(database).run_once()).busy == (OLD,)


async def test_a_day_whose_delivery_is_still_owed_stays(database: Database, dsn: str) -> None:
    async with session(dsn) as driver:
        event_id = await old_event(driver)
        await driver.execute(
            "insert into rowcast.delivery (event_id, tenant_id, sink, target) values ($1, 'acme', 'webhooks', 'e1')",
            event_id,
        )
        await LowBound(database=database).advance()

        assert (await make_archive(database).run_once()).busy == (OLD,)


async def test_a_day_that_nobody_knows_to_be_settled_stays(database: Database, dsn: str) -> None:
    async with session(dsn) as driver:
        await old_event(driver)

    assert (await make_archive(database).run_once()).busy == (OLD,)


async def test_days_within_the_retention_stay(database: Database, dsn: str) -> None:
    young = TODAY - timedelta(days=29)
    async with session(dsn) as driver:
        await old_event(driver, young)
        await LowBound(database=database).advance()
        archived = await make_archive(database, events_days=30).run_once()

        assert (archived.detached, archived.busy) == ((), ())
        assert names(young) <= await tables(driver)


async def test_a_writer_that_holds_the_table_is_never_waited_for_long(database: Database, dsn: str) -> None:
    told: list[str] = []
    async with session(dsn) as driver, session(dsn) as writer:
        await old_event(driver)
        await LowBound(database=database).advance()
        transaction = writer.transaction()
        await transaction.start()
        await emit(writer)
        with listening(lambda name, _: told.append(name)):
            archived = await make_archive(database).run_once()
        await transaction.commit()

        assert told.count("archive.detach_waits") == 10
        assert archived.busy == (OLD,)
        assert (await make_archive(database).run_once()).detached == (OLD,)


async def test_one_process_archives_at_a_time(database: Database, dsn: str) -> None:
    async with session(dsn) as driver:
        await driver.execute("select pg_advisory_lock($1, 65)", 0x726F7763)
        assert not (await make_archive(database).run_once()).is_turn
        await driver.execute("select pg_advisory_unlock($1, 65)", 0x726F7763)

    assert (await make_archive(database).run_once()).is_turn


async def add_deliveries(driver: object, count: int, status: str, *, days: int, is_replayed: bool = False) -> None:
    await driver.execute(  # type: ignore[attr-defined]
        "with added as (insert into rowcast.delivery (tenant_id, sink, target, status, created_at, settled_at, replayed_at)"
        " select 'acme', 'webhooks', 'e1', $2, now() - make_interval(days => $3), now() - make_interval(days => $3),"
        " case when $4 then now() end from generate_series(1, $1) returning id)"
        " insert into rowcast.attempt (delivery_id, fence, tenant_id, attempt, outcome, started_at, latency_ms)"
        " select id, 1, 'acme', 1, 'delivered', now(), 1 from added", count, status, days, is_replayed,
    )  # fmt: skip


async def test_old_deliveries_go_with_their_attempts_and_dead_letters_stay(database: Database, dsn: str) -> None:
    async with session(dsn) as driver:
        await add_deliveries(driver, 2_500, "delivered", days=40)
        await add_deliveries(driver, 3, "dead", days=40)
        await add_deliveries(driver, 2, "dead", days=40, is_replayed=True)
        await add_deliveries(driver, 5, "delivered", days=2)
        archived = await make_archive(database).run_once()
        left = await driver.fetch("select status, count(*) from rowcast.delivery group by status order by status")

        assert archived.deleted_deliveries == 2_502
        assert [tuple(row) for row in left] == [("dead", 3), ("delivered", 5)]
        assert await driver.fetchval("select count(*) from rowcast.attempt") == 8


async def test_what_fails_is_told_and_ends_nothing(database: Database, dsn: str) -> None:
    told: list[str] = []
    async with session(dsn) as driver:
        await driver.execute("alter function rowcast.make_partition rename to make_partition_away")
    with listening(lambda name, _: told.append(name)):
        await make_archive(database).run_once_or_tell()

    assert told == ["archive.failed"]
