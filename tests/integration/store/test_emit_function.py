"""`rowcast.emit`: the one door into the outbox. Every refusal has its code, and a refused event leaves no row."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from rowcast.core.errors import (
    ConflictError,
    InvalidInputError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RowcastError,
)
from rowcast.core.ids import is_uuid7, uuid7, uuid7_time
from rowcast.store.pool import Connection, Database
from rowcast.store.refusals import find_refusal
from rowcast.store.sql import parse_query

_EMIT = parse_query(
    "emit",
    "select rowcast.emit(:tenant_id, :event_type, :payload::jsonb, id => :id, version => :version,"
    " aggregate_type => :aggregate_type, aggregate_id => :aggregate_id, occurred_at => :occurred_at) as id",
)
_EVENTS = parse_query("events", "select * from rowcast.outbox order by seq")
_GOOD: dict[str, Any] = {
    "tenant_id": "acme",
    "event_type": "orders.confirmed",
    "payload": '{"id": "o1"}',
    "id": None,
    "version": 1,
    "aggregate_type": None,
    "aggregate_id": None,
    "occurred_at": None,
}


@pytest.fixture
def dsn(emptied_dsn: str) -> str:
    """One database for all tests here: they write nothing but events."""
    return emptied_dsn


async def _emit(session: Database | Connection, **changes: Any) -> uuid.UUID:
    row = await session.fetch_one(_EMIT, **{**_GOOD, **changes})
    assert row is not None
    return uuid.UUID(bytes=row["id"].bytes)


async def test_an_event_is_pending_with_its_defaults(database: Database) -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=2)

    event_id = await _emit(database)

    (event,) = await database.fetch(_EVENTS)
    assert (event["id"], event["tenant_id"], event["status"], event["attempts"]) == (event_id, "acme", "pending", 0)
    assert (event["aggregate_type"], event["aggregate_id"], event["version"]) == ("orders", "o1", 1)
    assert is_uuid7(event_id)
    assert before <= uuid7_time(event_id) <= datetime.now(UTC) + timedelta(milliseconds=2)


async def test_an_event_without_an_aggregate_is_its_own(database: Database) -> None:
    event_id = await _emit(database, payload="{}")

    assert (await database.fetch(_EVENTS))[0]["aggregate_id"] == str(event_id)


async def test_a_rolled_back_transaction_leaves_no_event(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await _emit(connection)
            raise ZeroDivisionError

    assert await database.fetch(_EVENTS) == []


_TEXT_OF = '{"text": "%s"}'


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"tenant_id": None}, "input.tenant_missing"),
        ({"tenant_id": ""}, "input.tenant_missing"),
        ({"tenant_id": "a:b"}, "input.tenant"),
        ({"tenant_id": "a\nb"}, "input.tenant"),
        ({"tenant_id": "acme\n"}, "input.tenant"),
        ({"tenant_id": "x" * 129}, "input.tenant"),
        ({"event_type": None}, "input.event_type"),
        ({"event_type": ".orders"}, "input.event_type"),
        ({"event_type": "orders confirmed"}, "input.event_type"),
        ({"event_type": "orders.confirmed\n"}, "input.event_type"),
        ({"event_type": "orders." + "x" * 122}, "input.event_type"),
        ({"payload": None}, "input.payload_missing"),
        ({"version": 0}, "input.version"),
        ({"id": uuid.UUID("9f0c9d0e-6b0a-4c55-8d43-3c8f9d0b7a11")}, "input.event_id"),
    ],
)
async def test_what_cannot_be_an_event_is_refused_by_its_code(
    database: Database, changes: dict[str, Any], code: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await _emit(database, **changes)

    assert caught.value.code == code
    assert await database.fetch(_EVENTS) == []


async def _emit_json(database: Database, payload: str) -> None:
    await database.fetch(
        parse_query(
            "emit_json",
            "select rowcast.emit_json('acme', 'a.b', :payload::json, null, null, 1, null, null, null, null)",
        ),
        payload=payload,
    )


async def test_a_text_that_postgresql_cannot_read_is_refused(database: Database) -> None:
    with pytest.raises(InvalidInputError) as caught:
        await _emit_json(database, r'{"a": "\u0000"}')

    assert caught.value.code == "input.payload"


async def test_a_backslash_before_the_same_letters_is_an_ordinary_text(database: Database) -> None:
    await _emit_json(database, r'{"a": "\\u0000"}')

    assert len(await database.fetch(_EVENTS)) == 1


def _json_of(size_bytes: int) -> str:
    return _TEXT_OF % ("x" * (size_bytes - len(_TEXT_OF % "")))


async def test_a_payload_at_the_limit_is_taken_and_one_byte_more_is_refused(database: Database) -> None:
    await _emit(database, payload=_json_of(65_536))

    with pytest.raises(PayloadTooLargeError) as caught:
        await _emit(database, payload=_json_of(65_537))

    assert (caught.value.size_bytes, caught.value.limit_bytes) == (65_537, 65_536)
    assert len(await database.fetch(_EVENTS)) == 1


@pytest.mark.parametrize(("size_bytes", "warnings"), [(32_768, 0), (32_769, 1)])
def test_a_large_payload_is_warned_of(dsn: str, size_bytes: int, warnings: int) -> None:
    heard: list[str] = []
    with psycopg.connect(dsn) as connection:
        connection.add_notice_handler(lambda notice: heard.append(notice.message_primary or ""))
        connection.execute("select rowcast.emit('acme', 'orders.made', %s)", [Jsonb(json.loads(_json_of(size_bytes)))])

    assert [message.split(":")[0] for message in heard] == ["outbox.payload_large"] * warnings


async def test_the_same_event_again_is_a_success_and_one_row(database: Database) -> None:
    event_id = uuid7(datetime.now(UTC))

    first = await _emit(database, id=event_id, payload='{"id": "o1", "n": 1}')
    second = await _emit(database, id=event_id, payload='{"n": 1,   "id": "o1"}')

    assert first == second == event_id
    assert len(await database.fetch(_EVENTS)) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"payload": '{"id": "o2"}'},
        {"event_type": "orders.cancelled"},
        {"tenant_id": "globex"},
        {"version": 2},
        {"aggregate_id": "other"},
        {"aggregate_type": "other"},
        {"occurred_at": datetime(2026, 1, 1, tzinfo=UTC)},
    ],
)
async def test_another_event_under_a_taken_id_is_a_conflict(database: Database, changes: dict[str, Any]) -> None:
    event_id = await _emit(database, id=uuid7(datetime.now(UTC)))

    with pytest.raises(ConflictError) as caught:
        await _emit(database, id=event_id, **changes)

    assert caught.value.code == "input.conflict"
    assert len(await database.fetch(_EVENTS)) == 1


async def test_a_session_of_one_tenant_may_emit_for_it_and_for_no_other(database: Database) -> None:
    async with database.as_tenant("acme") as connection:
        await _emit(connection)

    with pytest.raises(PermissionDeniedError) as caught:
        async with database.as_tenant("acme") as connection:
            await _emit(connection, tenant_id="globex")

    assert caught.value.code == "auth.denied"
    assert [event["tenant_id"] for event in await database.fetch(_EVENTS)] == ["acme"]


def _psycopg_error(dsn: str) -> BaseException:
    with psycopg.connect(dsn) as connection, pytest.raises(psycopg.Error) as caught:
        connection.execute("select rowcast.emit('acme', '.wrong', '{}')")
    return caught.value


async def _sqlalchemy_error(dsn: str) -> BaseException:
    from sqlalchemy import text
    from sqlalchemy.exc import DBAPIError
    from sqlalchemy.ext.asyncio import create_async_engine

    engine = create_async_engine(dsn.replace("postgresql://", "postgresql+asyncpg://"))
    with pytest.raises(DBAPIError) as caught:
        async with engine.connect() as connection:
            await connection.execute(text("select rowcast.emit('acme', '.wrong', '{}')"))
    await engine.dispose()
    return caught.value


async def test_every_driver_carries_the_refusal(dsn: str) -> None:
    for error in (_psycopg_error(dsn), await _sqlalchemy_error(dsn)):
        found: RowcastError | None = find_refusal(error)

        assert isinstance(found, InvalidInputError)
        assert found.code == "input.event_type"
        assert "CONTEXT" not in str(found)


async def _settle(database: Database, event_id: uuid.UUID, status: str) -> None:
    await database.execute(
        parse_query("settle", "insert into rowcast.event_state (event_id, status) values (:id, :status)"),
        id=event_id,
        status=status,
    )


@pytest.mark.parametrize(
    ("before", "after", "is_allowed"),
    [
        ("published", "failed", False),
        ("published", "dead", False),
        ("dead", "failed", False),
        ("dead", "published", True),
        ("failed", "failed", True),
        ("failed", "published", True),
        ("failed", "dead", True),
    ],
)
async def test_a_published_event_stays_published(database: Database, before: str, after: str, is_allowed: bool) -> None:
    event_id = await _emit(database)
    await _settle(database, event_id, before)
    change = parse_query("change", "update rowcast.event_state set status = :status where event_id = :id")

    code = "taken"
    try:
        await database.execute(change, id=event_id, status=after)
    except ConflictError as error:
        code = error.code

    assert code == ("taken" if is_allowed else "outbox.published_is_final")
    assert (await database.fetch(_EVENTS))[0]["status"] == (after if is_allowed else before)


@pytest.mark.parametrize("status", ["published", "failed", "dead"])
async def test_a_state_is_never_deleted(database: Database, status: str) -> None:
    event_id = await _emit(database)
    await _settle(database, event_id, status)

    with pytest.raises(ConflictError):
        await database.execute(parse_query("forget", "delete from rowcast.event_state"))


async def test_the_events_of_one_aggregate_share_a_shard_and_keep_their_order(database: Database) -> None:
    ids = [await _emit(database, payload='{"id": "o1"}') for _ in range(5)]

    rows = await database.fetch(
        parse_query(
            "shards",
            "select id, rowcast.shard_of(tenant_id, aggregate_type, aggregate_id) as shard from rowcast.event order by seq",
        )
    )
    assert [row["id"] for row in rows] == ids
    assert len({row["shard"] for row in rows}) == 1
