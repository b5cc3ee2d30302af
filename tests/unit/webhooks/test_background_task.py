"""What a task may be asked for."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from rowcast.core.errors import InvalidFieldError
from rowcast.webhooks.background_task import Chosen, checked_chosen, checked_time

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("since", {"since": datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))}),
        ("until", {"until": datetime(9999, 12, 31, tzinfo=UTC)}),
        ("until", {"until": SINCE}),
        ("until", {"until": SINCE - timedelta(seconds=1)}),
        ("eventTypes", {"event_types": ()}),
        ("eventTypes", {"event_types": ("a",) * 101}),
        ("eventTypes", {"event_types": ("no type",)}),
        ("channel", {"channel": "a\x00"}),
        ("tag", {"tag": "a\n"}),
    ],
)
def test_what_no_task_can_go_by_is_refused_at_its_place(field: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidFieldError) as refusal:
        checked_chosen(Chosen(**{"since": SINCE, **wrong}))
    assert refusal.value.place == ("body", field)


def test_a_time_without_a_zone_is_meant_in_utc() -> None:
    naive = SINCE.replace(tzinfo=None)
    chosen = checked_chosen(Chosen(since=naive, until=naive + timedelta(days=1)))

    assert (chosen.since, chosen.until) == (SINCE, SINCE + timedelta(days=1))
    assert checked_time(SINCE, place=("query", "after")) is SINCE
