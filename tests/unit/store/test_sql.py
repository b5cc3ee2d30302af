"""Named SQL is cut into blocks, and `:word` becomes `$1`, also beside strings, casts and comments."""

import pytest

from rowcast.core.errors import UsageError
from rowcast.store.sql import load_queries, parse_queries, parse_query


def test_a_parameter_keeps_its_number_wherever_it_stands() -> None:
    query = parse_query("x", "select :b, :a, :b;")

    assert query.text == "select $1, $2, $1"
    assert query.parameters == ("b", "a")


@pytest.mark.parametrize(
    "text",
    ["select ':a'", "select 'it''s :a'", 'select ":a"', "select 1::text", "select 1 -- :a", "select '12:30'::time"],
)
def test_strings_names_casts_and_comments_have_no_parameters(text: str) -> None:
    assert parse_query("x", text).parameters == ()


def test_a_cast_parameter_is_a_parameter() -> None:
    assert parse_query("x", "select :ids::uuid[]").text == "select $1::uuid[]"


def test_a_slice_of_two_parameters_is_read() -> None:
    assert parse_query("x", "select a[ :low : :high ]").parameters == ("low", "high")


def test_values_are_bound_in_the_order_of_the_text() -> None:
    assert parse_query("x", "select :b, :a").bind(a=1, b=2) == (2, 1)


@pytest.mark.parametrize("values", [{}, {"a": 1}, {"a": 1, "b": 2, "c": 3}])
def test_a_missing_or_unknown_parameter_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(UsageError) as caught:
        parse_query("x", "select :a, :b").bind(**values)

    assert caught.value.code == "usage.query"


def test_blocks_are_found_by_name() -> None:
    queries = parse_queries("-- head\n-- name: one\n-- Says one.\nselect 1;\n\n-- name: two\nselect 2;\n")

    assert list(queries) == ["one", "two"]
    assert queries["one"].text == "-- Says one.\nselect 1"


def test_two_blocks_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError):
        parse_queries("-- name: one\nselect 1;\n-- name: one\nselect 2;")


def test_the_queries_of_the_store_are_loaded_once() -> None:
    assert load_queries("rowcast.store") is load_queries("rowcast.store")
