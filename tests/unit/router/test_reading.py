"""Reading fields by dotted names."""

from typing import Any

import pytest

from rowcast.router.reading import read_field, reader

VALUE = {"a": {"b": {"c": 1}, "": 2}, "list": [{"x": 5}, 6], "null": None, "a.b": 9}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.b.c", 1),
        ("a.b", {"c": 1}),
        ("list.0.x", 5),
        ("list.1", 6),
        ("list.2", None),
        ("list.-1", None),
        ("list.x", None),
        ("list.99999999", None),
        ("null.x", None),
        ("a.b.c.d", None),
        ("gone", None),
        ("a.", 2),
    ],
)
def test_field_is_read_by_its_dotted_name(name: str, expected: Any) -> None:
    assert read_field(VALUE, name) == expected
    assert reader(name, None)(VALUE, None) == expected


def test_default_stands_in_for_an_absent_field_and_not_for_null() -> None:
    assert reader("gone.x", lambda scope, event: 7)(VALUE, None) == 7
    assert reader("null", lambda scope, event: 7)(VALUE, None) is None


@pytest.mark.parametrize("value", [None, 1, "text", [], [[]]])
def test_reading_from_what_has_no_fields_gives_null(value: Any) -> None:
    assert [reader(name, None)(value, None) for name in ("a", "a.b", "a.b.c")] == [None, None, None]
