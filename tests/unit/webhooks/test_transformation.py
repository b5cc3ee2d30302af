"""The transformation of an endpoint."""

import json
import uuid
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from rowcast.core.envelope import Envelope
from rowcast.core.errors import InvalidFieldError, InvalidInputError
from rowcast.webhooks.transformation import (
    Transformation,
    TransformationChange,
    changed_transformation,
    transformed_body,
)

AT = datetime(2026, 6, 19, tzinfo=UTC)


def event(payload: str) -> Envelope:
    return Envelope(
        id=uuid.UUID("01900000-0000-7000-8000-000000000001"), tenant_id="acme", aggregate_type="order", aggregate_id="o1",
        event_type="orders.paid", version=1, occurred_at=AT, payload=msgspec.Raw(payload.encode()),
    )  # fmt: skip


def test_what_is_not_said_stays_and_null_takes_the_template_away() -> None:
    saved = changed_transformation(Transformation(), TransformationChange(code='"{{ type }}"'), now=AT)
    enabled = changed_transformation(saved, TransformationChange(enabled=True, variables={"a": "b"}), now=AT)
    unset = changed_transformation(enabled, TransformationChange(code=None), now=AT)

    assert saved == Transformation('"{{ type }}"', False, {}, AT)
    assert enabled == Transformation('"{{ type }}"', True, {"a": "b"}, AT)
    assert unset == Transformation(None, True, {"a": "b"}, AT)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"code": "{{"}, "code"),
        ({"variables": {str(number): "" for number in range(51)}}, "variables"),
        ({"variables": {"a": "x" * 16_384}}, "variables"),
        ({"variables": {"a": "\x00"}}, "variables"),
    ],
)
def test_what_cannot_be_used_is_refused_when_it_is_saved(change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidFieldError) as refusal:
        changed_transformation(Transformation(), TransformationChange(**change), now=AT)

    assert refusal.value.place == ("body", field)


def test_the_body_is_what_the_template_says_and_nothing_else() -> None:
    code = '{"text": "{{ type }} {{ data.id }} {{ variables.a }}", "at": "{{ timestamp }}"}'
    body = transformed_body(event('{"id":"o1"}'), Transformation(code, True, {"a": "b"}))

    assert json.loads(body) == {"text": "orders.paid o1 b", "at": "2026-06-19T00:00:00Z"}


@pytest.mark.parametrize(
    ("code", "payload"),
    [('{"$each": "data.id", "$as": 1}', '{"id":"o1"}'), ("{{", "{}"), ('"{{ data }}"', "[" * 3000 + "]" * 3000)],
)
def test_what_does_not_fit_fails_with_one_error(code: str, payload: str) -> None:
    with pytest.raises(InvalidInputError):
        transformed_body(event(payload), Transformation(code, True))
