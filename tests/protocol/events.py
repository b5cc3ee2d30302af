"""Committed events for tests."""

from datetime import UTC, datetime

import msgspec

from rowcast.core.codec import encode_json
from rowcast.core.envelope import Envelope
from rowcast.core.ids import uuid7

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def order_confirmed(tenant_id: str) -> Envelope:
    """Give an event that an application emitted."""
    payload = msgspec.Raw(b'{"id":"o1","total":"12.50"}')
    return Envelope(uuid7(_NOW), tenant_id, "order", "o1", "orders.confirmed", 1, _NOW, payload)


def order_updated(tenant_id: str, *, topic: str | None) -> Envelope:
    """Give an event that a watched table wrote."""
    row = {
        "schema": "public",
        "table": "orders",
        "operation": "UPDATE",
        "record": {"id": 7, "tenant": tenant_id},
        "old_record": {"id": 7},
    }
    payload = msgspec.Raw(encode_json(row))
    return Envelope(uuid7(_NOW), tenant_id, "orders", "7", "orders.updated", 1, _NOW, payload, topic=topic)
