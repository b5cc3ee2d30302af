"""Points in time inside conditions."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rowcast.router.moments import is_day, is_on_day, is_within, parse_duration_s, parse_moment

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", 90.0),
        ("30m", 1800.0),
        ("24h", 86_400.0),
        ("7d", 604_800.0),
        (60, 60.0),
        (0.5, 0.5),
        ("", None),
        ("24", None),
        ("-1h", None),
        ("1w", None),
        ("1h30m", None),
        ("9999999d", None),
        (-1, None),
        (True, None),
        (None, None),
        ([1], None),
    ],
)
def test_duration_is_a_number_with_a_unit(text: Any, expected: float | None) -> None:
    assert parse_duration_s(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2026-13-01",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59-23:59",
        "2" * 70,
        5,
        None,
        ["2026-06-20"],
    ],
)
def test_what_is_no_point_in_time_reads_as_none(text: Any) -> None:
    assert parse_moment(text) is None


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        ("2026-06-20T12:00:00Z", "2026-06-19T12:00:00Z", True),
        ("2026-06-19T12:00:00Z", "2026-06-20T12:00:00Z", True),
        ("2026-06-20T12:00:01Z", "2026-06-19T12:00:00Z", False),
        ("2026-06-20T14:00:00+02:00", "2026-06-19T12:00:00", True),
        ("2026-06-20", "2026-06-19", True),
        ("soon", "2026-06-19", False),
        (None, "2026-06-19", False),
    ],
)
def test_within_counts_both_ways_and_its_edge_is_inside(left: Any, right: Any, expected: bool) -> None:
    assert is_within(left, right, 86_400.0) is expected


@pytest.mark.parametrize(
    ("moment", "day", "expected"),
    [
        ("2026-06-19T22:30:00Z", "2026-06-20", True),
        ("2026-06-19T21:30:00Z", "2026-06-20", False),
        ("2026-06-20T22:30:00Z", "2026-06-20", False),
        ("2026-06-19T22:30:00Z", "saturday", True),
        ("2026-06-19T22:30:00Z", "friday", False),
        # The clocks change on 29 March 2026: the day has 23 hours.
        ("2026-03-28T23:00:00Z", "2026-03-29", True),
        ("2026-03-29T22:00:00Z", "2026-03-29", False),
        ("9999-12-31T23:30:00Z", "friday", False),
        ("2026-06-20", "someday", False),
        ("2026-06-20", None, False),
        (None, "friday", False),
    ],
)
def test_day_is_that_of_the_calendar_of_the_zone(moment: Any, day: Any, expected: bool) -> None:
    assert is_on_day(moment, day, BERLIN) is expected


def test_day_is_a_weekday_or_a_date() -> None:
    assert is_day("saturday")
    assert is_day("2026-06-20")
    assert not any(is_day(text) for text in ("Saturday", "2026-02-30", "20260620", "", None, 6))
