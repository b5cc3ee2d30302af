"""What `emit` and `emit_many` promise, over every kind of connection."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
import pytest_asyncio

from rowcast import emit, emit_many, errors
from rowcast.core.event import Event
from rowcast.core.event_types import EventTypes
from rowcast.core.ids import uuid7
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query
from tests.contract.callers import CALLERS, Caller, settled

DECLARED_HERE = EventTypes()
HAPPENED_AT = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


class Confirmed(Event, type="orders.confirmed", version=2, aggregate="order", key="order_id", catalogue=DECLARED_HERE):
    order_id: str
    note: str = ""
    total: Decimal | None = None
    weight: float | None = None
    due_at: datetime | None = None


class Rollback(Exception):
    """Raised to roll a transaction back."""


@pytest.fixture
def dsn(emptied_dsn: str) -> str:
    """One database for all tests here: they write nothing but events."""
    return emptied_dsn


@pytest_asyncio.fixture(params=CALLERS, ids=lambda caller: caller.__name__.removeprefix("with_"))
async def caller(request: pytest.FixtureRequest, dsn: str) -> AsyncIterator[Caller]:
    async with request.param(dsn) as opened:
        yield opened


async def write(caller: Caller, event: Any, **options: Any) -> uuid.UUID:
    options = {"tenant_id": "acme", "catalogue": DECLARED_HERE, **options}
    written: uuid.UUID = await settled(emit(caller.connection, event, **options))
    return written


async def events(database: Database, columns: str = "*") -> list[dict[str, Any]]:
    """Give what a second connection sees."""
    return [
        dict(row) for row in await database.fetch(parse_query("x", f"select {columns} from rowcast.event order by seq"))
    ]


async def test_a_committed_event_is_a_row_with_everything_it_was_given(caller: Caller, database: Database) -> None:
    event_id = uuid7(HAPPENED_AT)
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    async with caller.transaction():
        given = await write(caller, Confirmed(order_id="o-1"), id=event_id, occurred_at=HAPPENED_AT, traceparent=trace)

    (row,) = await events(database)
    assert given == row["id"] == event_id
    assert (row["tenant_id"], row["event_type"], row["version"]) == ("acme", "orders.confirmed", 2)
    assert (row["aggregate_type"], row["aggregate_id"]) == ("order", "o-1")
    assert (row["occurred_at"], row["traceparent"], row["topic"]) == (HAPPENED_AT, trace, None)
    assert row["payload"] == '{"order_id":"o-1","note":"","total":null,"weight":null,"due_at":null}'


async def test_a_rolled_back_event_never_was(caller: Caller, database: Database) -> None:
    with pytest.raises(Rollback):
        async with caller.transaction():
            await write(caller, Confirmed(order_id="o-1"))
            raise Rollback

    assert await events(database) == []


async def test_emit_never_commits(caller: Caller, database: Database) -> None:
    async with caller.transaction():
        await write(caller, Confirmed(order_id="o-1"))
        await settled(
            emit_many(caller.connection, [Confirmed(order_id="o-2")], tenant_id="acme", catalogue=DECLARED_HERE)
        )
        seen_before = await events(database)

    assert seen_before == []
    assert len(await events(database)) == 2


async def test_a_savepoint_that_is_rolled_back_takes_its_event_along(caller: Caller, database: Database) -> None:
    async with caller.transaction():
        await write(caller, Confirmed(order_id="outer"))
        with pytest.raises(Rollback):
            async with caller.savepoint():
                await write(caller, Confirmed(order_id="lost"))
                raise Rollback
        async with caller.savepoint():
            await write(caller, Confirmed(order_id="kept"))

    assert [row["aggregate_id"] for row in await events(database)] == ["outer", "kept"]


@pytest.mark.parametrize(
    ("event", "options", "code"),
    [
        (Confirmed(order_id="o-1", note="x" * 65_536), {}, "outbox.payload_too_large"),
        ({"order_id": "o-1"}, {"type": "orders.unheard_of"}, "outbox.unknown_event_type"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_refusal_leaves_the_transaction_usable(
    caller: Caller, database: Database, *, event: Any, options: dict[str, Any], code: str
) -> None:
    async with caller.transaction():
        with pytest.raises(errors.RowcastError) as refused:
            await write(caller, event, **options)
        await write(caller, Confirmed(order_id="after"))

    assert refused.value.code == code
    assert [row["aggregate_id"] for row in await events(database)] == ["after"]


async def test_the_same_event_under_the_same_id_is_written_once(caller: Caller, database: Database) -> None:
    event_id = uuid7(HAPPENED_AT)

    async with caller.transaction():
        first = await write(caller, Confirmed(order_id="o-1"), id=event_id)
        again = await write(caller, Confirmed(order_id="o-1"), id=event_id)

    assert first == again == event_id
    assert len(await events(database)) == 1


async def test_another_event_under_a_taken_id_is_a_conflict_that_a_savepoint_contains(
    caller: Caller, database: Database
) -> None:
    event_id = uuid7(HAPPENED_AT)

    async with caller.transaction():
        await write(caller, Confirmed(order_id="o-1"), id=event_id)
        with pytest.raises(errors.ConflictError) as refused:
            async with caller.savepoint():
                await write(caller, Confirmed(order_id="o-2"), id=event_id)
        await write(caller, Confirmed(order_id="after"))

    assert refused.value.code == "input.conflict"
    assert str(refused.value).startswith(f"the event id {event_id} is taken")
    assert [row["aggregate_id"] for row in await events(database)] == ["o-1", "after"]


async def test_many_events_keep_their_order_and_their_ids(caller: Caller, database: Database) -> None:
    batch = [Confirmed(order_id=f"o-{number}") for number in range(200)]

    async with caller.transaction():
        ids = await settled(emit_many(caller.connection, batch, tenant_id="acme", catalogue=DECLARED_HERE))

    rows = await events(database, "id, aggregate_id, seq")
    assert [row["id"] for row in rows] == ids
    assert [row["aggregate_id"] for row in rows] == [event.order_id for event in batch]


async def test_each_of_many_events_may_have_its_own_options(caller: Caller, database: Database) -> None:
    event_id = uuid7(HAPPENED_AT)
    batch = [
        (Confirmed(order_id="o-1"), {"id": event_id, "occurred_at": HAPPENED_AT}),
        ({"order_id": "o-2"}, {"type": "orders.confirmed", "aggregate_id": "elsewhere"}),
        Confirmed(order_id="o-3"),
    ]

    async with caller.transaction():
        await settled(emit_many(caller.connection, batch, tenant_id="acme", catalogue=DECLARED_HERE))

    rows = await events(database)
    assert [row["aggregate_id"] for row in rows] == ["o-1", "elsewhere", "o-3"]
    assert (rows[0]["id"], rows[0]["occurred_at"]) == (event_id, HAPPENED_AT)


async def test_one_refused_event_of_many_refuses_them_all(caller: Caller, database: Database) -> None:
    async with caller.transaction():
        with pytest.raises(errors.InvalidInputError):
            await settled(
                emit_many(
                    caller.connection,
                    [Confirmed(order_id="o-1"), Confirmed(order_id="")],
                    tenant_id="acme",
                    catalogue=DECLARED_HERE,
                )
            )
        await write(caller, Confirmed(order_id="after"))

    assert [row["aggregate_id"] for row in await events(database)] == ["after"]


async def test_no_events_are_no_ids(caller: Caller, database: Database) -> None:
    assert await settled(emit_many(caller.connection, [], tenant_id="acme", catalogue=DECLARED_HERE)) == []
    assert await events(database) == []


async def test_texts_decimals_and_times_arrive_as_they_were(caller: Caller, database: Database) -> None:
    event = Confirmed(
        order_id="Ö-1 % %s :name $1 ''",
        note='snowman ☃, clef 𝄞, quote ", backslash \\u0000, tab \t, null',
        total=Decimal("10.10"),
        weight=0.1,
        due_at=datetime(2026, 7, 1, 12, 0, 0, 123456, tzinfo=timezone(timedelta(hours=2))),
    )

    async with caller.transaction():
        await write(caller, event)

    (row,) = await events(database)
    assert row["aggregate_id"] == event.order_id
    assert DECLARED_HERE.parse("orders.confirmed", 2, row["payload"]) == event


async def test_a_mapping_is_written_complete_with_its_defaults(caller: Caller, database: Database) -> None:
    async with caller.transaction():
        await write(caller, {"order_id": "o-1", "total": "5.00"}, type="orders.confirmed")

    (row,) = await events(database, "payload, version")
    assert row["payload"] == '{"order_id":"o-1","note":"","total":"5.00","weight":null,"due_at":null}'
    assert row["version"] == 2


async def test_an_application_role_emits_for_the_tenant_it_speaks_for_and_for_no_other(
    caller: Caller, database: Database
) -> None:
    async with caller.transaction():
        await caller.run(
            "select set_config('role', 'rowcast_app', true), set_config('rowcast.tenant_id', 'acme', true)"
        )
        await write(caller, Confirmed(order_id="own"))
        with pytest.raises(errors.PermissionDeniedError):
            async with caller.savepoint():
                await write(caller, Confirmed(order_id="foreign"), tenant_id="globex")

    assert [row["tenant_id"] for row in await events(database)] == ["acme"]
