"""How far the outbox is decided: below that number everything that will ever be committed is visible to a new query."""

import asyncio

from rowcast.outbox.horizon import Horizon, look
from rowcast.outbox.side_lanes import ALL_SHARDS
from rowcast.store.pool import Connection, Database
from rowcast.store.sql import load_queries


class Decided:
    """One process's knowledge of it, for whoever reads events in the order of their numbers. Any number may ask."""

    __slots__ = ("_database", "_horizon", "_queries", "_turn")

    def __init__(self, *, database: Database) -> None:
        """Take the pool."""
        self._database = database
        self._queries = load_queries("rowcast.outbox")
        self._horizon: Horizon | None = None
        self._turn = asyncio.Lock()

    async def seq(self) -> int:
        """Give the number up to which nothing new can appear. A query that begins afterwards sees all of it.

        It stands still while a transaction that has written events stays open.

        Raises:
            StoreUnavailableError: `store.unavailable`.
        """
        # One look after the other: what was read first must be observed first.
        async with self._turn, self._database.connection() as connection:
            self._horizon = self._horizon or await self._begin(connection)
            await look(connection, self._horizon)
            return self._horizon.decided_seq

    async def _begin(self, connection: Connection) -> Horizon:
        row = await connection.fetch_one(self._queries["lowest_bound"], shards=list(ALL_SHARDS))
        return Horizon((row["low_seq"] if row else 0) - 1)
