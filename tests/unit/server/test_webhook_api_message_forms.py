"""How a message looks when it comes in, and when it is answered."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from rowcast.core.codec import encode_json
from rowcast.core.errors import InvalidFieldError
from rowcast.server.webhook_api_body import read_body
from rowcast.server.webhook_api_message_forms import MessageIn, message_out
from rowcast.webhooks.message_draft import MessageDraft
from rowcast.webhooks.message_table import Message

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MESSAGE = Message(
    event_id=uuid.UUID(int=5),
    event_type="orders.confirmed",
    payload=msgspec.Raw(b'{"a": 1.50}'),
    created_at=NOW,
    uid="o1",
)


def draft_of(**fields: Any) -> MessageDraft:
    body = json.dumps({"eventType": "orders.confirmed", "payload": {"a": 1}, **fields})
    return read_body(body.encode(), MessageIn).draft(now=NOW)


def test_a_message_is_read_as_it_was_sent() -> None:
    text = (
        b'{"eventType":"a","payload": { "price" : 1.50 },"eventId":"e1","channels":["b","a","b"],"tags":[],"later":1}'
    )

    draft = read_body(text, MessageIn).draft(now=NOW)

    assert draft == MessageDraft(event_type="a", payload=b'{ "price" : 1.50 }', uid="e1", channels=("b", "a"))


@pytest.mark.parametrize(
    ("fields", "kept"),
    [
        ({}, None), ({"payloadRetentionPeriod": 5}, timedelta(days=5)), ({"payloadRetentionPeriod": 90}, timedelta(90)),
        ({"payloadRetentionHours": 1}, timedelta(hours=1)), ({"payloadRetentionHours": 2160}, timedelta(hours=2160)),
    ],
)  # fmt: skip
def test_a_payload_is_kept_for_as_long_as_is_said(fields: dict[str, int], kept: timedelta | None) -> None:
    assert draft_of(**fields).expires_at == (None if kept is None else NOW + kept)


def test_a_raw_payload_comes_with_its_content_type() -> None:
    assert read_body(b'{"eventType":"a","payload": { } }', MessageIn).draft(now=NOW).payload == b"{}"
    draft = draft_of(payload={}, transformationsParams={"rawPayload": "<a/>", "headers": {"Content-Type": "text/xml"}})

    assert (draft.raw_payload, draft.content_type) == ("<a/>", "text/xml")


@pytest.mark.parametrize(
    ("fields", "place"),
    [
        ({"payload": []}, ["payload"]), ({"payload": "x"}, ["payload"]), ({"payload": None}, ["payload"]),
        ({"payloadRetentionPeriod": 4}, ["payloadRetentionPeriod"]),
        ({"payloadRetentionPeriod": 91}, ["payloadRetentionPeriod"]),
        ({"payloadRetentionHours": 0}, ["payloadRetentionHours"]),
        ({"payloadRetentionHours": 10**30}, ["payloadRetentionHours"]),
        ({"payloadRetentionHours": 5, "payloadRetentionPeriod": 5}, ["payloadRetentionHours"]),
        ({"deliverAt": "2026-01-01T00:00:00"}, ["deliverAt"]),
        ({"transformationsParams": {"headers": {"x-a": "b"}}}, ["transformationsParams", "headers"]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_its_field(fields: dict[str, Any], place: list[str]) -> None:
    with pytest.raises(InvalidFieldError) as refusal:
        draft_of(**fields)

    assert refusal.value.place == ("body", *place)


@pytest.mark.parametrize(
    ("has_content", "is_expunged", "payload"),
    [(True, False, b'{"a": 1.50}'), (False, False, b"{}"), (True, True, b'{"expired":true}')],
)
def test_a_message_is_answered_with_its_payload_or_what_stands_for_it(
    has_content: bool, is_expunged: bool, payload: bytes
) -> None:
    message = msgspec.structs.replace(MESSAGE, is_expunged=is_expunged)

    text = encode_json(message_out(message, has_content=has_content))

    assert b'"payload":' + payload in text
    assert json.loads(text).keys() == {
        "id", "eventId", "eventType", "payload", "channels", "tags", "timestamp", "deliverAt",
    }  # fmt: skip
