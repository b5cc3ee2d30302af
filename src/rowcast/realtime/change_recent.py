"""What the catalogue said a moment ago: in a storm of joins the same question is asked once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar

from rowcast.core.clock import Clock
from rowcast.realtime.change_filter import Condition, FilterFault
from rowcast.realtime.change_tables import ChangeTables
from rowcast.realtime.change_types import ColumnFacts, Literals, Published, RoleFacts

T = TypeVar("T")
_FRESH_S = 0.5
_KEPT = 10_000


class RecentTables:
    """Answers of `ChangeTables`, for joins only: what rows are told by is always asked anew."""

    def __init__(self, tables: ChangeTables, *, clock: Clock) -> None:
        """Take what asks the catalogue."""
        self._tables = tables
        self._clock = clock
        self._known: dict[Hashable, tuple[float, Any]] = {}
        self._turns: dict[Hashable, asyncio.Lock] = {}

    async def published(self, schema: str | None, name: str | None) -> list[Published]:
        """Give the tables of the publication by name; None stands for any."""
        return await self._once(("published", schema, name), lambda: self._tables.published(schema, name))

    async def role(self, oid: int, role: str) -> RoleFacts | None:
        """Give what a role may see of a table, None where there is no such role."""
        return await self._once(("role", oid, role), lambda: self._tables.role(oid, role))

    async def columns(self, oid: int) -> dict[str, ColumnFacts]:
        """Give the columns of a table by name."""
        return await self._once(("columns", oid), lambda: self._tables.columns(oid))

    async def literals(self, oid: int, condition: Condition, column: ColumnFacts | None) -> Literals | FilterFault:
        """Give a condition's operands as PostgreSQL writes them, or what is wrong with it."""
        key = ("literals", oid, condition, column is None)
        return await self._once(key, lambda: self._tables.literals(oid, condition, column))

    async def _once(self, key: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """Give a fresh answer; whoever asks the same meanwhile waits for it. An answer that is none is not kept."""
        async with self._turns.setdefault(key, asyncio.Lock()):
            until_s, known = self._known.get(key, (0.0, None))
            if known and self._clock.monotonic_s() < until_s:
                return known  # type: ignore[no-any-return]
            found = await ask()
            if len(self._known) >= _KEPT:
                self._known.clear()
                self._turns.clear()
            self._known[key] = self._clock.monotonic_s() + _FRESH_S, found
            return found
