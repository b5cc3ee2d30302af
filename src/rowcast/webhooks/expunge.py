"""Expunging: what a message held is removed for good, on demand or when its time is over. That it was remains."""

import uuid
from collections.abc import Iterable

from rowcast.store.pool import Database, Session
from rowcast.store.sql import load_queries


class Expunge:
    """Removes payloads, and what receivers answered to them. What still waits to be posted is cancelled."""

    __slots__ = ("_database", "_queries")

    def __init__(self, *, database: Database) -> None:
        """Keep the pool."""
        self._database = database
        self._queries = load_queries("rowcast.webhooks")

    async def contents(self, tenant_id: str, event_ids: Iterable[uuid.UUID]) -> int:
        """Remove what some messages of a tenant held; gives how many there are of them. Twice is as good as once."""
        async with self._database.transaction() as session:
            return await self._remove(session, [(tenant_id, event_id) for event_id in event_ids])

    async def sweep(self, *, most: int) -> int:
        """Remove what messages held whose time is over, of `most` of them; gives of how many."""
        async with self._database.transaction() as session:
            rows = await session.fetch(self._queries["expired_messages"], most=most)
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
