"""The one statement that settles a batch: states, and what those events owe whose state is new."""

import uuid
from collections.abc import Sequence

import asyncpg
import pytest

from rowcast.core.delivery import Owed
from rowcast.core.envelope import Envelope
from rowcast.outbox.publisher import NewState, record_of
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries, parse_query
from tests.integration.outbox.events import emit_some

EVENTS = parse_query(
    "events",
    """
    select id, tenant_id, aggregate_type, aggregate_id, event_type, version, occurred_at, payload, seq
    from rowcast.event order by seq
    """,
)
OWED = parse_query("owed", "select event_id, target from rowcast.delivery order by id")
STATES = parse_query("states", "select event_id, status, attempts from rowcast.event_state")


async def events(database: Database, dsn: str, count: int) -> list[Envelope]:
    await emit_some(dsn, count)
    return [Envelope(**row) for row in await database.fetch(EVENTS)]


async def settle(database: Database, states: Sequence[NewState]) -> set[uuid.UUID]:
    row = await database.fetch_one(load_queries("rowcast.outbox")["settle_events"], **record_of(states))
    assert row is not None
    return set(row["written"])


def publish(event: Envelope, *targets: str) -> NewState:
    return NewState(event, "published", owed=tuple(Owed("jobs", target) for target in targets))


async def test_what_is_owed_stands_in_the_order_in_which_it_was_given(database: Database, dsn: str) -> None:
    given = await events(database, dsn, 300)

    written = await settle(database, [publish(event, "a", "b") for event in given])

    assert written == {event.id for event in given}
    rows = await database.fetch(OWED)
    assert [(row["event_id"], row["target"]) for row in rows] == [(e.id, t) for e in given for t in ("a", "b")]


async def test_an_event_that_somebody_else_has_settled_owes_nothing_again(database: Database, dsn: str) -> None:
    first, second = await events(database, dsn, 2)
    await settle(database, [publish(first, "a")])

    assert await settle(database, [publish(first, "a"), publish(second, "b")]) == {second.id}
    assert [row["target"] for row in await database.fetch(OWED)] == ["a", "b"]


async def test_a_failed_event_is_written_again_until_it_is_published(database: Database, dsn: str) -> None:
    (event,) = await events(database, dsn, 1)
    for state in (NewState(event, "failed", "no", 1.0), NewState(event, "failed", "no", 1.0), publish(event)):
        assert await settle(database, [state]) == {event.id}

    assert await settle(database, [NewState(event, "failed", "no", 1.0)]) == set()
    (row,) = await database.fetch(STATES)
    assert (row["status"], row["attempts"]) == ("published", 3)


async def test_all_of_it_is_written_or_nothing(database: Database, dsn: str) -> None:
    first, second = await events(database, dsn, 2)

    with pytest.raises(asyncpg.CheckViolationError):
        await settle(database, [publish(first, "a"), NewState(second, "nonsense")])

    assert [*await database.fetch(STATES), *await database.fetch(OWED)] == []
