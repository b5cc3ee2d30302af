"""Declared channels: what a user may hear of a table is derived from his token, never from what he asks for. Pure.

A filter of the client is compared, value by value, with what the server derives; it is never passed on.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from rowcast.core.errors import InvalidInputError, InvalidTopicError, NotFoundError, PermissionDeniedError
from rowcast.core.topic import checked_topic

CHANNELS_LIMIT = 10
_TAKEN = "tenant"
_WORD = re.compile(r"[a-z][a-z0-9_-]{0,62}\Z")
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}\Z")
_VALUES = {
    "uuid": re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\Z"),
    # No character that means something in a filter: `,` `(` `)` `"` and `.` stay outside.
    "text": re.compile(r"[A-Za-z0-9_-]{1,128}\Z"),
}

ValueType = Literal["uuid", "text"]
ChangeEvent = Literal["*", "INSERT", "UPDATE", "DELETE"]


class DeclaredChannel(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What subscribers of one name hear: rows of `table` whose `filter_field` equals the claim `claim` of the token.

    Attributes:
        name: Lower-case words, such as `form-responses`.
        table: `table` or `schema.table`.
        filter_field: The column that says whose a row is; the caller must name it.
        claim: The claim that must match; dots reach inside (`app_metadata.supplier_id`). Empty: as the column.
        needs: Further claims and the text that each must have, such as `{"user_type": "supplier"}`.
        narrows: Columns by which the caller may narrow further.
        value_type: What the values of filters look like.
        event: Which changes are heard.
    """

    name: str
    table: str
    filter_field: str
    claim: str = ""
    needs: dict[str, str] = {}
    narrows: tuple[str, ...] = ()
    value_type: ValueType = "uuid"
    event: ChangeEvent = "*"

    def __post_init__(self) -> None:
        """Refuse names that could not stand in a topic or a filter.

        Raises:
            InvalidInputError: `input.channel`.
        """
        words = self.table.split(".")
        columns = (self.filter_field, *self.narrows, *words)
        is_named = _WORD.match(self.name) and self.name != _TAKEN
        if not is_named or len(words) > 2 or not all(map(_COLUMN.match, columns)):
            raise InvalidInputError(
                f"The channel {self.name[:80]!r} cannot be declared: its name is a lower-case word other than "
                f"{_TAKEN!r}, table and columns are plain SQL names.",
                code="input.channel",
            )

    @property
    def place(self) -> tuple[str, str]:
        """Give schema and table."""
        schema, _, table = self.table.rpartition(".")
        return schema or "public", table


class SubscribeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """What a caller asks for. `connection_id` tells his tabs apart; without one each request is a connection."""

    channels: tuple[str, ...]
    filters: dict[str, str] = {}
    connection_id: str = ""


class Grant(msgspec.Struct, frozen=True, rename="camel"):
    """What a user may hear on one channel: which topic to join, and the binding to join it with."""

    channel: str
    topic: str
    event: str
    schema: str
    table: str
    filter: str


def parse_channels(items: Iterable[Mapping[str, Any]]) -> tuple[DeclaredChannel, ...]:
    """Give the channels of `[[channel]]` tables.

    Raises:
        InvalidInputError: `input.channel`.
    """
    try:
        return tuple(msgspec.convert(dict(item), DeclaredChannel) for item in items)
    except msgspec.ValidationError as error:
        raise InvalidInputError(f"A [[channel]] table cannot be used: {error}.", code="input.channel") from error


def grants_for(
    request: SubscribeRequest, *, channels: Mapping[str, DeclaredChannel], claims: Mapping[str, Any]
) -> Sequence[Grant]:
    """Give what a caller may hear of what he asks for; all of it, or a refusal.

    Args:
        request: Whatever a client sent.
        channels: The declared channels by name.
        claims: The payload of the caller's verified token.
    Raises:
        InvalidInputError: `input.filter`, for a missing, unknown or malformed filter; `input.channel`, for too many.
        NotFoundError: `input.no_channel`.
        PermissionDeniedError: `auth.denied`, when the token does not name what is asked for.
    """
    if not 0 < len(request.channels) <= CHANNELS_LIMIT or len(set(request.channels)) < len(request.channels):
        raise InvalidInputError(
            f"Name 1 to {CHANNELS_LIMIT} channels, each once, as channels: [...].", code="input.channel"
        )
    if len(request.connection_id) > 128 or not request.connection_id.isprintable():
        raise InvalidInputError("connectionId must be printable text of at most 128 characters.")
    asked = [_declared(name, channels) for name in request.channels]
    _check_fields(request.filters, asked)
    return [_grant(channel, request.filters, claims) for channel in asked]


def opens(channel: DeclaredChannel, claims: Mapping[str, Any], value: str) -> bool:
    """Tell whether a token opens a channel with this value of its filter.

    Whole values are compared: `1` is not `10`, and nothing can be appended.
    """
    own = claim_at(claims, channel.claim or channel.filter_field)
    is_own = own is not None and own == value and _VALUES[channel.value_type].match(value) is not None
    return is_own and all(claim_at(claims, name) == text for name, text in channel.needs.items())


def claim_at(claims: Mapping[str, Any], path: str) -> str | None:
    """Give a claim as text, by its whole name or by a dotted path; None where it is not there or is no plain value."""
    value: object = claims.get(path)
    if value is None:
        value = claims
        for word in path.split("."):
            value = value.get(word) if isinstance(value, dict) else None
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return str(value)


def claims_of(document: bytes) -> dict[str, Any]:
    """Give the claims of a verified token from its payload."""
    found = json.loads(document)
    return found if isinstance(found, dict) else {}


def user_of(document: bytes) -> str:
    """Give the user whom a verified token names, its claim `sub`; empty where it names none."""
    found = claims_of(document).get("sub")
    return found if isinstance(found, str) and len(found) <= 256 and found.isprintable() else ""


def _declared(name: str, channels: Mapping[str, DeclaredChannel]) -> DeclaredChannel:
    found = channels.get(name)
    if found is None:
        raise NotFoundError(
            f"There is no channel {name[:80]!r}. Declare it as [[channel]] in rowcast.toml or in a pack.",
            code="input.no_channel",
        )
    return found


def _check_fields(filters: Mapping[str, str], asked: Sequence[DeclaredChannel]) -> None:
    taken = {field for channel in asked for field in (channel.filter_field, *channel.narrows)}
    unknown = sorted(filters.keys() - taken)
    if unknown:
        raise InvalidInputError(
            f"No channel asked for takes the filter {unknown[0][:80]!r}; they take {', '.join(sorted(taken))}.",
            code="input.filter",
        )


def _grant(channel: DeclaredChannel, filters: Mapping[str, str], claims: Mapping[str, Any]) -> Grant:
    asked = filters.get(channel.filter_field)
    if asked is None:
        raise InvalidInputError(
            f"The channel {channel.name} needs the filter {channel.filter_field}.", code="input.filter"
        )
    _check_value(channel, channel.filter_field, asked)
    if not opens(channel, claims, asked):
        raise PermissionDeniedError(
            f"Your token does not open the channel {channel.name} with this {channel.filter_field}."
        )
    schema, table = channel.place
    conditions = [f"{channel.filter_field}=eq.{asked}", *_narrowed(channel, filters)]
    return Grant(channel.name, _topic(channel, asked), channel.event, schema, table, ",".join(conditions))


def _narrowed(channel: DeclaredChannel, filters: Mapping[str, str]) -> Sequence[str]:
    asked = [(column, filters[column]) for column in channel.narrows if column in filters]
    for column, value in asked:
        _check_value(channel, column, value)
    return [f"{column}=eq.{value}" for column, value in asked]


def _check_value(channel: DeclaredChannel, column: str, value: str) -> None:
    if not _VALUES[channel.value_type].match(value):
        shape = "a UUID in lower case" if channel.value_type == "uuid" else "1 to 128 letters, digits, '_' and '-'"
        raise InvalidInputError(f"The filter {column} must be {shape}.", code="input.filter")


def _topic(channel: DeclaredChannel, own: str) -> str:
    try:
        return checked_topic(f"{channel.name}:{own}")
    except InvalidTopicError as error:
        raise InvalidInputError(str(error), code="input.filter") from error
