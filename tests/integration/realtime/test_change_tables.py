"""What the catalogue says of tables that change."""

import pytest

from rowcast.realtime.change_filter import Condition, FilterFault
from rowcast.realtime.change_tables import ChangeTables
from rowcast.realtime.change_types import Literals
from rowcast.store.pool import Database
from tests.integration.realtime.changing import publish, run


@pytest.fixture
def tables(database: Database) -> ChangeTables:
    return ChangeTables(database=database)


async def oid_of(tables: ChangeTables, name: str) -> int:
    return (await tables.published("public", name))[0].oid


async def test_published_tables_are_found_by_name_with_those_above_them(dsn: str, tables: ChangeTables) -> None:
    publish(
        dsn,
        "create schema shop; create table shop.bills (id int primary key)",
        "create table orders (id int primary key) partition by range (id)",
        "create table orders_low partition of orders for values from (0) to (9)",
        "create table hidden (id int)",
        tables="orders, shop.bills",
    )

    async def names(schema: str | None, name: str | None) -> set[str]:
        return {each.name for each in await tables.published(schema, name)}

    assert await names("public", "orders") == {"orders"}
    assert await names("public", "orders_low") == {"orders_low"}
    assert await names("public", "hidden") == set()
    assert await names("shop", None) == {"bills"}
    assert await names(None, None) == {"bills", "orders", "orders_low"}
    facts = await tables.facts(await oid_of(tables, "orders_low"))
    assert facts is not None
    assert facts.ancestors == [await oid_of(tables, "orders")]
    assert facts.key == ["id"]


async def test_a_key_of_several_columns_has_their_order(dsn: str, tables: ChangeTables) -> None:
    publish(dsn, "create table orders (a int, b int, c int, primary key (c, a))", tables="orders")

    facts = await tables.facts(await oid_of(tables, "orders"))

    assert facts is not None
    assert facts.key == ["c", "a"]
    assert await tables.facts(1) is None


async def test_collations_say_what_may_be_decided_in_memory(dsn: str, tables: ChangeTables) -> None:
    publish(
        dsn,
        'create table orders (id int primary key, a text collate "C", b text collate pg_catalog."default")',
        tables="orders",
    )

    columns = await tables.columns(await oid_of(tables, "orders"))

    assert (columns["a"].collation.is_bytewise, columns["a"].collation.is_deterministic) == (True, True)
    assert columns["a"].collation.folds_ascii
    assert columns["b"].collation.is_deterministic
    assert columns["id"].kind.base == "int4"


async def test_a_role_reads_what_it_was_granted_and_is_checked_where_policies_hold(
    dsn: str, tables: ChangeTables
) -> None:
    publish(
        dsn,
        "create table orders (id int primary key, note text)",
        "revoke all on orders from anon; grant select (id) on orders to anon",
        "alter table orders enable row level security",
        tables="orders",
    )
    oid = await oid_of(tables, "orders")

    anon, service = await tables.role(oid, "anon"), await tables.role(oid, "service_role")

    assert anon is not None
    assert service is not None
    assert (anon.is_checked, anon.readable, anon.reads_all) == (True, {"id"}, False)
    assert (service.is_checked, service.reads_all) == (False, True)
    assert await tables.role(oid, "nobody_at_all") is None


async def test_a_schema_that_a_role_may_not_use_hides_its_tables(dsn: str, tables: ChangeTables) -> None:
    publish(
        dsn,
        "create schema inner_rooms; create table inner_rooms.orders (id int primary key)",
        "grant select on inner_rooms.orders to anon",
        tables="inner_rooms.orders",
    )

    role = await tables.role((await tables.published("inner_rooms", "orders"))[0].oid, "anon")

    assert role is not None
    assert (role.readable, role.reads_all) == (frozenset(), False)


async def test_literals_come_back_as_postgresql_writes_them(dsn: str, tables: ChangeTables) -> None:
    publish(
        dsn,
        "create table orders (id int primary key, at timestamptz, u uuid, s varchar(2), b char(3))",
        tables="orders",
    )
    oid = await oid_of(tables, "orders")
    columns = await tables.columns(oid)

    async def literals(column: str, operator: str, *operands: str) -> Literals | FilterFault:
        return await tables.literals(oid, Condition(column, operator, operands), columns.get(column))

    assert await literals("id", "in", "007", " 8") == Literals(("7", "8"))
    assert await literals("at", "gt", "2026-01-01 12:00+02") == Literals(("2026-01-01 10:00:00+00",))
    assert await literals("u", "eq", "8F2C1234-0000-4000-8000-000000000001") == Literals(
        ("8f2c1234-0000-4000-8000-000000000001",)
    )
    assert await literals("s", "eq", "longer") == Literals(("longer",))
    assert await literals("b", "eq", "x") == Literals(("x",))
    assert await literals("id", "in") == Literals(())
    assert await literals("id", "eq", "x'; drop table orders") == FilterFault(
        'invalid input syntax for type integer: "x\'; drop table orders"'
    )
    assert await literals("nope", "eq", "1") == FilterFault("invalid column for filter nope")


async def test_a_condition_is_asked_of_many_values_at_once(dsn: str, tables: ChangeTables) -> None:
    publish(
        dsn,
        "create type mood as enum ('sad', 'happy')",
        "create table orders (id int primary key, m mood, s text)",
        tables="orders",
    )
    oid = await oid_of(tables, "orders")

    assert await tables.passes(oid, Condition("m", "gt", ("sad",)), ["sad", "happy"]) == [False, True]
    assert await tables.passes(oid, Condition("s", "imatch", ("^A",)), ["abc", "b"]) == [True, False]
    assert await tables.passes(oid, Condition("s", "in", ("a", "b")), ["a", "c"]) == [True, False]


async def test_a_type_of_types_is_known_to_the_bottom(dsn: str, database: Database, tables: ChangeTables) -> None:
    run(dsn, "create domain email as text", "create type pair as (a email[], b int)", "create table things (x pair[])")
    columns = await tables.columns(await _oid(database, dsn))

    kind = columns["x"].kind
    assert kind.family == "array"
    assert kind.element is not None
    assert [(name, each.family) for name, each in kind.element.fields] == [("a", "array"), ("b", "base")]


async def _oid(database: Database, dsn: str) -> int:
    async with database.connection() as connection:
        return int(await connection.driver.fetchval("select 'things'::regclass::oid::bigint"))
