"""Drift: where the installed triggers are not those that are declared."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from rowcast.capture.table import describe_table
from rowcast.capture.table_description import TableDescription
from rowcast.capture.triggers import (
    COMMENT_PREFIX,
    check_watch,
    function_name,
    installed_watch,
    missing_columns,
    trigger_name,
)
from rowcast.capture.watch import Watch, split_table
from rowcast.core.errors import InvalidInputError, NotFoundError
from rowcast.store.pool import Row, Session
from rowcast.store.sql import load_queries

DriftKind = Literal["missing", "changed", "surplus", "table_gone", "column_gone", "unusable"]
_INSTALL = "Run the migration that `rowcast watch` writes now."


class Drift(msgspec.Struct, frozen=True):
    """One difference: which table, of what kind, and what to do."""

    table: str
    kind: DriftKind
    advice: str


async def check_watches(session: Session, declared: Sequence[Watch]) -> tuple[Drift, ...]:
    """Compare the declared watches with the triggers that are installed; nothing is changed."""
    rows = await session.fetch(load_queries("rowcast.capture")["installed_watches"])
    installed = {row["function"]: row for row in rows}
    found: list[Drift] = []
    for watch in declared:
        row = installed.pop(function_name(*split_table(watch.table), watch.part), None)
        found += await _compare(session, watch, row)
    return (*found, *(_surplus(row) for row in installed.values()))


async def _compare(session: Session, watch: Watch, row: Row | None) -> list[Drift]:
    try:
        table = await describe_table(session, *split_table(watch.table))
    except NotFoundError as error:
        return [Drift(watch.table, "table_gone", str(error))]
    drift = find_drift(watch, table, row)
    return [drift] if drift else []


def find_drift(watch: Watch, table: TableDescription, row: Row | None) -> Drift | None:
    """Give the difference between a declared watch and what is installed for its table, or None."""
    gone = missing_columns(watch, table)
    if gone:
        advice = f"The table has no column {', '.join(gone)}. Correct the declaration, then run its migration."
        return Drift(watch.table, "column_gone", advice)
    try:
        check_watch(watch, table)
    except InvalidInputError as error:
        return Drift(watch.table, "unusable", str(error))
    if row is None:
        return Drift(watch.table, "missing", _INSTALL)
    wanted = installed_watch(watch, table)
    is_same = (row["source"], row["comment"]) == (wanted.source, wanted.comment) and _has_triggers(watch, table, row)
    return None if is_same else Drift(watch.table, "changed", _INSTALL)


def _has_triggers(watch: Watch, table: TableDescription, row: Row) -> bool:
    wanted = {trigger_name(kind, watch.part) for kind in watch.events}
    return row["table"] == f"{table.schema}.{table.name}" and set(row["triggers"]) == wanted


def _surplus(row: Row) -> Drift:
    """A function that nobody declares: with its triggers, or left behind by a table that was dropped."""
    name = row["table"] or (row["comment"] or row["function"]).removeprefix(COMMENT_PREFIX).rpartition(" ")[0]
    advice = f"Nothing declares this watch. Declare it, or run: drop function rowcast.{row['function']}() cascade;"
    return Drift(name or row["function"], "surplus", advice)
