"""The message of an event: the same bytes for every endpoint and every attempt. Pure."""

from datetime import datetime

import msgspec

from rowcast.core.codec import encode_json
from rowcast.core.envelope import Envelope


class _Body(msgspec.Struct, frozen=True):
    type: str
    timestamp: datetime
    data: msgspec.Raw


def message_body(event: Envelope) -> bytes:
    """Give the JSON text `{"type", "timestamp", "data"}` with the payload as it was emitted."""
    return encode_json(_Body(event.event_type, event.occurred_at, event.payload))
