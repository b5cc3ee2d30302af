"""Applications: what a caller of the webhook API calls a tenant. Pure."""

import re
from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec import UNSET, UnsetType

from rowcast.core.errors import InvalidFieldError
from rowcast.core.ids import TENANT_ID_PATTERN
from rowcast.webhooks.ids import APPLICATION_PREFIX

UID_LIMIT_CHARS = 256
NAME_LIMIT_CHARS = 256
RATE_MOST = 1_000_000
_UID = re.compile(r"[A-Za-z0-9\-_.]+\Z")


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """One application. `uid` is the caller's own name for it; `throttle_rate` are messages a second."""

    id: str
    tenant_id: str
    uid: str | None
    name: str
    throttle_rate: int | None
    metadata: dict[str, str]
    created_at: datetime
    changed_at: datetime


class ApplicationDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller says about an application, checked."""

    name: str
    uid: str | None = None
    throttle_rate: int | None = None
    metadata: Mapping[str, str] = {}


class ApplicationChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller changes of an application: what is UNSET stays as it is."""

    name: str | UnsetType = UNSET
    uid: str | UnsetType | None = UNSET
    throttle_rate: int | UnsetType | None = UNSET
    metadata: Mapping[str, str] | UnsetType = UNSET


def draft_of(application: Application) -> ApplicationDraft:
    """Give what is said about an application now."""
    return ApplicationDraft(
        name=application.name,
        uid=application.uid,
        throttle_rate=application.throttle_rate,
        metadata=application.metadata,
    )


def changed(draft: ApplicationDraft, change: ApplicationChange) -> ApplicationDraft:
    """Give the draft with what was changed."""
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    return msgspec.structs.replace(draft, **given)


def checked_draft(draft: ApplicationDraft) -> ApplicationDraft:
    """Give the draft back if it can be kept.

    Raises:
        InvalidFieldError: `input.field`.
    """
    checked_uid(draft.uid, prefix=APPLICATION_PREFIX)
    if not 1 <= len(draft.name) <= NAME_LIMIT_CHARS or not draft.name.strip():
        raise InvalidFieldError(f"A name has 1 to {NAME_LIMIT_CHARS} characters.", place=("body", "name"))
    checked_rate(draft.throttle_rate)
    return draft


def checked_uid(uid: str | None, *, prefix: str) -> str | None:
    """Give a uid back if it can be one: a word that cannot be taken for an id, which begins with `prefix`.

    Raises:
        InvalidFieldError: `input.field`.
    """
    if uid is None or is_uid(uid, prefix=prefix):
        return uid
    raise InvalidFieldError(
        f"A uid has 1 to {UID_LIMIT_CHARS} letters, digits, '-', '_' and '.', and does not begin with '{prefix}'.",
        place=("body", "uid"),
    )


def is_uid(text: str, *, prefix: str) -> bool:
    """Tell whether a text can be a uid beside ids that begin with `prefix`."""
    return len(text) <= UID_LIMIT_CHARS and _UID.match(text) is not None and not text.startswith(prefix)


def checked_rate(rate: int | None) -> int | None:
    """Give a throttle rate back if it can be kept.

    Raises:
        InvalidFieldError: `input.field`.
    """
    if rate is None or 1 <= rate <= RATE_MOST:
        return rate
    raise InvalidFieldError(f"A rate is 1 to {RATE_MOST} a second.", place=("body", "throttleRate"))


def tenant_of(uid: str | None, application_id: str) -> str:
    """Give the tenant that a new application is: its uid where that can name one, otherwise its own id."""
    return uid if uid is not None and TENANT_ID_PATTERN.match(uid) else application_id
