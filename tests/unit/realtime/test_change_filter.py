"""The grammar of filters, and the texts of what is wrong with one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.realtime.change_filter import (
    Condition,
    FilterFault,
    check_condition,
    inspect_words,
    parse_filter,
    split_top_level,
)


@pytest.mark.parametrize(
    ("text", "conditions"),
    [
        (None, ()),
        ("", ()),
        ("id=eq.1", (Condition("id", "eq", ("1",)),)),
        ("id=not.eq.1", (Condition("id", "eq", ("1",), True),)),
        ("a=gte.1,b=lt.x.y=z", (Condition("a", "gte", ("1",)), Condition("b", "lt", ("x.y=z",)))),
        ('a=eq."x,y",b=eq.z', (Condition("a", "eq", ("x,y",)), Condition("b", "eq", ("z",)))),
        (r'a=eq."x\"\\y"', (Condition("a", "eq", ('x"\\y',)),)),
        ('a=in.(1,"b,c",d e)', (Condition("a", "in", ("1", "b,c", "d e")),)),
        ("a=not.in.(1,2)", (Condition("a", "in", ("1", "2"), True),)),
        ("a=in.()", (Condition("a", "in", ()),)),
        ("a=is.NULL", (Condition("a", "is", ("null",)),)),
        ("a=like.%x%,b=eq.1", (Condition("a", "like", ("%x%",)), Condition("b", "eq", ("1",)))),
        ("a=match.(x,y){1}", (Condition("a", "match", ("(x,y){1}",)),)),
        ('a=eq.x"y,b=eq.1', (Condition("a", "eq", ('x"y',)), Condition("b", "eq", ("1",)))),
        ("a=eq.", (Condition("a", "eq", ("",)),)),
    ],
)
def test_a_filter_is_read_as_its_conditions(text: str | None, conditions: tuple[Condition, ...]) -> None:
    assert parse_filter(text) == conditions


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("wrong", 'Error parsing `filter` params: ["wrong"]'),
        ("id=hey", 'Error parsing `filter` params: ["hey"]'),
        ("id=foo.hey", 'Error parsing `filter` params: ["foo", "hey"]'),
        ("id=in.1,2", "Error parsing `filter` params: `in` filter value must be wrapped by parentheses"),
        ("id=in.1", "Error parsing `filter` params: `in` filter value must be wrapped by parentheses"),
        (
            "id=eq.1,,b=eq.2",
            "Error parsing `filter` params: filter must not contain empty segments (check for extra commas)",
        ),
        ("id=eq.1,", "Error parsing `filter` params: filter must not contain empty segments (check for extra commas)"),
    ],
)
def test_what_is_wrong_is_said_in_the_stock_servers_words(text: str, fault: str) -> None:
    assert parse_filter(text) == FilterFault(fault)


def test_a_condition_must_fit_the_type_of_its_column() -> None:
    def fault(operator: str, *operands: str, type_name: str = "integer") -> str | None:
        found = check_condition(
            Condition("a", operator, operands),
            type_name=type_name,
            is_boolean=type_name == "boolean",
            is_text=type_name == "text",
        )
        return found.text if found else None

    assert fault("in", *"x" * 100) is None
    assert fault("in", *"x" * 101) == "too many values for `in` filter. Maximum 100"
    assert fault("is", "null") is None
    assert fault("is", "true") == "invalid value for is filter: true"
    assert fault("is", "true", type_name="boolean") is None
    assert fault("is", "perhaps", type_name="boolean") == "invalid value for is filter: perhaps"
    assert fault("ilike", "x") == "operator ilike requires a text-compatible column type, got integer"
    assert fault("like", "x\\", type_name="text") == "LIKE pattern must not end with escape character"
    assert fault("like", "x\\\\", type_name="text") is None


@given(st.text(alphabet='ab=.,()"\\notieql ', max_size=40))
def test_any_text_is_a_filter_or_a_fault(text: str) -> None:
    found = parse_filter(text)

    assert isinstance(found, (tuple, FilterFault))
    assert "".join(split_top_level(text)) == "".join(piece for piece in split_top_level(text))
    assert ",".join(split_top_level(text)) == text


@given(st.text(max_size=20))
def test_a_quoted_value_comes_back_whole(value: str) -> None:
    quoted = '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'

    assert parse_filter(f"a=eq.{quoted},b=in.(x,{quoted})") == (
        Condition("a", "eq", (value,)),
        Condition("b", "in", ("x", value)),
    )


def test_words_are_shown_as_a_list() -> None:
    assert inspect_words(["a", 'b"c']) == '["a", "b\\"c"]'
