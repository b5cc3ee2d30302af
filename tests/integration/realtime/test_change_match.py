"""Filters decided in memory, held against PostgreSQL itself: where we decide at all, we decide as it does."""

import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from rowcast.realtime.change_filter import Condition
from rowcast.realtime.change_match import equality_key, like_expression, make_test
from rowcast.realtime.change_types import Collation, ColumnType

BYTEWISE = Collation(is_bytewise=True)
KINDS = {
    name: ColumnType(name, name, is_text=name in {"text", "varchar", "bpchar"})
    for name in "int4 int8 numeric float8 bool uuid text varchar bpchar date timestamp timestamptz time bytea".split()
}
KINDS["int4[]"] = ColumnType("_int4", "_int4", "array", KINDS["int4"])
KINDS["text[]"] = ColumnType("_text", "_text", "array", KINDS["text"])
SQL = {"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">=", "isdistinct": "is distinct from"}

_words = st.text(alphabet="abAB%_\\ .ß", max_size=5)
_numbers = st.integers(-3, 3).map(str) | st.sampled_from(["1.50", "1.5", "-0.0", "0", "1e2", "100"])
_times = st.sampled_from(
    ["2026-01-01", "2026-01-01 10:00:00.5", "2026-01-01 10:00:00.55", "0044-03-15 BC", "infinity", "12026-01-01"]
)
VALUES: dict[str, Any] = {
    "int4": st.integers(-3, 3).map(str),
    "int8": st.integers(-(10**18), 10**18).map(str) | st.integers(-3, 3).map(str),
    "numeric": _numbers | st.sampled_from(["NaN", "12345678901234567890.1"]),
    "float8": _numbers | st.sampled_from(["NaN", "Infinity", "-Infinity", "1e300"]),
    "bool": st.sampled_from(["t", "f", "true", "0"]),
    "uuid": st.integers(0, 3).map(lambda n: f"{n}F2C1234-0000-4000-8000-00000000000{n}"),
    "text": _words,
    "varchar": _words,
    "bpchar": _words,
    "date": _times,
    "timestamp": _times,
    "timestamptz": _times | st.sampled_from(["2026-01-01 12:00:00+02"]),
    "time": st.sampled_from(["10:00", "10:00:00.5", "24:00:00", "00:00"]),
    "bytea": st.binary(max_size=3).map(lambda data: "\\x" + data.hex()),
    "int4[]": st.sampled_from(["{}", "{1}", "{1,2}", "{NULL}", "[0:0]={1}", "{{1},{2}}"]),
    "text[]": st.sampled_from(["{}", "{a}", '{"a"}', "{A}", "{a,NULL}"]),
}


@pytest.fixture(scope="module")
def session(rowcast_cluster: Any) -> Iterator[Any]:
    """A connection that writes values as the replication stream does."""
    options = "-c datestyle=ISO,YMD -c timezone=UTC -c intervalstyle=postgres -c extra_float_digits=1"
    dsn = rowcast_cluster.create()
    with psycopg.connect(dsn, autocommit=True, options=options) as connection:
        yield connection
    rowcast_cluster.drop(dsn)


def texts(session: Any, kind: str, values: list[str | None]) -> list[str | None]:
    """Give values as PostgreSQL writes them."""
    return [
        session.execute(f"select format('%%s', %s::{kind})", [value]).fetchone()[0] if value is not None else None
        for value in values
    ]


def ask(session: Any, sql: str, values: list[object]) -> bool:
    """Give what SQL says; null is False: nothing is delivered then."""
    return session.execute(f"select {sql}", values).fetchone()[0] is True


def decide(
    session: Any, kind: str, condition: Condition, cell: str | None, *, collation: Collation = BYTEWISE
) -> bool | None:
    literals = tuple(text or "" for text in texts(session, kind, list(condition.operands)))
    (shown,) = texts(session, kind, [cell])
    test = make_test(condition, literals, KINDS[kind], collation)
    return test(shown.encode() if shown is not None else None)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(),
    kind=st.sampled_from(sorted(VALUES)),
    operator=st.sampled_from(sorted(SQL)),
    is_negated=st.booleans(),
)
def test_a_comparison_is_decided_as_postgresql_decides_it(
    session: Any, data: st.DataObject, kind: str, operator: str, is_negated: bool
) -> None:
    cell, literal = data.draw(st.none() | VALUES[kind]), data.draw(VALUES[kind])
    condition = Condition("c", operator, (literal,), is_negated)
    # Collation C on both sides: the test column is one whose texts compare by their bytes.
    words = ' collate "C"' if KINDS[kind].is_text else ""

    ours = decide(session, kind, condition, cell)

    theirs = ask(
        session, f"{'not ' if is_negated else ''}(%s::{kind}{words} {SQL[operator]} %s::{kind})", [cell, literal]
    )
    assert ours in (theirs, None)
    is_plain = not (kind.endswith("[]") or kind == "bpchar") and not re.search("BC|inf|12026", f"{cell}{literal}")
    assert ours is not None or not is_plain or operator in {"lt", "lte", "gt", "gte"}


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.data(), kind=st.sampled_from(["int4", "numeric", "text", "uuid", "timestamptz"]), is_negated=st.booleans()
)
def test_a_list_is_decided_as_postgresql_decides_it(
    session: Any, data: st.DataObject, kind: str, is_negated: bool
) -> None:
    cell, operands = data.draw(st.none() | VALUES[kind]), data.draw(st.lists(VALUES[kind], max_size=3))
    condition = Condition("c", "in", tuple(operands), is_negated)

    ours = decide(session, kind, condition, cell)

    assert ours is ask(session, f"{'not ' if is_negated else ''}(%s::{kind} = any (%s::{kind}[]))", [cell, operands])


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cell=st.none() | _words, pattern=_words, is_folding=st.booleans(), is_negated=st.booleans())
def test_a_pattern_is_decided_as_postgresql_decides_it(
    session: Any, cell: str | None, pattern: str, is_folding: bool, is_negated: bool
) -> None:
    assume((len(pattern) - len(pattern.rstrip("\\"))) % 2 == 0)
    condition = Condition("c", "ilike" if is_folding else "like", (pattern,), is_negated)

    ours = decide(session, "text", condition, cell)

    theirs = ask(
        session, f"{'not ' if is_negated else ''}(%s::text {'~~*' if is_folding else '~~'} %s)", [cell, pattern]
    )
    assert ours in (theirs, None)
    assert ours is not None or is_folding


@pytest.mark.parametrize("is_negated", [False, True])
@pytest.mark.parametrize("word", ["null", "true", "false", "unknown"])
@pytest.mark.parametrize("cell", [None, "t", "f"])
def test_is_knows_null(session: Any, cell: str | None, word: str, is_negated: bool) -> None:
    test = make_test(Condition("c", "is", (word,), is_negated), (word,), KINDS["bool"], BYTEWISE)

    assert test(cell.encode() if cell else None) is ask(
        session, f"%s::bool is {'not ' if is_negated else ''}{word}", [cell]
    )


@pytest.mark.parametrize(
    ("kind", "operator", "collation"),
    [
        (KINDS["text"], "gt", Collation(is_bytewise=False)),
        (KINDS["text"], "eq", Collation(is_deterministic=False)),
        (KINDS["text"], "like", Collation(is_deterministic=False)),
        (KINDS["text"], "ilike", Collation(folds_ascii=False)),
        (KINDS["text"], "match", BYTEWISE),
        (ColumnType("interval", "interval"), "eq", BYTEWISE),
        (ColumnType("jsonb", "jsonb"), "eq", BYTEWISE),
        (ColumnType("mood", "mood", "enum"), "lt", BYTEWISE),
        (ColumnType("citext", "citext", "other", is_text=True), "eq", BYTEWISE),
        (ColumnType("_numeric", "_numeric", "array", KINDS["numeric"]), "eq", BYTEWISE),
    ],
)
def test_what_only_the_database_knows_is_asked_there(kind: ColumnType, operator: str, collation: Collation) -> None:
    test = make_test(Condition("c", operator, ("x",)), ("x",), kind, collation)

    assert test(b"x") is None
    assert test(None) is False


def test_values_that_are_equal_have_one_key() -> None:
    key = equality_key(KINDS["numeric"], BYTEWISE)

    assert key is not None
    assert key(b"1.50") == key(b"1.5")
    assert key(b"NaN") == key(b"NaN") != key(b"0")


def test_a_pattern_cannot_smuggle_in_an_expression() -> None:
    assert like_expression("a.*%_\\%") == r"a\.\*(?s:.*)(?s:.)\%"
