"""The message of an event: the same id and the same bytes for every endpoint and every attempt. Pure."""

import uuid
from datetime import datetime

import msgspec

from rowcast.core.codec import encode_json
from rowcast.core.envelope import Envelope


class _Body(msgspec.Struct, frozen=True):
    type: str
    timestamp: datetime
    data: msgspec.Raw


def message_id(event_id: uuid.UUID) -> str:
    """Give the id that receivers drop duplicates by; it holds no dot, since a dot ends the id in the signed text."""
    return f"msg_{event_id.hex}"


def message_body(event: Envelope) -> bytes:
    """Give the JSON text `{"type", "timestamp", "data"}` with the payload as it was emitted."""
    return encode_json(_Body(event.event_type, event.occurred_at, event.payload))
