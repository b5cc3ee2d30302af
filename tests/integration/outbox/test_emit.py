"""Emitting where the connection is unusual: in autocommit, with codecs of its own, on a database that is not prepared."""

import json
import uuid

import asyncpg
import psycopg
import pytest

from rowcast import emit, emit_many, errors
from rowcast.core.event import Event
from rowcast.core.event_types import EventTypes
from rowcast.outbox.limits import LargePayloadWarning
from rowcast.store.pool import Database, connect
from rowcast.store.sql import parse_query
from rowcast.testing.cluster import Cluster

HERE = EventTypes()
COUNT = parse_query("x", "select count(*) as events from rowcast.event")


class Confirmed(Event, type="orders.confirmed", key="order_id", catalogue=HERE):
    order_id: str
    note: str = ""


async def count(database: Database) -> int:
    row = await database.fetch_one(COUNT)
    return int(row["events"]) if row else 0


async def test_on_asyncpg_without_a_transaction_an_event_is_a_transaction_of_its_own(
    dsn: str, database: Database
) -> None:
    connection = await asyncpg.connect(dsn)

    await emit(connection, Confirmed(order_id="o-1"), tenant_id="acme", catalogue=HERE)

    assert not connection.is_in_transaction()
    assert await count(database) == 1
    await connection.close()


async def test_on_psycopg_in_autocommit_an_event_is_a_transaction_of_its_own(dsn: str, database: Database) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        emit(connection, Confirmed(order_id="o-1"), tenant_id="acme", catalogue=HERE)

        assert await count(database) == 1


async def test_on_psycopg_without_autocommit_an_event_waits_for_the_callers_commit(
    dsn: str, database: Database
) -> None:
    connection = psycopg.connect(dsn)

    emit(connection, Confirmed(order_id="o-1"), tenant_id="acme", catalogue=HERE)
    connection.close()

    assert await count(database) == 0


async def test_many_events_in_autocommit_are_all_written_or_none(dsn: str, database: Database) -> None:
    connection = await asyncpg.connect(dsn)
    taken = await emit(connection, Confirmed(order_id="o-1"), tenant_id="acme", catalogue=HERE)

    with pytest.raises(errors.ConflictError):
        await emit_many(
            connection,
            [Confirmed(order_id="o-2"), (Confirmed(order_id="o-3"), {"id": taken})],
            tenant_id="acme",
            catalogue=HERE,
        )

    assert await count(database) == 1
    await connection.close()


async def test_codecs_of_the_application_do_not_touch_an_event(dsn: str, database: Database) -> None:
    connection = await asyncpg.connect(dsn)
    for name in ("json", "jsonb"):
        await connection.set_type_codec(name, schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    await connection.set_type_codec("uuid", schema="pg_catalog", encoder=str, decoder=str)

    one = await emit(connection, Confirmed(order_id="o-1"), tenant_id="acme", catalogue=HERE)
    (other,) = await emit_many(connection, [Confirmed(order_id="o-1")], tenant_id="acme", catalogue=HERE)

    rows = await database.fetch(parse_query("x", "select id, payload from rowcast.event order by seq"))
    assert [row["id"] for row in rows] == [one, other]
    assert all(type(each) is uuid.UUID for each in (one, other))
    assert {row["payload"] for row in rows} == {'{"order_id":"o-1","note":""}'}
    await connection.close()


async def test_a_row_factory_of_the_application_does_not_touch_an_event(dsn: str) -> None:
    with psycopg.connect(dsn, row_factory=psycopg.rows.dict_row, cursor_factory=psycopg.ClientCursor) as connection:
        made = emit(connection, Confirmed(order_id="o-1"), tenant_id="acme", catalogue=HERE)

        assert isinstance(made, uuid.UUID)


async def test_the_largest_payload_is_taken_with_a_warning(database: Database) -> None:
    event = Confirmed(order_id="o", note="x" * (65_536 - len('{"order_id":"o","note":""}')))

    async with database.transaction() as connection:
        with pytest.warns(LargePayloadWarning, match="65536 bytes"):
            await emit(connection, event, tenant_id="acme", catalogue=HERE)

    assert await count(database) == 1


async def test_a_database_without_the_schema_is_told_so(rowcast_cluster: Cluster) -> None:
    empty = rowcast_cluster.create("template1")
    connection = await connect(empty)

    with pytest.raises(errors.ConfigError, match="rowcast migrate") as refused:
        await emit(connection, Confirmed(order_id="o-1"), tenant_id="acme", catalogue=HERE)

    assert refused.value.code == "config.schema"
    await connection.close()
    rowcast_cluster.drop(empty)


async def test_a_role_that_was_not_granted_is_told_what_to_grant(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    transaction = connection.transaction()
    await transaction.start()
    await connection.execute("create role stranger_of_events; set local role stranger_of_events")

    with pytest.raises(errors.ConfigError, match="grant rowcast_app") as refused:
        await emit(connection, Confirmed(order_id="o-1"), tenant_id="acme", catalogue=HERE)

    assert refused.value.code == "config.grant"
    await transaction.rollback()
    await connection.close()


async def test_other_errors_of_the_driver_come_out_as_they_are(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    async with connection.transaction():
        with pytest.raises(asyncpg.PostgresSyntaxError):
            await connection.execute("not sql")

        with pytest.raises(asyncpg.InFailedSQLTransactionError):
            await emit(connection, Confirmed(order_id="o-1"), tenant_id="acme", catalogue=HERE)
    await connection.close()


TIMES_NOBODY_CAN_READ = ["infinity", "-infinity", "4713-01-01 BC", "0001-01-01 00:00+14", "10000-01-01", "294276-12-31"]


@pytest.mark.parametrize("occurred_at", TIMES_NOBODY_CAN_READ)
async def test_a_time_that_the_relay_could_not_read_is_refused(database: Database, occurred_at: str) -> None:
    text = (
        "select rowcast.emit('acme', 'orders.confirmed', '{}', occurred_at => cast(:occurred_at::text as timestamptz))"
    )

    with pytest.raises(errors.InvalidInputError) as refused:
        await database.fetch_one(parse_query("x", text), occurred_at=occurred_at)

    assert refused.value.code == "input.occurred_at"
    assert await count(database) == 0


@pytest.mark.parametrize(
    ("field", "text", "code"),
    [
        ("aggregate_type", "a" * 129, "input.aggregate_id"),
        ("aggregate_id", "a" * 513, "input.aggregate_id"),
        ("topic", "a" * 247, "input.event_topic"),
        ("topic", "", "input.event_topic"),
        ("topic", "orders:acme\n", "input.event_topic"),
    ],
)
async def test_what_stands_beside_the_payload_is_bounded_too(
    database: Database, field: str, text: str, code: str
) -> None:
    query = parse_query("x", f"select rowcast.emit('acme', 'orders.confirmed', '{{}}', {field} => :text::text)")

    with pytest.raises(errors.InvalidInputError) as refused:
        await database.fetch_one(query, text=text)

    assert refused.value.code == code
