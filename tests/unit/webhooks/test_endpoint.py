"""Endpoints as values."""

from datetime import UTC, datetime

import pytest

from rowcast.core.errors import InvalidInputError
from rowcast.webhooks.endpoint import Endpoint, SigningEndpoint, checked_event_types

AT = datetime(2026, 6, 19, tzinfo=UTC)


def endpoint(event_types: tuple[str, ...] | None, *, is_disabled: bool = False) -> Endpoint:
    return Endpoint("ep_1", "acme", "https://example.com/", "", event_types, is_disabled, AT, AT)


@pytest.mark.parametrize(
    ("event_types", "expected"),
    [(None, True), (("orders.*",), True), (("orders.confirmed",), True), (("kitchen.*",), False)],
)
def test_endpoint_wants_the_types_it_names_or_all(event_types: tuple[str, ...] | None, expected: bool) -> None:
    assert endpoint(event_types).wants("orders.confirmed") is expected


def test_disabled_endpoint_is_owed_what_it_wants_all_the_same() -> None:
    assert endpoint(None, is_disabled=True).wants("orders.confirmed")


@pytest.mark.parametrize("event_types", [[], ["no type"], ["orders.*", "x y"], ["orders.*"] * 101])
def test_malformed_event_types_are_refused(event_types: list[str]) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        checked_event_types(event_types)

    assert refusal.value.code == "input.event_pattern"


def test_no_event_types_means_all() -> None:
    assert checked_event_types(None) is None


def test_text_form_of_a_signing_endpoint_hides_its_secrets() -> None:
    made = SigningEndpoint("ep_1", "https://example.com/token", ("whsec_canary",), False)

    assert "canary" not in f"{made!r} {made}"
    assert "token" not in f"{made!r} {made}"
