"""Drift: where the installed triggers are not those that are declared."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from rowcast.capture.table import TableDescription, describe_table
from rowcast.capture.triggers import function_name, trigger_name, watch_checksum
from rowcast.capture.watch import Watch, split_table
from rowcast.core.errors import InvalidInputError, NotFoundError
from rowcast.store.pool import Row, Session
from rowcast.store.sql import load_queries

DriftKind = Literal["missing", "changed", "surplus", "table_gone", "unusable"]


class Drift(msgspec.Struct, frozen=True):
    """One difference: which table, of what kind, and what to do."""

    table: str
    kind: DriftKind
    advice: str


async def check_watches(session: Session, declared: Sequence[Watch]) -> tuple[Drift, ...]:
    """Compare the declared watches with the triggers that are installed; nothing is changed."""
    installed = {
        row["function"]: row for row in await session.fetch(load_queries("rowcast.capture")["installed_watches"])
    }
    found: list[Drift] = []
    for watch in declared:
        schema, name = split_table(watch.table)
        row = installed.pop(function_name(schema, name), None)
        found += await _compare(session, watch, row)
    found += [
        Drift(
            row["table"] or name, "surplus", "Nothing declares this watch. Declare it, or remove it with its migration."
        )
        for name, row in installed.items()
    ]
    return tuple(found)


async def _compare(session: Session, watch: Watch, row: Row | None) -> list[Drift]:
    try:
        table = await describe_table(session, *split_table(watch.table))
        checksum = watch_checksum(watch, table)
    except NotFoundError as error:
        return [Drift(watch.table, "table_gone", str(error))]
    except InvalidInputError as error:
        return [Drift(watch.table, "unusable", str(error))]
    if row is None:
        return [Drift(watch.table, "missing", "Run the migration that 'rowcast watch' writes.")]
    if row["comment"] != checksum or not _has_triggers(watch, table, row):
        return [Drift(watch.table, "changed", "Run the migration that 'rowcast watch' writes now.")]
    return []


def _has_triggers(watch: Watch, table: TableDescription, row: Row) -> bool:
    wanted = {trigger_name(kind) for kind in watch.events}
    return row["table"] == f"{table.schema}.{table.name}" and set(row["triggers"]) == wanted
