import uuid
from datetime import UTC, datetime

import msgspec
import pytest

from rowcast.core.codec import encode_json
from rowcast.core.envelope import ENVELOPE_VERSION, Envelope, public_envelope

EVENT = Envelope(
    id=uuid.UUID("0199c7a0-0000-7000-8000-000000000000"),
    tenant_id="acme",
    aggregate_type="order",
    aggregate_id="o-1",
    event_type="orders.confirmed",
    version=2,
    occurred_at=datetime(2026, 1, 1, tzinfo=UTC),
    payload=msgspec.Raw(b'{"order_id":"o-1"}'),
    topic="orders:acme",
    seq=7,
)


def test_the_envelope_has_version_one() -> None:
    assert ENVELOPE_VERSION == 1


def test_receivers_see_camel_case_and_neither_sequence_nor_topic() -> None:
    assert encode_json(public_envelope(EVENT)) == (
        b'{"id":"0199c7a0-0000-7000-8000-000000000000","version":2,"tenantId":"acme","aggregateType":"order",'
        b'"aggregateId":"o-1","eventType":"orders.confirmed","occurredAt":"2026-01-01T00:00:00Z",'
        b'"payload":{"order_id":"o-1"}}'
    )


def test_receivers_see_the_trace_where_there_is_one() -> None:
    traced = msgspec.structs.replace(EVENT, traceparent="00-x")

    assert b'"traceparent":"00-x"' in encode_json(public_envelope(traced))


def test_the_payload_is_parsed_when_it_is_asked_for() -> None:
    assert EVENT.payload_value() == {"order_id": "o-1"}


def test_an_event_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        EVENT.tenant_id = "globex"  # type: ignore[misc]
