"""Keeps the low bounds of all shards close behind the oldest pending event, whichever feed is at work.

Express lane, statistics and a claim feed that takes over begin at the bound; it must be safe, and near.
"""

from rowcast.outbox.horizon import Horizon, look
from rowcast.outbox.side_lanes import ALL_SHARDS
from rowcast.store.pool import Connection, Database
from rowcast.store.sql import load_queries

_WINDOW = 100_000


class LowBound:
    """One process's knowledge of how far everything is settled; it only reads what is new since the last time."""

    def __init__(self, *, database: Database) -> None:
        """Take the pool."""
        self._database = database
        self._queries = load_queries("rowcast.outbox")
        self._horizon: Horizon | None = None
        self._position = 0

    async def advance(self) -> int:
        """Raise the bounds as far as is safe, and give the number below which nothing can be pending."""
        async with self._database.connection() as connection:
            horizon = self._horizon or await self._begin(connection)
            await look(connection, horizon)
            self._position = min(self._position, horizon.arrivals_from)
            await self._pass_settled(connection, horizon.last_seq)
            low_seq = min(self._position, horizon.decided_seq + 1)
            await connection.execute(
                self._queries["raise_low_bounds"],
                shards=list(ALL_SHARDS),
                low_seqs=[low_seq] * len(ALL_SHARDS),
                read_seqs=[self._position] * len(ALL_SHARDS),
            )
            return low_seq

    async def _begin(self, connection: Connection) -> Horizon:
        row = await connection.fetch_one(self._queries["lowest_bound"], shards=list(ALL_SHARDS))
        low_seq = row["low_seq"] if row else 0
        self._position = low_seq
        self._horizon = Horizon(low_seq - 1)
        return self._horizon

    async def _pass_settled(self, connection: Connection, last_seq: int) -> None:
        """Go to the first pending event, window by window, so that each statement is short."""
        while self._position <= last_seq:
            until_seq = min(self._position + _WINDOW, last_seq + 1)
            first = await connection.fetch_one(
                self._queries["first_pending"], from_seq=self._position, until_seq=until_seq
            )
            if first is not None:
                self._position = first["seq"]
                return
            self._position = until_seq
