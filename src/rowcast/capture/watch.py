"""A watch: the declaration that a table's changes are events. From code, from TOML, or from the command line. Pure."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from rowcast.core.errors import InvalidInputError
from rowcast.core.topic import checked_tenant_id

ChangeKind = Literal["insert", "update", "delete"]
EVERY_KIND: tuple[ChangeKind, ...] = ("insert", "update", "delete")
TOPIC_LIMIT_BYTES = 246
"""What is left of a binary frame's 255 bytes behind `realtime:`."""
_NAME_LIMIT_BYTES = 63
_PLACE = re.compile(r"\{([^{}]+)\}")
_PART = re.compile(r'"((?:[^"]|"")+)"|([^".\s]+)')
_TABLE = re.compile(rf"(?:{_PART.pattern})(?:\.(?:{_PART.pattern}))?\Z")
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Watch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which changes of which table become events, and what of a row they may show.

    `table` is a name as in SQL: `orders` (in `public`), `shop.orders`, `shop."Order Lines"`. `topic` is a template over
    columns such as `orders:{org_id}`. `columns` is everything that leaves the database: a column added to the table
    later does not. `tenant` is the column that names the tenant, by default the first one in the topic; `tenant_id` is
    the tenant of every row instead. A watch that says the tenant needs no topic. `key` names the columns that tell rows
    apart, for a table without a primary key. `name` begins the types of the events, instead of the table's: a table may
    have several watches that differ in name or in `tenant_id`.
    """

    table: str
    topic: str = ""
    columns: tuple[str, ...] = ()
    events: tuple[ChangeKind, ...] = EVERY_KIND
    tenant: str = ""
    key: tuple[str, ...] = ()
    tenant_id: str = ""
    name: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be made into a trigger.

        Raises:
            InvalidInputError: `input.watch`.
        """
        split_table(self.table)
        _check_names(self)
        _check_topic(self)
        if not self.columns or len(set(self.columns)) != len(self.columns):
            _refuse(self, "its columns are missing or named twice; list what may leave the database")
        if len(set(self.key)) != len(self.key):
            _refuse(self, "its key names a column twice")
        if not self.events or len(set(self.events)) != len(self.events) or not set(self.events) <= set(EVERY_KIND):
            _refuse(self, "its events are missing, unknown or named twice; choose from insert, update, delete")

    @property
    def tenant_column(self) -> str:
        """Give the column that names the tenant; none where one tenant has every row."""
        return "" if self.tenant_id else self.tenant or topic_columns(self.topic)[0]

    @property
    def part(self) -> str:
        """Give what tells it from another watch of the same table; empty for one that has neither name nor tenant."""
        return f"{self.tenant_id}/{self.name}" if self.tenant_id or self.name else ""

    @property
    def named_columns(self) -> tuple[str, ...]:
        """Give every column that the watch looks at, each once: a change of another one is no event."""
        named = (*self.columns, *topic_columns(self.topic), self.tenant_column, *self.key)
        return tuple(dict.fromkeys(filter(None, named)))


def parse_watches(tables: Sequence[Mapping[str, Any]]) -> tuple[Watch, ...]:
    """Give the watches of `[[watch]]` tables in a settings file.

    Raises:
        InvalidInputError: `input.watch`, naming the table and what is wrong.
    """
    watches = tuple(_parsed(table) for table in tables)
    seen: set[tuple[str, str, str]] = set()
    for watch in watches:
        place = (*split_table(watch.table), watch.part)
        if place in seen:
            _refuse(watch, "it is declared twice; give one of them a name of its own")
        seen.add(place)
    return watches


def _parsed(table: Mapping[str, Any]) -> Watch:
    try:
        return msgspec.convert(dict(table), Watch)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, InvalidInputError):
            raise error.__cause__ from None
        raise InvalidInputError(
            f"The watch of {table.get('table', '?')!r} cannot be read: {error}.", code="input.watch"
        ) from error


def split_table(name: str) -> tuple[str, str]:
    """Give schema and table of a name as it is written in SQL; without a schema it is `public`.

    Raises:
        InvalidInputError: `input.watch`.
    """
    parts = [quoted.replace('""', '"') if quoted else plain.lower() for quoted, plain in _PART.findall(name)]
    too_long = any(len(part.encode("utf-8", "replace")) > _NAME_LIMIT_BYTES for part in parts)
    if not _TABLE.match(name) or too_long or "\x00" in name:
        raise InvalidInputError(
            f'{name[:140]!r} is no table name. Write table, schema.table or schema."Table", 63 bytes at most each.',
            code="input.watch",
        )
    return (parts[0], parts[1]) if len(parts) == 2 else ("public", parts[0])


def topic_columns(topic: str) -> tuple[str, ...]:
    """Give the columns that a topic template names, in order."""
    return tuple(_PLACE.findall(topic))


def topic_parts(topic: str) -> tuple[tuple[str, bool], ...]:
    """Cut a topic template into pieces: (text, is a column)."""
    pieces = _PLACE.split(topic)
    return tuple((piece, index % 2 == 1) for index, piece in enumerate(pieces) if piece or index % 2)


def _check_names(watch: Watch) -> None:
    if watch.name and not _NAME.match(watch.name):
        _refuse(watch, "its name is no word of lower-case letters, digits and '_', 63 at most")
    if watch.tenant_id and watch.tenant:
        _refuse(watch, "it names a column of the tenant and the tenant itself; leave one of them out")
    if watch.tenant_id:
        checked_tenant_id(watch.tenant_id)


def _check_topic(watch: Watch) -> None:
    if not watch.topic and (watch.tenant or watch.tenant_id):
        return
    words = "".join(text for text, is_column in topic_parts(watch.topic) if not is_column)
    if not watch.topic or "{" in words or "}" in words:
        _refuse(watch, "its topic is no template; write it as 'orders:{org_id}'")
    if not topic_columns(watch.topic) and not (watch.tenant or watch.tenant_id):
        _refuse(watch, "its topic names no column; write it as 'orders:{org_id}', or say which column is the tenant")
    if _CONTROL.search(watch.topic) or len(words.encode("utf-8", "replace")) >= TOPIC_LIMIT_BYTES:
        _refuse(watch, f"its topic holds a control character, or more than {TOPIC_LIMIT_BYTES - 1} bytes of text")


def _refuse(watch: Watch, why: str) -> None:
    raise InvalidInputError(f"The watch of {watch.table!r} cannot be used: {why}.", code="input.watch")
