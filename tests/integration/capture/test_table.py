"""What the catalogue says of a table."""

import pytest

from rowcast.capture.table import describe_table
from rowcast.capture.table_description import TableDescription
from rowcast.core.errors import NotFoundError
from rowcast.store.pool import connect
from tests.integration.capture.feeding import run


async def describe(dsn: str, schema: str, name: str) -> TableDescription:
    connection = await connect(dsn)
    try:
        return await describe_table(connection, schema, name)
    finally:
        await connection.close()


async def test_columns_come_in_order_without_the_dropped_ones_and_the_key_in_its_own_order(any_dsn: str) -> None:
    run(any_dsn, 'create table "T" (a integer, gone text, "B b" text, c integer, primary key (c, a))')
    run(any_dsn, 'alter table "T" drop column gone')

    assert await describe(any_dsn, "public", "T") == TableDescription("public", "T", "r", ("a", "B b", "c"), ("c", "a"))


async def test_columns_that_may_hold_what_json_cannot_are_named(any_dsn: str) -> None:
    run(
        any_dsn,
        "create type pair as (a json); create type mood as enum ('a'); create domain word as text;"
        "create table t (a json, b jsonb, c json[], d pair, e mood, f word, g text, h integer[], i uuid)",
    )

    assert (await describe(any_dsn, "public", "t")).risky == ("a", "c", "d", "f")


@pytest.mark.parametrize(
    ("made", "kind"), [("table t (a int) partition by list (a)", "p"), ("view t as select 1 as a", "v")]
)
async def test_its_kind_is_said(any_dsn: str, made: str, kind: str) -> None:
    run(any_dsn, f"create {made}")

    assert (await describe(any_dsn, "public", "t")).kind == kind


async def test_a_table_that_is_not_there_is_said_to_be_missing(any_dsn: str) -> None:
    with pytest.raises(NotFoundError) as refused:
        await describe(any_dsn, "public", "nothing")

    assert refused.value.code == "input.no_table"
