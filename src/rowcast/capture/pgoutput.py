"""What a logical replication stream says: the messages of the output plug-in pgoutput, decoded. Pure.

Protocol versions 1 and 2, without transactions in progress: we do not ask for those. Column values stay as the server
sent them, in bytes: whoever needs one decodes it. A message that lies about its lengths is refused, whatever it says.
Source: PostgreSQL documentation, "Logical Replication Message Formats".
"""

from collections.abc import Callable
from struct import Struct
from struct import error as StructError  # noqa: N812 - its own name would hide every other error
from typing import Final

import msgspec

from rowcast.core.errors import StoreError


class Unchanged(msgspec.Struct, frozen=True):
    """Stands for a large value that an update did not touch: the log does not hold it."""


UNCHANGED: Final = Unchanged()
Value = bytes | Unchanged | None
Values = list[Value]


class Column(msgspec.Struct, frozen=True):
    """A column as the log announces it. `is_key`: part of the replica identity."""

    name: str
    type_oid: int
    is_key: bool
    modifier: int = -1


class Relation(msgspec.Struct, frozen=True):
    """A table as the log announces it, before the first change of it and again after each change of its shape."""

    oid: int
    schema: str
    table: str
    replica_identity: str
    columns: tuple[Column, ...]


class Begin(msgspec.Struct, frozen=True, gc=False):
    """A committed transaction begins. `committed_at_us` counts microseconds since 2000-01-01 UTC."""

    commit_lsn: int
    committed_at_us: int
    xid: int


class Commit(msgspec.Struct, frozen=True, gc=False):
    """It ends. Everything before `end_lsn` is told; that is the position to acknowledge."""

    commit_lsn: int
    end_lsn: int
    committed_at_us: int


class Insert(msgspec.Struct, frozen=True):
    """A row was inserted."""

    relation: Relation
    new: Values


class Update(msgspec.Struct, frozen=True):
    """A row was updated. As the replica identity says, `old` is the whole row (`is_old_whole`), its key, or None."""

    relation: Relation
    old: Values | None
    new: Values
    is_old_whole: bool = False


class Delete(msgspec.Struct, frozen=True):
    """A row was deleted. `old` is the whole row (`is_old_whole`) or its key, other columns None."""

    relation: Relation
    old: Values
    is_old_whole: bool = False


class Truncate(msgspec.Struct, frozen=True):
    """Tables were emptied."""

    relations: tuple[Relation, ...]
    is_cascade: bool
    is_identity_restarted: bool


class LogicalMessage(msgspec.Struct, frozen=True):
    """What somebody wrote with `pg_logical_emit_message`."""

    is_transactional: bool
    lsn: int
    prefix: str
    content: bytes


class Origin(msgspec.Struct, frozen=True):
    """The transaction came from another server."""

    commit_lsn: int
    name: str


class Type(msgspec.Struct, frozen=True):
    """A type that is not built in."""

    oid: int
    schema: str
    name: str


Message = Begin | Commit | Relation | Insert | Update | Delete | Truncate | LogicalMessage | Origin | Type

_U16, _U32, _U64 = Struct(">H"), Struct(">I"), Struct(">Q")
_BEGIN, _COMMIT, _MESSAGE = Struct(">QqI"), Struct(">BQQq"), Struct(">BQ")
_COLUMN_TAIL = Struct(">Ii")
_NULL, _TEXT, _BINARY, _TOASTED = b"ntbu"
_NEW, _KEY, _OLD = b"NKO"
_LYING = (IndexError, StructError, UnicodeDecodeError, ValueError)


def refuse(why: str) -> StoreError:
    """Give the error of a stream that cannot be read; the connection must be made anew."""
    return StoreError(
        f"The replication stream holds a message that rowcast cannot read: {why}. It connects again; if this "
        "comes back, report it with the server's version.",
        code="store.replication_message",
    )


class Decoder:
    """Decodes the messages of one connection. It remembers the tables that were announced."""

    __slots__ = ("_readers", "_relations")

    def __init__(self) -> None:
        """Begin with no table known, as a connection does."""
        self._relations: dict[int, Relation] = {}
        self._readers: dict[int, Callable[[bytes, int], tuple[Message, int]]] = {
            ord("B"): _begin,
            ord("C"): _commit,
            ord("I"): self._insert,
            ord("U"): self._update,
            ord("D"): self._delete,
            ord("R"): self._relation,
            ord("T"): self._truncate,
            ord("M"): _logical_message,
            ord("O"): _origin,
            ord("Y"): _type,
        }

    def decode(self, text: bytes, start: int = 0) -> Message:
        """Give the message that fills `text` from `start` to its end.

        Raises:
            StoreError: `store.replication_message`, for anything that is not exactly one message of a known kind.
        """
        try:
            read = self._readers.get(text[start])
            if read is None:
                raise refuse(f"kind {text[start]}")
            message, end = read(text, start + 1)
        except _LYING as error:
            raise refuse(f"{type(error).__name__} in a message of {len(text) - start} bytes") from error
        if end != len(text):
            raise refuse(f"a message of {len(text) - start} bytes says that it has {end - start}")
        return message

    def _insert(self, text: bytes, at: int) -> tuple[Message, int]:
        relation = self._known(text, at)
        if text[at + 4] != _NEW:
            raise refuse("an insert without a new row")
        new, at = read_row(text, at + 5, len(relation.columns))
        return Insert(relation, new), at

    def _update(self, text: bytes, at: int) -> tuple[Message, int]:
        relation = self._known(text, at)
        width, kind, at = len(relation.columns), text[at + 4], at + 5
        old: Values | None = None
        is_old_whole = kind == _OLD
        if kind in (_KEY, _OLD):
            old, at = read_row(text, at, width)
            kind, at = text[at], at + 1
        if kind != _NEW:
            raise refuse("an update without a new row")
        new, at = read_row(text, at, width)
        return Update(relation, old, new, is_old_whole), at

    def _delete(self, text: bytes, at: int) -> tuple[Message, int]:
        relation = self._known(text, at)
        kind = text[at + 4]
        if kind not in (_KEY, _OLD):
            raise refuse("a delete without an old row")
        old, at = read_row(text, at + 5, len(relation.columns))
        return Delete(relation, old, kind == _OLD), at

    def _relation(self, text: bytes, at: int) -> tuple[Message, int]:
        oid = _U32.unpack_from(text, at)[0]
        schema, at = _word(text, at + 4)
        table, at = _word(text, at)
        identity, count = chr(text[at]), _U16.unpack_from(text, at + 1)[0]
        columns, at = [], at + 3
        for _ in range(count):
            column, at = _column(text, at)
            columns.append(column)
        relation = Relation(oid, schema or "pg_catalog", table, identity, tuple(columns))
        self._relations[oid] = relation
        return relation, at

    def _truncate(self, text: bytes, at: int) -> tuple[Message, int]:
        count, options, at = _U32.unpack_from(text, at)[0], text[at + 4], at + 5
        if count * 4 != len(text) - at:
            raise refuse(f"a truncate of {count} tables in {len(text) - at} bytes")
        relations = tuple(self._known(text, at + 4 * index) for index in range(count))
        return Truncate(relations, bool(options & 1), bool(options & 2)), len(text)

    def _known(self, text: bytes, at: int) -> Relation:
        oid = _U32.unpack_from(text, at)[0]
        relation = self._relations.get(oid)
        if relation is None:
            raise refuse(f"a change of table {oid}, which was not announced")
        return relation


def read_row(
    text: bytes, at: int, width: int, *, size_at: Callable[[bytes, int], tuple[int]] = _U32.unpack_from
) -> tuple[Values, int]:
    """Give the column values of one row and the position behind it. Short slices are found by the caller at the end."""
    if _U16.unpack_from(text, at)[0] != width:
        raise refuse(f"a row of {_U16.unpack_from(text, at)[0]} columns for a table of {width}")
    values: Values = []
    at += 2
    for _ in range(width):
        kind = text[at]
        if kind == _TEXT or kind == _BINARY:  # noqa: SIM109, PLR1714 - `in` costs a tenth of the decoder
            start = at + 5
            at = start + size_at(text, at + 1)[0]
            values.append(text[start:at])
        else:
            values.append(_absent(kind))
            at += 1
    return values, at


def _absent(kind: int) -> Value:
    if kind == _NULL:
        return None
    if kind == _TOASTED:
        return UNCHANGED
    raise refuse(f"a column of kind {kind}")


def _begin(text: bytes, at: int) -> tuple[Message, int]:
    return Begin(*_BEGIN.unpack_from(text, at)), at + 20


def _commit(text: bytes, at: int) -> tuple[Message, int]:
    _, commit_lsn, end_lsn, committed_at_us = _COMMIT.unpack_from(text, at)
    return Commit(commit_lsn, end_lsn, committed_at_us), at + 25


def _logical_message(text: bytes, at: int) -> tuple[Message, int]:
    flags, lsn = _MESSAGE.unpack_from(text, at)
    prefix, at = _word(text, at + 9)
    start = at + 4
    at = start + _U32.unpack_from(text, at)[0]
    return LogicalMessage(bool(flags & 1), lsn, prefix, text[start:at]), at


def _origin(text: bytes, at: int) -> tuple[Message, int]:
    name, end = _word(text, at + 8)
    return Origin(_U64.unpack_from(text, at)[0], name), end


def _type(text: bytes, at: int) -> tuple[Message, int]:
    schema, end = _word(text, at + 4)
    name, end = _word(text, end)
    return Type(_U32.unpack_from(text, at)[0], schema or "pg_catalog", name), end


def _column(text: bytes, at: int) -> tuple[Column, int]:
    is_key = bool(text[at] & 1)
    name, at = _word(text, at + 1)
    type_oid, modifier = _COLUMN_TAIL.unpack_from(text, at)
    return Column(name, type_oid, is_key, modifier), at + 8


def _word(text: bytes, at: int) -> tuple[str, int]:
    end = text.index(0, at)
    return text[at:end].decode(), end + 1
