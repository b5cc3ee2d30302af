"""The JSON of one changed row, as the stock server would write it: columns, record, old_record and errors. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import cast

import msgspec

from rowcast.core.codec import encode_json
from rowcast.core.row_change import Cells, ChangedRow, ChangedTable
from rowcast.realtime.change_json import Convert, json_converter
from rowcast.realtime.change_types import UNKNOWN_TYPE, ColumnType

RECORD_LIMIT_BYTES = 1024 * 1024
"""A larger change is told with its small values only. Source: the stock server's limit."""
SMALL_VALUE_BYTES = 64

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_NO_ERRORS = b',"errors":null}'
_TOO_LARGE = b',"errors":["Error 413: Payload Too Large"]}'
_EMPTY = {"INSERT": b',"record":{}', "UPDATE": b',"record":{},"old_record":{}', "DELETE": b',"old_record":{}'}


class Slot(msgspec.Struct, frozen=True):
    """One column in the payload. `name` is its name as JSON with the colon, `convert` makes JSON of its text."""

    place: int
    name: bytes
    convert: Convert
    is_identity: bool
    is_key: bool


class RecordWriter:
    """Writes the changes of one table for everybody who may read the same columns and asked for the same ones."""

    __slots__ = ("_columns", "_error", "_head", "_is_guarded", "_slots")

    def __init__(
        self,
        table: ChangedTable,
        types: Mapping[int, ColumnType],
        *,
        key: Sequence[str],
        readable: frozenset[str],
        select: frozenset[str] | None = None,
        hides_old: bool = False,
    ) -> None:
        """Prepare everything that does not change from row to row.

        Args:
            table: The table in the shape that the rows have.
            types: What the columns' type numbers stand for.
            key: The names of the primary key.
            readable: The columns that the role may select.
            select: The columns that the client asked for; its key comes along. None: all.
            hides_old: A deleted row is told by its key only, because nobody can check who might have seen the rest.
        """
        wanted = readable if select is None else readable & (select | frozenset(key))
        shown = [(place, each) for place, each in enumerate(table.columns) if each.name in wanted]
        self._head = encode_json({"schema": table.schema, "table": table.name})[:-1] + b',"commit_timestamp":"'
        self._error = _key_error(key, readable)
        described = [{"name": each.name, "type": types.get(each.type_oid, UNKNOWN_TYPE).name} for _, each in shown]
        self._columns = b',"columns":' + encode_json([] if self._error else described)
        self._is_guarded = hides_old
        self._slots = tuple(
            Slot(
                place,
                encode_json(each.name) + b":",
                json_converter(types.get(each.type_oid, UNKNOWN_TYPE)),
                each.is_key,
                each.name in key,
            )
            for place, each in shown
        )

    def write(self, row: ChangedRow, committed_at: bytes) -> bytes:
        """Give the text of `data`. `committed_at` is what `commit_time` gives."""
        operation = row.operation
        head = self._head + committed_at + b'","type":"' + operation.encode() + b'"' + self._columns
        if self._error and operation != "DELETE":
            return head + _EMPTY[operation] + b',"errors":["' + self._error + b'"]}'
        is_large = _size_bytes(row) > RECORD_LIMIT_BYTES
        body = b""
        if row.new is not None:
            body = b',"record":' + self._record(row, is_large)
        if operation != "INSERT":
            body += b',"old_record":' + self._old_record(row, is_large)
        return head + body + (_TOO_LARGE if is_large else _NO_ERRORS)

    def write_whole(self, cells: Cells) -> bytes:
        """Give a whole row as a JSON object, whatever it holds."""
        return _object(self._slots, cells, is_large=False)

    def _record(self, row: ChangedRow, is_large: bool) -> bytes:
        cells = row.new or []
        if row.operation == "INSERT" or False not in cells:
            return _object(self._slots, cells, is_large)
        # A large value that the update did not touch: the old row has it, where that is in the log.
        if row.is_old_whole and row.old is not None:
            whole = [old if new is False else new for new, old in zip(cells, row.old, strict=True)]
            return _object(self._slots, whole, is_large)
        return _object([slot for slot in self._slots if cells[slot.place] is not False], cells, is_large)

    def _old_record(self, row: ChangedRow, is_large: bool) -> bytes:
        slots: Sequence[Slot] = self._slots
        if row.operation == "DELETE" and self._is_guarded:
            slots = [slot for slot in slots if slot.is_key]
        elif not row.is_old_whole:
            slots = [slot for slot in slots if slot.is_identity]
        # An update that left the key alone brings no old key: it is the new one.
        return _object(slots, row.old if row.old is not None else row.new or [], is_large)


def _object(slots: Sequence[Slot], cells: Cells, is_large: bool) -> bytes:
    if is_large:
        slots = [slot for slot in slots if len(_value(slot, cells)) <= SMALL_VALUE_BYTES]
    # Written out, not called: this runs for every value of every row.
    fields = [
        slot.name + (b"null" if (cell := cells[slot.place]) is None else slot.convert(cell))  # type: ignore[arg-type]
        for slot in slots
    ]
    return b"{" + b",".join(fields) + b"}"


def _value(slot: Slot, cells: Cells) -> bytes:
    cell = cells[slot.place]
    return b"null" if cell is None else slot.convert(cell)  # type: ignore[arg-type]


def commit_time(committed_at_us: int) -> bytes:
    """Give a moment of the log as UTC with milliseconds and `Z`."""
    moment = _EPOCH + timedelta(microseconds=committed_at_us)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z".encode()


def _key_error(key: Sequence[str], readable: frozenset[str]) -> bytes:
    if not key:
        return b"Error 400: Bad Request, no primary key"
    return b"" if readable.issuperset(key) else b"Error 401: Unauthorized"


def _size_bytes(row: ChangedRow) -> int:
    # What is false in Python is empty, null or not there.
    new, old = cast("list[bytes]", row.new or ()), cast("list[bytes]", row.old or ())
    return sum(map(len, filter(None, new))) + (sum(map(len, filter(None, old))) if old else 0)
