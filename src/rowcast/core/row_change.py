"""Changed rows as capture hands them on: in the order of their commits, with PostgreSQL's text of each value."""

from typing import Literal

import msgspec

Operation = Literal["INSERT", "UPDATE", "DELETE", "TRUNCATE"]
Cell = bytes | bool | None
"""The text of a value. None is SQL null; False is a large value that an update did not touch: the log has it not."""
Cells = list[Cell]


class ChangedColumn(msgspec.Struct, frozen=True, array_like=True):
    """A column as it was when the row was changed. `is_key`: part of the replica identity."""

    name: str
    type_oid: int
    is_key: bool


class ChangedTable(msgspec.Struct, frozen=True, array_like=True):
    """A table as it was when its rows were changed.

    `identity` is the letter of its replica identity: d(efault), f(ull), n(othing), i(ndex). `version` is another number
    each time the server announces the table, which it does after every change of shape, rights or policies.
    """

    oid: int
    schema: str
    name: str
    identity: str
    columns: tuple[ChangedColumn, ...]
    version: int = 0


class ChangedRow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One changed row. `table` is its place in `RowChanges.tables`; `committed_at_us` counts from 2000-01-01 UTC.

    `old` is None where the log has no old row: always for an insert, and for an update that left a default identity
    alone. Without `is_old_whole` only its key columns mean anything.
    """

    operation: Operation
    table: int
    committed_at_us: int
    new: Cells | None = None
    old: Cells | None = None
    is_old_whole: bool = False


class RowChanges(msgspec.Struct, frozen=True, array_like=True):
    """Some changed rows in the order of the log: of several transactions, or a part of a large one.

    `xids` are the numbers of those transactions: the log tells of a commit a moment before other sessions see it.
    """

    tables: tuple[ChangedTable, ...]
    rows: list[ChangedRow]
    xids: tuple[int, ...] = ()
