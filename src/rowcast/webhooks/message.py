"""The message of an event: the same bytes for every endpoint and every attempt. Pure."""

from datetime import datetime

import msgspec

from rowcast.core.codec import encode_json
from rowcast.core.envelope import Envelope

MESSAGE_AGGREGATE = "webhook_message"
"""What events are about that came in as messages of the API, of types that no class declares."""


class _Body(msgspec.Struct, frozen=True):
    type: str
    timestamp: datetime
    data: msgspec.Raw


def message_body(event: Envelope) -> bytes:
    """Give the JSON text `{"type", "timestamp", "data"}` with the payload as it was emitted.

    A message of the API is its caller's whole text, which receivers have parsed before they heard of rowcast.
    """
    if event.aggregate_type == MESSAGE_AGGREGATE:
        return bytes(event.payload)
    return encode_json(_Body(event.event_type, event.occurred_at, event.payload))
