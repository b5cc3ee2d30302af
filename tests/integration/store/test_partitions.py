"""Events lie in one partition a day; what came for a day without one is moved when it gets one."""

import asyncio
import uuid
from datetime import UTC, date, datetime, timedelta

import pytest

from rowcast.core.errors import ConflictError, StoreError
from rowcast.core.ids import uuid7, uuid7_floor
from rowcast.store.pool import Database, connect
from rowcast.store.sql import Query, parse_query

_DAY = date(2031, 5, 6)
_DAY_STARTS = datetime(2031, 5, 6, tzinfo=UTC)
_NOON = datetime(2031, 5, 6, 12, tzinfo=UTC)
_MAKE = parse_query("make", "select rowcast.make_partition(:day)")
_EMIT = parse_query("emit", "select rowcast.emit('acme', 'orders.made', '{}', id => :id)")
_SETTLE = parse_query("settle", "insert into rowcast.event_state (event_id, status) values (:id, 'published')")
_WHERE = parse_query(
    "where",
    "select e.id, e.tableoid::regclass::text as event_in, s.tableoid::regclass::text as state_in"
    " from rowcast.event e join rowcast.event_state s on s.event_id = e.id order by e.seq",
)
_FIELDS = parse_query("fields", "select * from rowcast.event order by seq")


async def _places(database: Database) -> list[tuple[str, str]]:
    return [(row["event_in"], row["state_in"]) for row in await database.fetch(_WHERE)]


async def _add(database: Database, *moments: datetime) -> None:
    for moment in moments:
        event_id = uuid7(moment)
        await database.fetch(_EMIT, id=event_id)
        await database.execute(_SETTLE, id=event_id)


async def _insist(database: Database, moment: datetime) -> None:
    """Add one event, again when it is told to try again: its partition was made at that very moment."""
    event_id = uuid7(moment)
    for query in (_EMIT, _SETTLE):
        async with asyncio.timeout(20):
            while not await _try(database, query, event_id):
                pass


async def _try(database: Database, query: Query, event_id: uuid.UUID) -> bool:
    try:
        await database.fetch(query, id=event_id)
    except StoreError as error:
        assert error.code == "store.contended"
        return False
    return True


async def test_a_migrated_database_has_partitions_for_today_and_tomorrow(database: Database) -> None:
    today = datetime.now(UTC)

    await _add(database, today, today + timedelta(days=1))

    assert all("default" not in place for pair in await _places(database) for place in pair)


async def test_strays_are_moved_out_of_the_default_partition_unchanged(database: Database) -> None:
    edge = datetime(2031, 5, 7, tzinfo=UTC)
    await _add(database, _NOON - timedelta(hours=12), _NOON, edge - timedelta(milliseconds=1), edge)
    before = await database.fetch(_FIELDS)

    await database.fetch(_MAKE, day=_DAY)

    moved, stayed = (
        ("rowcast.event_20310506", "rowcast.event_state_20310506"),
        ("rowcast.event_default", "rowcast.event_state_default"),
    )
    assert await _places(database) == [moved, moved, moved, stayed]
    assert await database.fetch(_FIELDS) == before


async def test_a_state_stays_final_in_the_partition_it_was_moved_to_and_in_the_default_one(database: Database) -> None:
    await _add(database, _NOON, _NOON + timedelta(days=5))
    await database.fetch(_MAKE, day=_DAY)

    for table in ("event_state_20310506", "event_state_default"):
        with pytest.raises(ConflictError):
            await database.execute(parse_query("forget", f"delete from rowcast.{table}"))


async def test_making_a_partition_again_changes_nothing(database: Database) -> None:
    await database.fetch(_MAKE, day=_DAY)
    await _add(database, _NOON)

    await database.fetch(_MAKE, day=_DAY)

    assert await _places(database) == [("rowcast.event_20310506", "rowcast.event_state_20310506")]


async def test_several_may_make_the_same_days_at_once_while_events_arrive(database: Database) -> None:
    async def make_days() -> None:
        for ahead in range(3):
            await database.fetch(_MAKE, day=_DAY + timedelta(days=ahead))

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(make_days())
        for hour in range(30):
            group.create_task(_insist(database, _NOON + timedelta(hours=hour)))

    # A session that looked just when a partition came may not know it: the next round moves what it put elsewhere.
    await make_days()

    places = await _places(database)
    assert len(places) == 30
    assert all("default" not in place for pair in places for place in pair)


async def test_what_a_session_without_knowledge_of_a_partition_added_is_moved_into_it(database: Database) -> None:
    await _add(database, _NOON, _NOON + timedelta(days=5))
    before = await database.fetch(_FIELDS)
    await _attach_around_strays(database, "event", "id")
    await _attach_around_strays(database, "event_state", "event_id")
    astray = ("rowcast.event_default", "rowcast.event_state_default")
    assert await _places(database) == [astray, astray]

    await database.fetch(_MAKE, day=_DAY)

    assert await _places(database) == [("rowcast.event_20310506", "rowcast.event_state_20310506"), astray]
    assert await database.fetch(_FIELDS) == before


async def _attach_around_strays(database: Database, parent: str, key: str) -> None:
    """Attach a partition although the default one holds rows of it, as a session with an old list leaves it behind.

    PostgreSQL trusts a valid constraint and does not look; this one is only said to be valid.
    """
    low, high = uuid7_floor(_DAY_STARTS), uuid7_floor(_DAY_STARTS + timedelta(days=1))
    for statement in (
        f"create table rowcast.{parent}_20310506 (like rowcast.{parent} including all)",
        (
            f"alter table rowcast.{parent}_default add constraint trusted"
            f" check (not ({key} >= '{low}' and {key} < '{high}')) not valid"
        ),
        "update pg_constraint set convalidated = true where conname = 'trusted'",
        f"alter table rowcast.{parent} attach partition rowcast.{parent}_20310506 for values from ('{low}') to ('{high}')",
        f"alter table rowcast.{parent}_default drop constraint trusted",
    ):
        await database.execute(parse_query("attach", statement))


async def test_a_long_query_makes_it_give_up_instead_of_stopping_everybody(database: Database, dsn: str) -> None:
    reader = await connect(dsn)
    async with reader.transaction():
        await reader.fetch(parse_query("read", "select 1 from rowcast.event_default"))

        with pytest.raises(StoreError) as caught:
            await database.fetch(_MAKE, day=_DAY)

    assert caught.value.code == "store.contended"
    await database.fetch(_MAKE, day=_DAY)
    await reader.close()


async def test_the_database_draws_the_same_bound_as_we_do(database: Database) -> None:
    floor = parse_query("floor", "select rowcast.uuid7_floor(:at) as floor")

    row = await database.fetch_one(floor, at=_NOON)

    assert row is not None
    assert str(row["floor"]) == str(uuid7_floor(_NOON))


async def test_a_query_for_one_event_reads_one_partition(database: Database) -> None:
    await database.fetch(_MAKE, day=_DAY)
    explain = parse_query("explain", f"explain select payload from rowcast.event where id = '{uuid7(_NOON)}'")

    plan = "\n".join(row[0] for row in await database.fetch(explain))

    assert "event_20310506" in plan
    assert "event_default" not in plan
