"""The message of an event."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec

from rowcast.core.envelope import Envelope
from rowcast.webhooks.message import MESSAGE_AGGREGATE, message_body

EVENT = Envelope(
    id=UUID("01900000-0000-7000-8000-000000000001"),
    tenant_id="acme",
    aggregate_type="order",
    aggregate_id="o1",
    event_type="orders.confirmed",
    version=1,
    occurred_at=datetime(2026, 6, 19, 12, 0, 0, 123456, tzinfo=UTC),
    payload=msgspec.Raw(b'{"b": 1.10, "a": [ ]}'),
)


def test_body_carries_the_payload_as_it_was_emitted() -> None:
    assert message_body(EVENT) == (
        b'{"type":"orders.confirmed","timestamp":"2026-06-19T12:00:00.123456Z","data":{"b": 1.10, "a": [ ]}}'
    )


def test_a_message_of_the_api_is_what_its_caller_sent() -> None:
    assert message_body(msgspec.structs.replace(EVENT, aggregate_type=MESSAGE_AGGREGATE)) == b'{"b": 1.10, "a": [ ]}'
