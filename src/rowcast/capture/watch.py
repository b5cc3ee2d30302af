"""A watch: the declaration that a table's changes are events. From code, from TOML, or from the command line."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from rowcast.core.errors import InvalidInputError

ChangeKind = Literal["insert", "update", "delete"]
EVERY_KIND: tuple[ChangeKind, ...] = ("insert", "update", "delete")
_PLACE = re.compile(r"\{([^{}]*)\}")
_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


class Watch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which changes of which table become events, and what of a row they may show.

    `table` is a name as in SQL, `topic` a template over columns such as `orders:{org_id}`. `columns` is everything that
    leaves the database: a column added to the table later does not. `tenant` is the column that names the tenant, by default
    the first one in the topic.
    """

    table: str
    topic: str
    columns: tuple[str, ...]
    events: tuple[ChangeKind, ...] = EVERY_KIND
    tenant: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be made into a trigger.

        Raises:
            InvalidInputError: `input.watch`.
        """
        split_table(self.table)
        if not topic_columns(self.topic) and not self.tenant:
            _refuse(self, "its topic names no column; write it as 'orders:{org_id}', or say which column is the tenant")
        if not self.columns or len(set(self.columns)) != len(self.columns):
            _refuse(self, "its columns are missing or named twice; list what may leave the database")
        if not self.events or len(set(self.events)) != len(self.events):
            _refuse(self, "its events are missing or named twice; choose from insert, update, delete")

    @property
    def tenant_column(self) -> str:
        """Give the column that names the tenant."""
        return self.tenant or topic_columns(self.topic)[0]


def parse_watches(tables: Sequence[Mapping[str, Any]]) -> tuple[Watch, ...]:
    """Give the watches of `[[watch]]` tables in a settings file.

    Raises:
        InvalidInputError: `input.watch`, naming the table and what is wrong.
    """
    return tuple(_parsed(table) for table in tables)


def _parsed(table: Mapping[str, Any]) -> Watch:
    try:
        return msgspec.convert(dict(table), Watch)
    except msgspec.ValidationError as error:
        raise InvalidInputError(
            f"The watch of {table.get('table', '?')!r} cannot be read: {error}.", code="input.watch"
        ) from error


def split_table(name: str) -> tuple[str, str]:
    """Give schema and table of a name as it is written in SQL; without a schema it is `public`.

    Raises:
        InvalidInputError: `input.watch`.
    """
    parts = [(quoted.replace('""', '"') if quoted else plain.lower()) for quoted, plain in _PART.findall(name)]
    if (
        _PART.sub("", name) not in ("", ".")
        or not 1 <= len(parts) <= 2
        or not all(0 < len(part.encode()) <= 63 for part in parts)
    ):
        raise InvalidInputError(
            f'{name[:140]!r} is no table name. Write table, schema.table or "Quoted".', code="input.watch"
        )
    return (parts[0], parts[1]) if len(parts) == 2 else ("public", parts[0])


def topic_columns(topic: str) -> tuple[str, ...]:
    """Give the columns that a topic template names, in order."""
    return tuple(_PLACE.findall(topic))


def topic_parts(topic: str) -> tuple[tuple[str, bool], ...]:
    """Cut a topic template into pieces: (text, is a column)."""
    pieces = _PLACE.split(topic)
    return tuple((piece, index % 2 == 1) for index, piece in enumerate(pieces) if piece or index % 2)


def _refuse(watch: Watch, why: str) -> None:
    raise InvalidInputError(f"The watch of {watch.table!r} cannot be used: {why}.", code="input.watch")
