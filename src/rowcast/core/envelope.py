"""The envelope: the durable form of an event, the same in the table, on the wire and in every room."""

import uuid
from datetime import datetime

import msgspec

from rowcast.core.codec import decode_json

ENVELOPE_VERSION = 1


class Envelope(msgspec.Struct, frozen=True):
    """One committed event. `payload` is its JSON text, carried along unparsed until somebody needs it.

    `version` is the version of the event type (not of the envelope), counted from 1. `topic` is set only for
    an event that a watched table wrote: the private topic it is broadcast on. `seq` orders the events of one
    aggregate; it says nothing across aggregates.
    """

    id: uuid.UUID
    tenant_id: str
    aggregate_type: str
    aggregate_id: str
    event_type: str
    version: int
    occurred_at: datetime
    payload: msgspec.Raw
    traceparent: str | None = None
    topic: str | None = None
    seq: int = 0

    def payload_value(self) -> object:
        """Give the payload as Python values."""
        return decode_json(bytes(self.payload))


class PublicEnvelope(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """The envelope as receivers see it: sockets on `tenant:` topics, webhooks, the HTTP API. Envelope version 1."""

    id: uuid.UUID
    version: int
    tenant_id: str
    aggregate_type: str
    aggregate_id: str
    event_type: str
    occurred_at: datetime
    payload: msgspec.Raw
    traceparent: str | None = None


def public_envelope(event: Envelope) -> PublicEnvelope:
    """Give what a receiver may see of an event."""
    return PublicEnvelope(
        id=event.id,
        version=event.version,
        tenant_id=event.tenant_id,
        aggregate_type=event.aggregate_type,
        aggregate_id=event.aggregate_id,
        event_type=event.event_type,
        occurred_at=event.occurred_at,
        payload=event.payload,
        traceparent=event.traceparent,
    )
