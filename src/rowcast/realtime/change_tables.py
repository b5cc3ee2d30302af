"""What the database says of changed tables: keys, columns, types, rights. Asked when the log announces a table anew."""

import asyncio
from collections.abc import Iterable

import msgspec

from rowcast.realtime.change_filter import Condition, FilterFault, check_condition
from rowcast.realtime.change_types import (
    TEXT_BASES,
    UNKNOWN_TYPE,
    Collation,
    ColumnFacts,
    ColumnType,
    Literals,
    Published,
    RoleFacts,
    TableFacts,
    TypeRow,
    build_type,
    needed_oids,
)
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries


class ChangeTables:
    """Asks the catalogue, each question bounded in time. It keeps nothing."""

    def __init__(self, *, database: Database, timeout_s: float = 5.0) -> None:
        """Take the database and the bound of one question."""
        self._database = database
        self._timeout_s = timeout_s
        self._queries = load_queries("rowcast.realtime")

    async def published(self, schema: str | None, name: str | None) -> list[Published]:
        """Give the tables of the publication by name; None stands for any."""
        async with asyncio.timeout(self._timeout_s):
            rows = await self._database.fetch(self._queries["published_tables"], schema=schema, name=name)
        return [msgspec.convert(dict(row), Published) for row in rows]

    async def facts(self, oid: int) -> TableFacts | None:
        """Give what is known of a table, None where it is gone."""
        async with asyncio.timeout(self._timeout_s):
            row = await self._database.fetch_one(self._queries["changed_table"], oid=oid)
        return msgspec.convert(dict(row), TableFacts) if row is not None else None

    async def columns(self, oid: int) -> dict[str, ColumnFacts]:
        """Give the columns of a table by name."""
        async with asyncio.timeout(self._timeout_s):
            rows = await self._database.fetch(self._queries["changed_columns"], oid=oid)
        types = await self.types({row["type_oid"] for row in rows})
        return {
            row["name"]: ColumnFacts(
                row["name"],
                types.get(row["type_oid"], UNKNOWN_TYPE),
                Collation(bool(row["is_bytewise"]), bool(row["is_deterministic"]), bool(row["folds_ascii"])),
                row["shown_type"],
            )
            for row in rows
        }

    async def types(self, oids: Iterable[int]) -> dict[int, ColumnType]:
        """Give types by their numbers, with all that they are made of."""
        asked = set(oids)
        rows: dict[int, TypeRow] = {}
        wanted = asked
        while wanted:
            async with asyncio.timeout(self._timeout_s):
                found = await self._database.fetch(self._queries["changed_types"], oids=sorted(wanted))
            rows |= {row["oid"]: msgspec.convert(dict(row), TypeRow) for row in found}
            wanted = needed_oids(rows) - wanted if found else set()
        return {oid: build_type(oid, rows) for oid in asked if oid in rows}

    async def role(self, oid: int, role: str) -> RoleFacts | None:
        """Give what a role may see of a table, None where there is no such role."""
        async with asyncio.timeout(self._timeout_s):
            row = await self._database.fetch_one(self._queries["role_on_table"], oid=oid, role=role)
        return (
            RoleFacts(bool(row["is_checked"]), frozenset(row["readable"]), bool(row["reads_all"]))
            if row is not None
            else None
        )

    async def literals(self, oid: int, condition: Condition, column: ColumnFacts | None) -> Literals | FilterFault:
        """Give a condition's operands as PostgreSQL writes them, or what is wrong with it."""
        if column is None:
            return FilterFault(f"invalid column for filter {condition.column}")
        kind = column.kind
        is_text = kind.base in TEXT_BASES or kind.is_text
        fault = check_condition(condition, type_name=column.shown_type, is_boolean=kind.base == "bool", is_text=is_text)
        if fault is not None or condition.operator == "is":
            return fault or Literals(condition.operands)
        async with asyncio.timeout(self._timeout_s):
            row = await self._database.fetch_one(
                self._queries["filter_literals"],
                oid=oid,
                column_name=condition.column,
                operator=condition.operator,
                operands=list(condition.operands),
            )
        if row is None or row["fault"] is not None:
            return FilterFault(_filter_fault(condition, row["fault"] if row is not None else ""))
        return Literals(tuple(row["literals"]))

    async def passes(self, oid: int, condition: Condition, cells: list[str]) -> list[bool | None]:
        """Give which values pass a condition, as SQL sees it."""
        async with asyncio.timeout(self._timeout_s):
            row = await self._database.fetch_one(
                self._queries["filter_passes"],
                oid=oid,
                column_name=condition.column,
                operator=condition.operator,
                operands=list(condition.operands),
                cells=cells,
            )
        return [None] * len(cells) if row is None or row["passed"] is None else list(row["passed"])


def _filter_fault(condition: Condition, said: str) -> str:
    if condition.operator in {"match", "imatch"} and "regular expression" in said:
        return f"invalid regular expression for {condition.column}: {said}"
    return said
