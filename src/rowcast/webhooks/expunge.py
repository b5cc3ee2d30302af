"""Expunging: what a message held is removed for good, on demand or when its time is over. That it was remains."""

import uuid
from collections.abc import Iterable

import msgspec

from rowcast.store.pool import Database, Session
from rowcast.store.sql import load_queries


class PurgeStep(msgspec.Struct, frozen=True):
    """One step of removing what all messages of a tenant held: up to which number, and of how many."""

    position: int
    visited: int
    expunged: int


class Expunge:
    """Removes payloads, and what receivers answered to them. What still waits to be posted is cancelled."""

    __slots__ = ("_database", "_queries")

    def __init__(self, *, database: Database) -> None:
        """Keep the pool."""
        self._database = database
        self._queries = load_queries("rowcast.webhooks")

    async def contents(self, tenant_id: str, event_ids: Iterable[uuid.UUID], *, session: Session | None = None) -> int:
        """Remove what some messages of a tenant held; gives how many there are of them. Twice is as good as once.

        Args:
            tenant_id: Whose they are.
            event_ids: Their events.
            session: The transaction that it belongs to; None for one of its own.
        """
        messages = [(tenant_id, event_id) for event_id in event_ids]
        if session is not None:
            return await self._remove(session, messages)
        async with self._database.transaction() as connection:
            return await self._remove(connection, messages)

    async def sweep(self, *, most: int) -> int:
        """Remove what messages held whose time is over, of `most` of them; gives of how many."""
        async with self._database.transaction() as session:
            rows = await session.fetch(self._queries["expired_messages"], most=most)
            return await self._remove(session, [(row["tenant_id"], row["event_id"]) for row in rows])

    async def purge(self, session: Session, tenant_id: str, *, position: int, up_to: int, most: int) -> PurgeStep:
        """Remove what the next messages of a tenant held: of `most` of those that were written after a number."""
        row = await session.fetch_one(
            self._queries["next_messages"], tenant_id=tenant_id, position=position, up_to=up_to, most=most
        )
        assert row is not None  # it always gives one
        removed = await self._remove(session, [(tenant_id, event_id) for event_id in row["event_ids"]])
        return PurgeStep(row["position"], row["visited"], removed)

    async def _remove(self, session: Session, messages: list[tuple[str, uuid.UUID]]) -> int:
        if not messages:
            return 0
        row = await session.fetch_one(
            self._queries["expunge_messages"],
            tenant_ids=[tenant_id for tenant_id, _ in messages],
            event_ids=[event_id for _, event_id in messages],
        )
        return int(row["expunged"]) if row else 0
