"""Patterns of event types."""

import pytest

from rowcast.core.errors import InvalidInputError
from rowcast.core.event_pattern import checked_event_pattern, fits_any, fits_pattern


@pytest.mark.parametrize(
    ("event_type", "pattern", "expected"),
    [
        ("orders.confirmed", "orders.confirmed", True),
        ("orders.confirmed", "orders.*", True),
        ("orders.line.added", "orders.*", True),
        ("orders.line.added", "orders.line.*", True),
        ("orders.confirmed", "*", True),
        ("orders.confirmed", "orders.confirm", False),
        ("orders_archive.moved", "orders.*", False),
        ("kitchen.done", "orders.*", False),
        ("orders.confirmed", "orders.confirmed.*", False),
    ],
)
def test_pattern_means_a_type_a_prefix_or_everything(event_type: str, pattern: str, expected: bool) -> None:
    assert fits_pattern(event_type, checked_event_pattern(pattern)) is expected


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        ".*",
        ".orders",
        "orders*",
        "orders.*.done",
        "*.done",
        "**",
        "Or ders.*",
        "orders.* ",
        "orders..*",
        "a." * 70 + "*",
    ],
)
def test_malformed_pattern_is_refused_with_its_code(pattern: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        checked_event_pattern(pattern)

    assert refusal.value.code == "input.event_pattern"


def test_one_fitting_pattern_of_several_is_enough() -> None:
    assert fits_any("orders.confirmed", ("kitchen.*", "orders.*"))
    assert not fits_any("orders.confirmed", ("kitchen.*", "stock.*"))
    assert not fits_any("orders.confirmed", ())
