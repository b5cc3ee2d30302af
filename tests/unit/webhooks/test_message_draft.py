"""Which messages can be written."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from rowcast.core.errors import InvalidFieldError, InvalidInputError, PayloadTooLargeError
from rowcast.webhooks.message_draft import MessageDraft, checked_message

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PLAIN = MessageDraft(event_type="orders.confirmed", payload=b'{"id":1}')


def changed(**fields: object) -> MessageDraft:
    return msgspec.structs.replace(PLAIN, **fields)


@pytest.mark.parametrize(
    "draft",
    [
        PLAIN,
        changed(uid="order-1", channels=("a", "b.c_d-1"), tags=("vip", "Ä b"), expires_at=NOW),
        changed(payload=b"{}", raw_payload="<a/>", content_type="application/xml; charset=utf-8"),
        changed(channels=tuple("abcde"), tags=tuple("abcdefghij")),
        changed(deliver_at=NOW + timedelta(hours=24)),
        changed(event_type="Invoice"),
    ],
)
def test_what_can_be_written_is_given_back(draft: MessageDraft) -> None:
    assert checked_message(draft, now=NOW) is draft


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"uid": "msg_1"}, "eventId"), ({"uid": "a b"}, "eventId"), ({"uid": "x" * 257}, "eventId"),
        ({"uid": ""}, "eventId"), ({"uid": "bulk-expunge"}, "eventId"), ({"uid": "precheck"}, "eventId"),
        ({"channels": tuple("abcdef")}, "channels"), ({"channels": ("a b",)}, "channels"),
        ({"channels": ("x" * 129,)}, "channels"), ({"channels": ()}, "channels"),
        ({"tags": ("",)}, "tags"), ({"tags": ("a\n",)}, "tags"), ({"tags": ("x" * 129,)}, "tags"),
        ({"tags": tuple("abcdefghijk")}, "tags"),
        ({"content_type": "text/plain"}, "transformationsParams"),
        ({"payload": b"{}", "raw_payload": "x", "content_type": "a\r\nb: c"}, "transformationsParams"),
        ({"payload": b"{}", "raw_payload": "x", "content_type": " "}, "transformationsParams"),
        ({"raw_payload": "x"}, "payload"),
        ({"deliver_at": NOW}, "deliverAt"), ({"deliver_at": NOW + timedelta(hours=25)}, "deliverAt"),
    ],
)  # fmt: skip
def test_what_cannot_be_written_is_refused_by_its_field(fields: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidFieldError) as refusal:
        checked_message(changed(**fields), now=NOW)

    assert refusal.value.place == ("body", field)


def test_a_type_that_is_none_and_a_raw_payload_that_is_too_large_are_refused() -> None:
    with pytest.raises(InvalidInputError) as refusal:
        checked_message(changed(event_type="a b"), now=NOW)
    with pytest.raises(PayloadTooLargeError):
        checked_message(changed(payload=b"{}", raw_payload="ü" * 32_769), now=NOW)

    assert refusal.value.code == "input.event_type"


def test_a_message_that_says_nothing_beside_its_event_has_no_terms() -> None:
    own = {"uid": "a", "channels": ("a",), "tags": ("a",), "raw_payload": "a", "expires_at": NOW, "deliver_at": NOW}

    assert PLAIN.has_terms is False
    assert all(changed(**{name: value}).has_terms for name, value in own.items())
