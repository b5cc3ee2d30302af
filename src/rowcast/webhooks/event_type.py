"""Event types as the webhook API shows them: added by the API, or declared by a class. Pure."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from rowcast.core.errors import InvalidFieldError, InvalidInputError
from rowcast.core.event_types import EventType, EventTypes
from rowcast.core.topic import checked_event_type
from rowcast.webhooks.json_schema import Schemas, checked_schemas

GROUP_LIMIT_CHARS = 256
FLAG_LIMIT_CHARS = 256
TEXT_LIMIT_CHARS = 10_000
FLAGS_LIMIT = 100
# Words that stand in the place of a name in a path.
_TAKEN = frozenset({"export", "import"})


class EventTypeDraft(msgspec.Struct, frozen=True, kw_only=True):
    """What is said about an event type."""

    description: str = ""
    schemas: Schemas | None = None
    is_archived: bool = False
    is_deprecated: bool = False
    group_name: str | None = None
    feature_flags: Sequence[str] | None = None


class EventTypeChange(msgspec.Struct, frozen=True, kw_only=True):
    """What is changed of an event type: what is UNSET stays as it is."""

    description: str | UnsetType = UNSET
    schemas: Schemas | UnsetType | None = UNSET
    is_archived: bool | UnsetType = UNSET
    is_deprecated: bool | UnsetType = UNSET
    group_name: str | UnsetType | None = UNSET
    feature_flags: Sequence[str] | UnsetType | None = UNSET


class KnownEventType(msgspec.Struct, frozen=True, kw_only=True):
    """One event type. One that a class declares cannot be changed by the API."""

    name: str
    draft: EventTypeDraft
    created_at: datetime
    changed_at: datetime
    is_declared: bool = False


def changed_type(draft: EventTypeDraft, change: EventTypeChange) -> EventTypeDraft:
    """Give the draft with what was changed."""
    given = {name: value for name, value in msgspec.structs.asdict(change).items() if value is not UNSET}
    return msgspec.structs.replace(draft, **given)


def checked_name(name: str) -> str:
    """Give the name of an event type back if it can be one.

    Raises:
        InvalidFieldError: `input.field`.
    """
    if name in _TAKEN:
        raise InvalidFieldError("No event type is called 'export' or 'import'.", place=("body", "name"))
    try:
        return checked_event_type(name)
    except InvalidInputError as error:
        raise InvalidFieldError(str(error), place=("body", "name")) from error


def checked_type(draft: EventTypeDraft) -> EventTypeDraft:
    """Give the draft back if it can be kept.

    Raises:
        InvalidFieldError: `input.field`.
    """
    _check_length("description", draft.description, TEXT_LIMIT_CHARS)
    _check_length("groupName", draft.group_name or "", GROUP_LIMIT_CHARS)
    flags = draft.feature_flags or ()
    if len(flags) > FLAGS_LIMIT:
        raise InvalidFieldError(f"An event type has at most {FLAGS_LIMIT} flags.", place=("body", "featureFlags"))
    for flag in flags:
        _check_length("featureFlags", flag, FLAG_LIMIT_CHARS)
    if draft.schemas is not None:
        checked_schemas(draft.schemas)
    return draft


def declared_types(catalogue: EventTypes, *, at: datetime) -> dict[str, KnownEventType]:
    """Give what classes declare, by name; `at` is since when this process knows them."""
    return {name: _declared(name, [each for each in catalogue if each.name == name], at) for name in catalogue.names()}


def _declared(name: str, versions: Iterable[EventType], at: datetime) -> KnownEventType:
    listed = tuple(versions)
    schemas = {str(each.version): schema for each in listed if (schema := _schema_of(each.payload_type)) is not None}
    description = (listed[-1].payload_type.__doc__ or "").strip().partition("\n")[0]
    draft = EventTypeDraft(description=description, schemas=schemas or None, group_name=name.partition(".")[0])
    return KnownEventType(name=name, draft=draft, created_at=at, changed_at=at, is_declared=True)


def _schema_of(payload_type: Any) -> Any:
    """Give the JSON Schema of a class, or None for one whose fields cannot be told."""
    own = getattr(payload_type, "model_json_schema", None)
    try:
        return own() if own is not None else msgspec.json.schema(payload_type)
    except (TypeError, ValueError):
        return None


def _check_length(field: str, text: str, limit: int) -> None:
    if len(text) > limit:
        raise InvalidFieldError(f"This has at most {limit} characters.", place=("body", field))
