"""Values as JSON, held against `to_jsonb` of PostgreSQL itself."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rowcast.realtime.change_json import json_converter
from rowcast.realtime.change_tables import ChangeTables
from rowcast.store.pool import Database

MOODS = (
    "create type mood as enum ('sad', 'so so', 'happy')",
    "create type place as (street text, number int, tags text[], at timestamptz)",
    "create domain email as text",
    "create domain score as numeric",
    "create domain emails as email[]",
)
CASES = [
    ("int4", "-7"), ("int8", "9007199254740993"), ("oid", "7"), ("float8", "1e300"), ("float4", "-0.1"), ("float8", "NaN"),
    ("float8", "-Infinity"), ("numeric", "1.50"), ("numeric", "NaN"), ("numeric", "123456789012345678901234567890.5"),
    ("bool", "true"), ("text", 'a"b\\c\n\t'), ("text", "naïve ☃ \U0001f600"), ("varchar", ""), ("bpchar", "x "), ("name", "n"),
    ("uuid", "8F2C1234-0000-4000-8000-000000000001"), ("json", '{"a" : [1, {"b":null}]}'), ("jsonb", '{"b":1,"a":"x"}'),
    ("timestamp", "2026-08-21 09:12:33.4"), ("timestamp", "infinity"), ("timestamptz", "2026-08-21 09:12:33.418+02"),
    ("timestamptz", "0044-03-15 12:00:00+00 BC"), ("timestamptz", "12026-01-01 00:00:00+00"), ("timestamptz", "-infinity"),
    ("date", "2026-08-21"), ("date", "infinity"), ("date", "0044-03-15 BC"), ("time", "09:12:33.5"), ("timetz", "09:12:33+02"),
    ("interval", "1 year 2 days 03:04:05.6"), ("bytea", "\\x00ff"), ("inet", "10.0.0.1"), ("int4range", "[1,5)"),
    ("point", "(1,2)"), ("money", "3.5"), ("int4[]", "{1,NULL,3}"), ("text[]", '{a,"b c","",NULL,"NULL","x\\"y\\\\z","{","(a,b)"}'),
    ("int4[]", "{{1,2},{3,4}}"), ("int4[]", "[0:1]={5,6}"), ("text[]", "{}"), ("numeric[]", "{1.50,NaN}"), ("bool[]", "{t,f}"),
    ("timestamptz[]", '{"2026-08-21 09:12:33+00"}'), ("jsonb[]", '{"{\\"a\\": [1, 2]}","3"}'), ("bytea[]", '{"\\\\x01"}'),
    ("mood", "so so"), ("mood[]", '{sad,"so so"}'), ("email", "a@b"), ("score", "1.5"), ("emails", "{a,b}"),
    ("place", '("Main ""St"", 1\\\\x",7,"{a,""b c""}","2026-08-21 09:12:33+00")'), ("place", "(,,,)"), ("place", '("",1,{},)'),
    ("place[]", '{"(a,1,{},)","(\\"b c\\",2,,)"}'),
]  # fmt: skip


@pytest.fixture
def session(dsn: str) -> Iterator[Any]:
    """A connection that writes values as the replication stream does."""
    options = "-c datestyle=ISO,YMD -c timezone=UTC -c intervalstyle=postgres -c extra_float_digits=1"
    with psycopg.connect(dsn, autocommit=True, options=options) as connection:
        for statement in MOODS:
            connection.execute(statement)
        yield connection


def parse(text: str | bytes) -> object:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


async def converted(database: Database, session: Any, kind: str, text: str) -> tuple[object, object]:
    row = session.execute(
        f"select format('%%s', %s::{kind}), to_jsonb(%s::{kind})::text, %s::regtype::oid::int", [text, text, kind]
    ).fetchone()
    types = await ChangeTables(database=database).types([row[2]])
    return parse(json_converter(types[row[2]])(row[0].encode())), parse(row[1])


@pytest.mark.parametrize(("kind", "text"), CASES)
async def test_a_value_is_written_as_to_jsonb_writes_it(database: Database, session: Any, kind: str, text: str) -> None:
    ours, theirs = await converted(database, session, kind, text)

    assert ours == theirs


async def test_an_hstore_is_an_object(database: Database, session: Any) -> None:
    if session.execute("select 1 from pg_available_extensions where name = 'hstore'").fetchone() is None:
        pytest.skip("NOT TESTED: this PostgreSQL comes without hstore.")
    session.execute("create extension hstore")

    ours, theirs = await converted(database, session, "hstore", '"a b"=>"1", "c"=>NULL, "d\\"e"=>"x\\\\y"')

    assert ours == theirs


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    values=st.lists(
        st.none() | st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=8), max_size=4
    )
)
def test_any_array_and_any_composite_of_texts_is_written_as_to_jsonb_writes_it(
    session: Any, values: list[str | None]
) -> None:
    from rowcast.realtime.change_types import ColumnType

    text = ColumnType("text", "text", is_text=True)
    array = ColumnType("_text", "_text", "array", text)
    pair = ColumnType(
        "place", "place", "composite", fields=(("street", text), ("number", text), ("tags", array), ("at", text))
    )
    row = session.execute(
        "select a::text, to_jsonb(a)::text, p::text, to_jsonb(p)::text from (select %s::text[] as a,"
        " row(%s::text, null, %s::text[], null)::place as p) x",
        [values, values[0] if values else None, values],
    ).fetchone()

    assert parse(json_converter(array)(row[0].encode())) == parse(row[1])
    assert parse(json_converter(pair)(row[2].encode())) == parse(row[3])
