"""Filters of the REST shim."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.errors import InvalidInputError
from rowcast.testing.shim_filters import Filter, chosen_columns, parse_filters


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("eq.7", ("7",)),
        ("eq.", ("",)),
        ("eq.a.b", ("a.b",)),
        ("in.(1,2)", ("1", "2")),
        ('in.("a,b",c)', ("a,b", "c")),
        ('in.("say \\"hi\\"")', ('say "hi"',)),
        ("in.()", ()),
    ],
)
def test_a_filter_gives_the_values_that_fit(text: str, values: tuple[str, ...]) -> None:
    assert list(parse_filters([("id", text)])) == [Filter("id", values)]


@pytest.mark.parametrize("text", ["7", "like.a*", "in.1,2", "in.(1", 'in.("a)', "not.eq.1"])
def test_a_filter_that_is_not_known_is_refused_and_not_left_out(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_filters([("id", text)])


def test_what_is_no_filter_is_passed_over() -> None:
    assert parse_filters([("select", "*"), ("columns", '"a"'), ("limit", "1")]) == []


def test_the_columns_asked_for_are_given() -> None:
    assert chosen_columns("*") is chosen_columns("") is None
    assert chosen_columns('id, "name"') == {"id", "name"}


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_filters([("id", text)])
    except InvalidInputError:
        return
