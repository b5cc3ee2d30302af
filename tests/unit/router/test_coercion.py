"""JavaScript's truth, equality and order."""

from typing import Any

import pytest

from rowcast.router.coercion import is_at_most, is_equal, is_identical, is_less, is_true


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, False),
        (False, False),
        (0, False),
        (0.0, False),
        ("", False),
        ([], False),
        (True, True),
        (-1, True),
        ("0", True),
        ("false", True),
        ([0], True),
        ({}, True),
        ({"a": 1}, True),
    ],
)
def test_truth_is_that_of_jsonlogic(value: Any, expected: bool) -> None:
    assert is_true(value) is expected


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (1, 1.0, True),
        (1, "1", True),
        (1, " 1 ", True),
        (1, "1.0", True),
        ("", 0, True),
        (16, "0x10", True),
        (1, "1_0", False),
        (True, 1, True),
        (True, "1", True),
        (True, "true", False),
        (False, "", True),
        (None, None, True),
        (None, 0, False),
        (None, False, False),
        (None, "", False),
        ("a", "a", True),
        ("a", "A", False),
        ("1", "1.0", False),
        ("nan", float("nan"), False),
        ([1], 1, True),
        ([1, 2], "1,2", True),
        ([], "", True),
        ({}, "[object Object]", True),
        ([], {}, False),
        ([1], [1], True),
        (["a", [None, True]], "a,,true", True),
        ("9" * 100_000, 1, False),
        ([1e21], "1e+21", True),
        ([2.0], "2", True),
    ],
)
def test_loose_equality_is_that_of_javascript(left: Any, right: Any, expected: bool) -> None:
    assert is_equal(left, right) is expected
    assert is_equal(right, left) is expected


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (1, 1.0, True),
        (1, True, False),
        (0, False, False),
        (1, "1", False),
        (None, None, True),
        (None, 0, False),
        ([1], [1], True),
    ],
)
def test_identity_never_changes_the_kind(left: Any, right: Any, expected: bool) -> None:
    assert is_identical(left, right) is expected


@pytest.mark.parametrize(
    ("left", "right", "less", "at_most"),
    [
        (1, 2, True, True),
        (2, 2, False, True),
        ("10", "9", True, True),
        ("10", 9, False, False),
        (9, "10", True, True),
        ("a", 1, False, False),
        (1, "a", False, False),
        ({}, 1, False, False),
        ([1], 2, True, True),
        (False, True, True, True),
    ],
)
def test_order_compares_texts_as_texts_and_the_rest_as_numbers(
    left: Any, right: Any, less: bool, at_most: bool
) -> None:
    assert (is_less(left, right), is_at_most(left, right)) == (less, at_most)


@pytest.mark.parametrize("other", [-1, 0, 1, "", "a", None, []])
def test_null_is_neither_less_nor_greater_than_anything(other: Any) -> None:
    assert not any(compare(*pair) for compare in (is_less, is_at_most) for pair in ((None, other), (other, None)))


def test_deeply_nested_values_are_compared_without_an_error() -> None:
    left: Any = []
    right: Any = []
    for _ in range(100_000):
        left, right = [left], [right]

    assert is_equal(left, right) is False
    assert is_equal(left, "x") is False
