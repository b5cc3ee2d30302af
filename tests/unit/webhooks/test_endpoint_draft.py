"""What a tenant says about an endpoint, and changes of it."""

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from rowcast.core.errors import InvalidFieldError, InvalidInputError
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.endpoint_draft import (
    EndpointChange,
    EndpointDraft,
    changed_draft,
    checked_channels,
    checked_draft,
    draft_of,
    replaced_draft,
)

AT = datetime(2026, 6, 19, tzinfo=UTC)
KEPT = EndpointDraft(
    url="https://a.example.com/", description="A", event_types=("a.*",), is_disabled=True, uid="a", channels=("eu",),
    throttle_rate=3, metadata={"a": "b"}, version=2, is_ordered=True, retry_schedule_s=(5.0,), log_level="failures",
)  # fmt: skip


def test_a_change_leaves_what_it_does_not_name_and_unsets_what_is_none() -> None:
    made = changed_draft(KEPT, EndpointChange(channels=None, throttle_rate=None, is_disabled=False))

    assert made == msgspec.structs.replace(KEPT, channels=None, throttle_rate=None, is_disabled=False)


def test_a_replacement_keeps_the_uid_and_what_not_every_sdk_knows() -> None:
    made = replaced_draft(KEPT, EndpointChange(url="https://b.example.com/"))

    assert made == EndpointDraft(
        url="https://b.example.com/", uid="a", version=2, is_ordered=True, retry_schedule_s=(5.0,), log_level="failures"
    )
    assert replaced_draft(KEPT, EndpointChange(uid=None, is_ordered=False)).uid is None
    assert not replaced_draft(KEPT, EndpointChange(is_ordered=False)).is_ordered


def test_what_is_said_now_is_read_back_from_an_endpoint() -> None:
    endpoint = Endpoint(
        "ep_1", "acme", KEPT.url, "A", ("a.*",), True, AT, AT, True, "a", ("eu",), 3, {"a": "b"}, 2, "v1", (5.0,), "failures"
    )  # fmt: skip

    assert draft_of(endpoint) == KEPT


@pytest.mark.parametrize(
    "change",
    [
        {"uid": "ep_1"},
        {"uid": ""},
        {"throttle_rate": 0},
        {"channels": ()},
        {"channels": tuple(f"c{number}" for number in range(11))},
        {"channels": ("x" * 129,)},
        {"description": "x" * 10_001},
        {"description": "\x00"},
        {"version": 0},
        {"version": 65_536},
        {"metadata": {"a": "x" * 501}},
        {"metadata": {"x" * 501: ""}},
    ],
)
def test_a_field_that_cannot_be_kept_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidFieldError) as refusal:
        checked_draft(msgspec.structs.replace(KEPT, **change))

    assert refusal.value.place[1].lower() == next(iter(change)).replace("_", "")


@pytest.mark.parametrize("waits_s", [(-1.0,), (604_801.0,), (1.0,) * 31])
def test_a_schedule_that_nobody_keeps_to_is_refused(waits_s: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInputError, match="schedule"):
        checked_draft(msgspec.structs.replace(KEPT, retry_schedule_s=waits_s))


def test_what_can_be_kept_is_given_back() -> None:
    assert checked_draft(KEPT) is KEPT
    assert checked_channels(["a", "b-1_.C"], most=2) == ["a", "b-1_.C"]
