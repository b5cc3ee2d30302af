"""What a caller says of a message, checked before it is written. Pure."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from rowcast.core.errors import InvalidFieldError, PayloadTooLargeError
from rowcast.core.topic import checked_event_type
from rowcast.webhooks.application import is_uid
from rowcast.webhooks.endpoint_draft import checked_channels
from rowcast.webhooks.ids import MESSAGE_PREFIX

CHANNELS_LIMIT = 5
TAGS_LIMIT = 10
TAG_LIMIT_CHARS = 128
RAW_LIMIT_BYTES = 65_536
EMPTY_PAYLOAD = b"{}"
RETENTION_LEAST_DAYS = 5
RETENTION_MOST_DAYS = 90
LATEST_DELIVERY = timedelta(hours=24)

# Words that stand in the place of a message's name in a path.
TAKEN = frozenset({"bulk-expunge", "expunge-all-contents", "precheck"})
_CONTENT_TYPE = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?\Z")


class MessageDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of one message. `payload` is the JSON text of an object, written as it is.

    `uid` is the caller's own id of it. `raw_payload` is posted in the place of a body of ours, as `content_type`. From
    `expires_at` on nothing of what it holds is kept; before `deliver_at` it is not posted.
    """

    event_type: str
    payload: bytes
    uid: str | None = None
    channels: Sequence[str] | None = None
    tags: Sequence[str] | None = None
    raw_payload: str | None = None
    content_type: str | None = None
    expires_at: datetime | None = None
    deliver_at: datetime | None = None

    @property
    def has_terms(self) -> bool:
        """Tell whether anything is said that its event does not hold."""
        own = (self.uid, self.channels, self.tags, self.raw_payload, self.expires_at, self.deliver_at)
        return any(each is not None for each in own)


def checked_message(draft: MessageDraft, *, now: datetime) -> MessageDraft:
    """Give the draft back if it can be written.

    Raises:
        InvalidFieldError: `input.field`.
        InvalidInputError: `input.event_type`.
        PayloadTooLargeError: `outbox.payload_too_large`, for a raw payload above 65,536 bytes.
    """
    checked_event_type(draft.event_type)
    if draft.uid is not None and (not is_uid(draft.uid, prefix=MESSAGE_PREFIX) or draft.uid in TAKEN):
        raise _refusal(
            "eventId",
            f"An event id has 1 to 256 letters, digits, '-', '_' and '.', does not begin with '{MESSAGE_PREFIX}', and "
            f"is none of {', '.join(sorted(TAKEN))}.",
        )
    if draft.channels is not None:
        checked_channels(draft.channels, most=CHANNELS_LIMIT)
    if draft.tags is not None:
        _check_tags(draft.tags)
    _check_raw(draft)
    if draft.deliver_at is not None and not now < draft.deliver_at <= now + LATEST_DELIVERY:
        raise _refusal("deliverAt", "A message is delivered at most 24 hours from now, and not in the past.")
    return draft


def _check_tags(tags: Sequence[str]) -> None:
    is_fine = all(1 <= len(tag) <= TAG_LIMIT_CHARS and tag.isprintable() for tag in tags)
    if not (1 <= len(tags) <= TAGS_LIMIT and is_fine):
        raise _refusal(
            "tags", f"Give 1 to {TAGS_LIMIT} tags of at most {TAG_LIMIT_CHARS} printable characters, or leave them out."
        )


def _check_raw(draft: MessageDraft) -> None:
    if draft.content_type is not None and not _CONTENT_TYPE.match(draft.content_type):
        raise _refusal("transformationsParams", "A content type has 1 to 255 visible ASCII characters.")
    if draft.raw_payload is None:
        if draft.content_type is not None:
            raise _refusal("transformationsParams", "A content type is for a message with 'rawPayload'.")
        return
    size_bytes = len(draft.raw_payload.encode("utf-8", "surrogatepass"))
    if size_bytes > RAW_LIMIT_BYTES:
        raise PayloadTooLargeError(size_bytes=size_bytes, limit_bytes=RAW_LIMIT_BYTES)
    if draft.payload != EMPTY_PAYLOAD:
        # Whoever posts it looks for a raw payload where the other one is empty, and nowhere else.
        raise _refusal("payload", "Beside 'rawPayload' the payload is {}.")


def _refusal(field: str, sentence: str) -> InvalidFieldError:
    return InvalidFieldError(sentence, place=("body", field))
