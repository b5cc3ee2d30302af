"""Keeps the table of messages to sockets: partitions made ahead, old ones dropped after three days."""

import asyncio
from collections.abc import Callable

from rowcast.core.errors import RowcastError
from rowcast.core.telemetry import tell
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries

RETENTION_HOURS = 72
"""So long a message can be replayed. Source: the stock server."""
_AHEAD_DAYS = range(-1, 4)
_EVERY_S = 3600.0


class MessagePartitions:
    """Makes and drops partitions. Several processes may run one each: whoever comes second finds nothing to do."""

    def __init__(self, *, database: Database, noise: Callable[[], float], hours: int = RETENTION_HOURS) -> None:
        """Take the pool, randomness that keeps several processes from coming at once, and what is kept."""
        self._database = database
        self._noise = noise
        self._hours = hours
        self._queries = load_queries("rowcast.capture")

    async def run(self) -> None:
        """Keep the table now and then every hour, until cancelled."""
        while True:
            await self.run_once()
            await asyncio.sleep(_EVERY_S * (0.9 + 0.2 * self._noise()))

    async def run_once(self) -> int:
        """Make what is missing and drop what is old; gives how many partitions went. What fails is told."""
        for ahead in _AHEAD_DAYS:
            try:
                await self._database.fetch(self._queries["make_message_partition"], ahead=ahead)
            except Exception as error:  # noqa: BLE001 - the other days, and what follows, do not depend on this one
                tell("messages.partition_failed", ahead_days=ahead, error=_named(error))
        return await self._drop_old()

    async def _drop_old(self) -> int:
        try:
            row = await self._database.fetch_one(self._queries["drop_old_messages"], hours=self._hours)
        except Exception as error:  # noqa: BLE001 - task boundary: nothing else stops for it
            tell("messages.retention_failed", error=_named(error))
            return 0
        dropped = int(row["dropped"]) if row else 0
        if dropped:
            tell("messages.dropped", partitions=dropped)
        return dropped


def _named(error: Exception) -> str:
    return error.code if isinstance(error, RowcastError) else f"{type(error).__name__}: {error}"
