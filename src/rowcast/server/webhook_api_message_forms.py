"""The webhook API: how a message looks when it comes in, and when it is answered."""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from rowcast.core.codec import decode_json
from rowcast.core.errors import InvalidFieldError
from rowcast.server.described import EventTypeName, ObjectText
from rowcast.server.webhook_api_applications import ApplicationIn
from rowcast.webhooks.message_draft import EMPTY_PAYLOAD, RETENTION_LEAST_DAYS, RETENTION_MOST_DAYS, MessageDraft
from rowcast.webhooks.message_table import Message

_HOURS = 24
_NO_CONTENT = msgspec.Raw(b"{}")
_EXPIRED = msgspec.Raw(b'{"expired":true}')


class RawIn(msgspec.Struct, frozen=True, rename="camel"):
    """How a message is posted that has no JSON of its own: its text, and of the headers the `content-type`."""

    raw_payload: str | None = None
    headers: dict[str, str] | None = None

    @property
    def content_type(self) -> str | None:
        """Give the content type, None where none is said.

        Raises:
            InvalidFieldError: `input.field`, for any other header: endpoints have headers, messages have none.
        """
        given = {name.lower(): value for name, value in (self.headers or {}).items()}
        content_type = given.pop("content-type", None)
        if given:
            raise InvalidFieldError(
                "A message has the header 'content-type' and no others. Give others to the endpoint.",
                place=("body", "transformationsParams", "headers"),
            )
        return content_type


class MessageIn(msgspec.Struct, frozen=True, rename="camel"):
    """What a caller says of a message."""

    event_type: EventTypeName
    payload: ObjectText
    event_id: str | None = None
    channels: list[str] | None = None
    tags: list[str] | None = None
    application: ApplicationIn | None = None
    payload_retention_period: int | None = None
    payload_retention_hours: int | None = None
    transformations_params: RawIn | None = None
    deliver_at: datetime | None = None

    def draft(self, *, now: datetime) -> MessageDraft:
        """Give it as the table takes it.

        Raises:
            InvalidFieldError: `input.field`, for a payload that is no object, a retention out of bounds, a time
                without a zone.
        """
        raw = self.transformations_params or RawIn()
        if self.deliver_at is not None and self.deliver_at.tzinfo is None:
            raise InvalidFieldError("The time has no zone. End it with 'Z'.", place=("body", "deliverAt"))
        return MessageDraft(
            event_type=self.event_type,
            payload=_object(bytes(self.payload)),
            uid=self.event_id,
            channels=_several(self.channels),
            tags=_several(self.tags),
            raw_payload=raw.raw_payload,
            content_type=raw.content_type,
            expires_at=self._expires_at(now),
            deliver_at=self.deliver_at,
        )

    def _expires_at(self, now: datetime) -> datetime | None:
        days, hours = self.payload_retention_period, self.payload_retention_hours
        if days is None and hours is None:
            return None
        if days is not None and hours is not None:
            raise InvalidFieldError(
                "Give 'payloadRetentionPeriod' or 'payloadRetentionHours', not both.",
                place=("body", "payloadRetentionHours"),
            )
        field = "payloadRetentionHours" if days is None else "payloadRetentionPeriod"
        kept_h = hours if days is None else days * _HOURS
        least_h = 1 if days is None else RETENTION_LEAST_DAYS * _HOURS
        if kept_h is None or not least_h <= kept_h <= RETENTION_MOST_DAYS * _HOURS:
            raise InvalidFieldError(
                f"A payload is kept for {RETENTION_LEAST_DAYS} to {RETENTION_MOST_DAYS} days, or for 1 to "
                f"{RETENTION_MOST_DAYS * _HOURS} hours.",
                place=("body", field),
            )
        return now + timedelta(hours=kept_h)


class MessageOut(msgspec.Struct, frozen=True, rename="camel"):
    """A message as it is answered."""

    id: str
    event_id: str | None
    event_type: str
    payload: Any
    channels: tuple[str, ...] | None
    tags: tuple[str, ...] | None
    timestamp: datetime
    deliver_at: datetime | None


class PrecheckIn(msgspec.Struct, frozen=True, rename="camel"):
    """What a message would be that is not sent."""

    event_type: str
    channels: list[str] | None = None


class PrecheckOut(msgspec.Struct, frozen=True):
    """Whether anybody would get it."""

    active: bool


def message_out(message: Message, *, has_content: bool) -> MessageOut:
    """Give a message as it is answered; without content, or when that is gone, something stands in its place."""
    return MessageOut(
        id=message.id,
        event_id=message.uid,
        event_type=message.event_type,
        payload=payload_out(message, has_content=has_content),
        channels=message.channels,
        tags=message.tags,
        timestamp=message.created_at,
        deliver_at=message.deliver_at,
    )


def payload_out(message: Message, *, has_content: bool) -> msgspec.Raw:
    """Give what is answered as the payload of a message."""
    if message.is_expunged:
        return _EXPIRED
    return message.payload if has_content else _NO_CONTENT


def _object(text: bytes) -> bytes:
    """Give the text of a JSON object back.

    Raises:
        InvalidFieldError: `input.field`.
    """
    value = decode_json(text)
    if not isinstance(value, dict):
        raise InvalidFieldError("The payload is a JSON object.", place=("body", "payload"), kind="type_error")
    # However an empty one is written: where it stands, whoever posts it looks for a raw one.
    return text if value else EMPTY_PAYLOAD


def _several(values: list[str] | None) -> tuple[str, ...] | None:
    """Give each once; a list with nothing in it says nothing."""
    return tuple(dict.fromkeys(values)) if values else None
