"""Expunging: what a message held is removed for good, on demand or when its time is over. That it was remains."""

import asyncio
import uuid
from collections.abc import Callable, Iterable

from rowcast.core.errors import RowcastError
from rowcast.core.telemetry import tell
from rowcast.store.pool import Database, Session
from rowcast.store.sql import load_queries

_EVERY_S = 600.0
_BATCH = 500
_BATCHES_LIMIT = 1000


class Expunge:
    """Removes payloads, and what receivers answered to them. What still waits to be posted is cancelled."""

    __slots__ = ("_database", "_noise", "_queries")

    def __init__(self, *, database: Database, noise: Callable[[], float]) -> None:
        """Keep the pool; `noise` keeps several processes from coming at once."""
        self._database = database
        self._noise = noise
        self._queries = load_queries("rowcast.webhooks")

    async def contents(self, tenant_id: str, event_ids: Iterable[uuid.UUID]) -> int:
        """Remove what some messages of a tenant held; gives how many there are of them. Twice is as good as once."""
        async with self._database.transaction() as session:
            return await self._remove(session, [(tenant_id, event_id) for event_id in event_ids])

    async def run(self) -> None:
        """Remove what is over now, and then every ten minutes, until cancelled."""
        while True:
            try:
                await self.run_once()
            except RowcastError as error:
                tell("message.expunge_failed", code=error.code)
            await asyncio.sleep(_EVERY_S * (0.9 + 0.2 * self._noise()))

    async def run_once(self) -> int:
        """Remove all that is over, some hundreds at a time; gives how many."""
        total = 0
        for _ in range(_BATCHES_LIMIT):
            gone = await self._run_batch()
            total += gone
            if gone < _BATCH:
                break
        if total:
            tell("message.expunged", count=total)
        return total

    async def _run_batch(self) -> int:
        async with self._database.transaction() as session:
            rows = await session.fetch(self._queries["expired_messages"], most=_BATCH)
            return await self._remove(session, [(row["tenant_id"], row["event_id"]) for row in rows])

    async def _remove(self, session: Session, messages: list[tuple[str, uuid.UUID]]) -> int:
        if not messages:
            return 0
        row = await session.fetch_one(
            self._queries["expunge_messages"],
            tenant_ids=[tenant_id for tenant_id, _ in messages],
            event_ids=[event_id for _, event_id in messages],
        )
        return int(row["expunged"]) if row else 0
