"""Points in time inside conditions: read from text, compared, laid on a calendar. Nothing here raises on data."""

import re
from datetime import UTC, date, datetime, tzinfo
from typing import Any

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DURATION = re.compile(r"(\d{1,6})([smhd])\Z", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_TEXT_LIMIT_CHARS = 64


def parse_duration_s(text: Any) -> float | None:
    """Give the seconds of `90s`, `30m`, `24h` or `7d`, or of a number of seconds; None for anything else."""
    if type(text) in (int, float):
        return float(text) if 0 <= text < 1e9 else None
    found = _DURATION.match(text) if type(text) is str else None
    return float(int(found.group(1)) * _SECONDS[found.group(2)]) if found else None


def parse_moment(text: Any) -> datetime | None:
    """Give the point in time of an ISO 8601 text, as UTC where it names no zone; None for anything else."""
    if type(text) is not str or len(text) > _TEXT_LIMIT_CHARS:
        return None
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def is_day(text: Any) -> bool:
    """Tell whether a text names a day: `saturday` or `2026-06-20`."""
    return text in WEEKDAYS or _parse_date(text) is not None


def is_within(moment: Any, reference: Any, duration_s: float) -> bool:
    """Tell whether two points in time lie at most `duration_s` seconds apart, whichever comes first."""
    left, right = parse_moment(moment), parse_moment(reference)
    return left is not None and right is not None and abs((left - right).total_seconds()) <= duration_s


def is_on_day(moment: Any, day: Any, zone: tzinfo) -> bool:
    """Tell whether a point in time falls on a weekday or a date, by the calendar of `zone`."""
    point = parse_moment(moment)
    if point is None or type(day) is not str:
        return False
    try:
        local = point.astimezone(zone).date()
    except OverflowError:
        return False
    return WEEKDAYS[local.weekday()] == day or local == _parse_date(day)


def _parse_date(text: Any) -> date | None:
    if type(text) is not str or len(text) != len("2026-06-20"):
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
