"""A row becomes the envelope with the same words in the same places."""

import uuid
from datetime import UTC, datetime

from rowcast.outbox.event_row import read_envelope


def test_every_column_is_in_its_place() -> None:
    row = {
        "id": uuid.UUID(int=7), "tenant_id": "acme", "aggregate_type": "order", "aggregate_id": "o1", "event_type": "orders.placed",
        "version": 3, "occurred_at": datetime(2026, 1, 1, tzinfo=UTC), "payload": '{"a": 1}', "traceparent": "00-1", "topic": "orders:1",
        "seq": 42,
    }  # fmt: skip
    event = read_envelope(row)

    assert {name: getattr(event, name) for name in row if name != "payload"} == {
        name: value for name, value in row.items() if name != "payload"
    }
    assert event.payload_value() == {"a": 1}
