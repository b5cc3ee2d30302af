"""What a tenant says about an endpoint, and what it changes of it. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from rowcast.core.errors import InvalidFieldError
from rowcast.webhooks.application import checked_rate, checked_uid
from rowcast.webhooks.endpoint import Endpoint, checked_event_types
from rowcast.webhooks.ids import ENDPOINT_PREFIX
from rowcast.webhooks.retry_rules import checked_waits
from rowcast.webhooks.signature import Scheme

CHANNELS_LIMIT = 10
CHANNEL_LIMIT_CHARS = 128
DESCRIPTION_LIMIT_CHARS = 10_000
METADATA_LIMIT = 50
METADATA_LIMIT_CHARS = 500
VERSION_MOST = 65_535
_CHANNEL = re.compile(r"[A-Za-z0-9\-_.]+\Z")

LogLevel = Literal["all", "failures"]
"""What is kept of attempts: everything, or of a success its code and time only."""


class EndpointDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tenant says about an endpoint. `event_types` None means every type, `channels` None every message.

    `secret` empty means a new one; a `secret` says by its prefix how it signs, `signature_scheme` is for a new one.
    `throttle_rate` are messages a second, `retry_schedule_s` waits of its own; None leaves both to tenant and settings.
    """

    url: str
    description: str = ""
    event_types: tuple[str, ...] | None = None
    is_disabled: bool = False
    secret: str = ""
    signature_scheme: Scheme = "v1"
    uid: str | None = None
    channels: tuple[str, ...] | None = None
    throttle_rate: int | None = None
    metadata: Mapping[str, str] = {}
    version: int = 1
    is_ordered: bool = False
    retry_schedule_s: tuple[float, ...] | None = None
    log_level: LogLevel = "all"


class EndpointChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a tenant changes of an endpoint: what is UNSET stays as it is. Secrets are rotated instead."""

    url: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    event_types: tuple[str, ...] | UnsetType | None = UNSET
    is_disabled: bool | UnsetType = UNSET
    uid: str | UnsetType | None = UNSET
    channels: tuple[str, ...] | UnsetType | None = UNSET
    throttle_rate: int | UnsetType | None = UNSET
    metadata: Mapping[str, str] | UnsetType = UNSET
    version: int | UnsetType = UNSET
    is_ordered: bool | UnsetType = UNSET
    retry_schedule_s: tuple[float, ...] | UnsetType | None = UNSET
    log_level: LogLevel | UnsetType = UNSET


def draft_of(endpoint: Endpoint) -> EndpointDraft:
    """Give what is said about an endpoint now, its secret excepted."""
    names = EndpointChange.__struct_fields__
    return EndpointDraft(**{name: getattr(endpoint, name) for name in names})


def changed_draft(draft: EndpointDraft, change: EndpointChange) -> EndpointDraft:
    """Give the draft with what was changed."""
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    return msgspec.structs.replace(draft, **given)


def replaced_draft(draft: EndpointDraft, change: EndpointChange) -> EndpointDraft:
    """Give the draft with everything replaced that every SDK knows; what some do not know stays if it is UNSET."""
    own = ("uid", "version", "is_ordered", "retry_schedule_s", "log_level")
    kept = {name: getattr(draft, name) for name in own}
    return changed_draft(EndpointDraft(url=draft.url, **kept), change)


def checked_draft(draft: EndpointDraft) -> EndpointDraft:
    """Give the draft back if it can be kept, its URL and its secret excepted.

    Raises:
        InvalidFieldError: `input.field`.
        InvalidInputError: `input.event_pattern` or `input.retry_schedule`.
    """
    checked_uid(draft.uid, prefix=ENDPOINT_PREFIX)
    checked_event_types(draft.event_types)
    checked_rate(draft.throttle_rate)
    if draft.channels is not None:
        checked_channels(draft.channels, most=CHANNELS_LIMIT)
    if draft.retry_schedule_s is not None:
        checked_waits(draft.retry_schedule_s)
    if len(draft.description) > DESCRIPTION_LIMIT_CHARS or "\x00" in draft.description:
        raise _refusal("description", f"A description has at most {DESCRIPTION_LIMIT_CHARS} characters, and no NUL.")
    if not 1 <= draft.version <= VERSION_MOST:
        raise _refusal("version", f"A version is 1 to {VERSION_MOST}.")
    _check_metadata(draft.metadata)
    return draft


def checked_channels(channels: Sequence[str], *, most: int) -> Sequence[str]:
    """Give channels back if each can be one: labels of messages, by which endpoints choose.

    Raises:
        InvalidFieldError: `input.field`.
    """
    is_fine = all(len(each) <= CHANNEL_LIMIT_CHARS and _CHANNEL.match(each) for each in channels)
    if 1 <= len(channels) <= most and len(set(channels)) == len(channels) and is_fine:
        return channels
    raise _refusal(
        "channels",
        f"Give 1 to {most} different channels of at most {CHANNEL_LIMIT_CHARS} letters, digits, '-', '_' and '.', or "
        "leave them out.",
    )


def _check_metadata(metadata: Mapping[str, str]) -> None:
    longest = max((len(text) for entry in metadata.items() for text in entry), default=0)
    if len(metadata) > METADATA_LIMIT or longest > METADATA_LIMIT_CHARS:
        sentence = f"There are at most {METADATA_LIMIT} entries, names and values of at most {METADATA_LIMIT_CHARS}."
        raise _refusal("metadata", sentence)


def _refusal(field: str, sentence: str) -> InvalidFieldError:
    return InvalidFieldError(sentence, place=("body", field))
