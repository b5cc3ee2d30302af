"""A row change: one insert, update or delete as the write-ahead log tells it."""

from typing import Literal

import msgspec

Operation = Literal["INSERT", "UPDATE", "DELETE"]


class RowChange(msgspec.Struct, frozen=True):
    """One changed row. Values are PostgreSQL's text form; None is SQL null.

    A column is missing from `record` when it was TOASTed and unchanged, and from `old_record` when it is not
    part of the replica identity.
    """

    schema: str
    table: str
    operation: Operation
    record: dict[str, str | None] | None
    old_record: dict[str, str | None] | None
