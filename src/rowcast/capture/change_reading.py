"""From frames of the stream to changed rows: in order, in pieces of a bounded size. Pure."""

from collections import deque
from collections.abc import Iterable
from typing import cast

from rowcast.capture.pgoutput import (
    UNCHANGED,
    Begin,
    Commit,
    Decoder,
    Delete,
    Insert,
    Message,
    Relation,
    Truncate,
    Update,
    Values,
)
from rowcast.capture.stream_frames import DATA_HEADER_BYTES
from rowcast.core.row_change import Cells, ChangedColumn, ChangedRow, ChangedTable, Operation, RowChanges

_PIECE_BYTES = 1024 * 1024


class ChangeReading:
    """What has been received on one connection and is not handed out yet.

    A transaction of any size is handed out in pieces: the server sends only what is committed, so nothing needs to be
    kept until its end.
    """

    __slots__ = (
        "_committed_at_us",
        "_decoder",
        "_frames",
        "_is_inside",
        "_known",
        "_places",
        "_rows",
        "_size_bytes",
        "_tables",
        "_versions",
        "_xid",
        "_xids",
        "settleable_lsn",
    )

    def __init__(self) -> None:
        """Begin as a connection does, outside any transaction."""
        self._decoder = Decoder()
        self._frames: deque[bytes] = deque()
        self._known: dict[int, ChangedTable] = {}
        self._tables: list[ChangedTable] = []
        self._places: dict[int, int] = {}
        self._rows: list[ChangedRow] = []
        self._size_bytes = 0
        self._versions = 0
        self._xid = 0
        self._xids: dict[int, None] = {}
        self._committed_at_us = 0
        self._is_inside = False
        self.settleable_lsn = 0

    @property
    def is_empty(self) -> bool:
        """Tell whether everything that was received has been handed out, up to the end of a transaction."""
        return not self._frames and not self._rows and not self._is_inside

    @property
    def waiting(self) -> int:
        """Give the number of frames that were received and not read yet."""
        return len(self._frames)

    @property
    def committed_at_us(self) -> int:
        """Give when the transaction that is being read was committed, as the log counts."""
        return self._committed_at_us

    def add(self, frames: Iterable[bytes]) -> None:
        """Take frames of data, in the order in which they came."""
        self._frames.extend(frames)

    def take(self, limit: int) -> RowChanges:
        """Give the next rows, at most `limit` and about a megabyte; none when there are none.

        Afterwards `settleable_lsn` is the position that is done with when they are handed out.

        Raises:
            StoreError: `store.replication_message`.
        """
        frames, decode = self._frames, self._decoder.decode
        while frames and len(self._rows) < limit and self._size_bytes < _PIECE_BYTES:
            frame = frames.popleft()
            self._size_bytes += len(frame)
            self._note(decode(frame, DATA_HEADER_BYTES))
        taken = RowChanges(tuple(self._tables), self._rows, tuple(self._xids))
        self._rows, self._tables, self._places, self._xids, self._size_bytes = [], [], {}, {}, 0
        return taken

    def _note(self, message: Message) -> None:
        match message:
            case Insert():
                self._add("INSERT", message.relation, new=message.new)
            case Update():
                self._add_update(message)
            case Delete():
                self._add("DELETE", message.relation, old=message.old, is_old_whole=message.is_old_whole)
            case Truncate():
                for relation in message.relations:
                    self._add("TRUNCATE", relation)
            case _:
                self._note_other(message)

    def _note_other(self, message: Message) -> None:
        match message:
            case Begin():
                self._is_inside, self._committed_at_us = True, message.committed_at_us
                self._xid = message.xid
            case Commit():
                self._is_inside, self.settleable_lsn = False, message.end_lsn
            case Relation():
                self._announce(message)
            case _:
                pass

    def _add_update(self, message: Update) -> None:
        new = message.new
        if UNCHANGED in new:
            new = [False if value is UNCHANGED else value for value in new]  # type: ignore[misc]
        self._add("UPDATE", message.relation, new=new, old=message.old, is_old_whole=message.is_old_whole)

    def _add(
        self,
        operation: Operation,
        relation: Relation,
        *,
        new: Values | None = None,
        old: Values | None = None,
        is_old_whole: bool = False,
    ) -> None:
        self._xids[self._xid] = None
        table = self._known[relation.oid]
        place = self._places.get(table.version)
        if place is None:
            place = self._places[table.version] = len(self._tables)
            self._tables.append(table)
        # Only an update may leave a value out, and its were exchanged above.
        cells = cast("Cells | None", new), cast("Cells | None", old)
        self._rows.append(ChangedRow(operation, place, self._committed_at_us, *cells, is_old_whole))

    def _announce(self, relation: Relation) -> None:
        """Keep the newest shape of a table; rows that wait keep the one that they came with."""
        self._versions += 1
        columns = tuple(ChangedColumn(each.name, each.type_oid, each.is_key) for each in relation.columns)
        name = relation.schema, relation.table
        self._known[relation.oid] = ChangedTable(
            relation.oid, *name, relation.replica_identity, columns, self._versions
        )
