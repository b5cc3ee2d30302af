"""An event before it is written: checked whole, so that what reaches the database is taken."""

import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypedDict

import msgspec

from rowcast.core.errors import InvalidInputError
from rowcast.core.event_types import EventType, EventTypes
from rowcast.core.ids import is_uuid7
from rowcast.core.topic import checked_tenant_id


class EventOptions(TypedDict, total=False):
    """What may be said of an event beside its payload.

    `type` names the event type of a payload that is a plain mapping, `version` its version (the latest by default).
    `id` is a UUIDv7: the same event under the same id is written once. `aggregate_id` overrules the key of the type.
    `occurred_at` is when it happened, by default now; `traceparent` its W3C trace, by default the current one.
    """

    type: str
    version: int
    aggregate_id: str
    id: uuid.UUID
    occurred_at: datetime
    traceparent: str


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The row of an event, as the database is handed it. What is None is filled in there."""

    tenant_id: str
    event_type: str
    version: int
    payload: msgspec.Raw
    aggregate_type: str
    aggregate_id: str | None = None
    id: uuid.UUID | None = None
    occurred_at: datetime | None = None
    traceparent: str | None = None

    @property
    def size_bytes(self) -> int:
        """Give the bytes of the payload's JSON text."""
        return len(memoryview(self.payload))

    def as_text(self) -> dict[str, str | int | None]:
        """Give the row in values that every driver hands over as they are."""
        return {
            "tenant_id": self.tenant_id,
            "event_type": self.event_type,
            "version": self.version,
            "payload": str(memoryview(self.payload), "utf-8"),
            "aggregate_type": self.aggregate_type,
            "aggregate_id": self.aggregate_id,
            "id": None if self.id is None else str(self.id),
            "occurred_at": None if self.occurred_at is None else self.occurred_at.isoformat(),
            "traceparent": self.traceparent,
        }


def new_event(event: Any, *, tenant_id: str, catalogue: EventTypes, options: EventOptions) -> NewEvent:
    """Give the row of an event.

    Raises:
        InvalidInputError: The tenant, the payload, the id or the time cannot be taken.
        UnknownEventTypeError: The class or the type is not declared.
    """
    declared = _declared(event, catalogue, options)
    _check_options(options)
    return NewEvent(
        tenant_id=checked_tenant_id(tenant_id),
        event_type=declared.name,
        version=declared.version,
        payload=msgspec.Raw(declared.encode(event)),
        aggregate_type=declared.aggregate_type,
        aggregate_id=options.get("aggregate_id") or declared.aggregate_id(event),
        id=options.get("id"),
        occurred_at=options.get("occurred_at"),
        traceparent=options.get("traceparent"),
    )


def _declared(event: Any, catalogue: EventTypes, options: EventOptions) -> EventType:
    if not isinstance(event, Mapping):
        _refuse_type_of_instance(options)
        return catalogue.of_class(type(event))
    if "type" not in options:
        raise InvalidInputError(
            "The event is a plain mapping and does not say its type. Pass type='module.name' or an instance.",
            code="input.event_type",
        )
    return catalogue.get(options["type"], options.get("version"))


def _refuse_type_of_instance(options: EventOptions) -> None:
    if "type" in options or "version" in options:
        raise InvalidInputError(
            "An instance of a declared class says its type and version by itself. Leave out type and version.",
            code="input.event_type",
        )


def _check_options(options: EventOptions) -> None:
    event_id: object = options.get("id")
    aggregate_id: object = options.get("aggregate_id")
    occurred_at = options.get("occurred_at")
    if event_id is not None and not (isinstance(event_id, uuid.UUID) and is_uuid7(event_id)):
        raise InvalidInputError(
            f"The event id {event_id} is not a UUIDv7. Leave it out, or make one with rowcast.uuid7() in SQL.",
            code="input.event_id",
        )
    if aggregate_id is not None and not (isinstance(aggregate_id, str) and "\0" not in aggregate_id):
        raise InvalidInputError(
            "The aggregate id must be a text without the character U+0000, which PostgreSQL does not keep.",
            code="input.aggregate_id",
        )
    if occurred_at is not None and occurred_at.tzinfo is None:
        raise InvalidInputError("occurred_at has no time zone. Pass an aware datetime.", code="input.occurred_at")
