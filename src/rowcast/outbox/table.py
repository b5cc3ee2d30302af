"""The outbox for reading: one event, or pages of them, newest first, with what became of each."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Literal

import msgspec

from rowcast.core.errors import InvalidInputError
from rowcast.outbox.side_lanes import ALL_SHARDS
from rowcast.store.pool import Database, Row, Session
from rowcast.store.sql import load_queries

Status = Literal["pending", "published", "failed", "dead"]

PAGE_LIMIT = 500
_ROUNDS = 20
"""How many stretches of 5,000 events one page looks through at most; a rare filter then goes on with the next page."""
_END = 2**63 - 1


class StoredEvent(msgspec.Struct, frozen=True, rename="camel"):
    """One event with its state. `payload` is its JSON text."""

    id: uuid.UUID
    tenant_id: str
    aggregate_type: str
    aggregate_id: str
    event_type: str
    version: int
    occurred_at: datetime
    created_at: datetime
    payload: msgspec.Raw
    status: Status
    attempts: int = 0
    published_at: datetime | None = None
    error: str | None = None
    next_attempt_at: datetime | None = None
    traceparent: str | None = None
    topic: str | None = None


class EventFilter(msgspec.Struct, frozen=True):
    """Which events: all that fit everything that is given."""

    event_type: str | None = None
    status: Status | None = None


class EventPage(msgspec.Struct, frozen=True, rename="camel"):
    """Events, newest first, and where the next page begins; None at the end."""

    events: tuple[StoredEvent, ...]
    next_cursor: str | None = None


class EventTable:
    """Reads events. With a tenant, row-level security decides what is there."""

    def __init__(self, *, database: Database) -> None:
        """Take the pool."""
        self._database = database
        self._queries = load_queries("rowcast.outbox")

    async def get(self, event_id: uuid.UUID, *, tenant_id: str | None = None) -> StoredEvent | None:
        """Give one event, or None where it is not there for this tenant."""
        async with self._session(tenant_id) as session:
            row = await session.fetch_one(self._queries["stored_event"], event_id=event_id)
        return None if row is None else _stored(row)

    async def page(
        self, wanted: EventFilter, *, tenant_id: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> EventPage:
        """Give up to `limit` events, newest first, from `cursor` on.

        Raises:
            InvalidInputError: `input.cursor`, when the cursor is not one of ours.
        """
        before_seq, most = read_cursor(cursor), max(1, min(limit, PAGE_LIMIT))
        from_seq = await self._pending_from() if wanted.status == "pending" else 0
        found: list[StoredEvent] = []
        async with self._session(tenant_id) as session:
            for _ in range(_ROUNDS):
                rows = await session.fetch(
                    self._queries[_query_for(wanted, tenant_id)],
                    **({} if tenant_id is None else {"tenant_id": tenant_id}),
                    **({} if wanted.status in ("failed", "dead") else {"from_seq": from_seq}),
                    before_seq=before_seq,
                    event_type=wanted.event_type,
                    status=wanted.status,
                    limit=most - len(found),
                )
                found += [_stored(row) for row in rows if row["id"] is not None]
                if len(found) == most:
                    return EventPage(tuple(found), str(rows[-1]["seq"]))
                if not rows[0]["is_more"]:
                    return EventPage(tuple(found))
                before_seq = rows[0]["until_seq"]
        return EventPage(tuple(found), str(before_seq))

    @asynccontextmanager
    async def _session(self, tenant_id: str | None) -> AsyncIterator[Session]:
        if tenant_id is None:
            yield self._database
            return
        async with self._database.as_tenant(tenant_id) as connection:
            yield connection

    async def _pending_from(self) -> int:
        row = await self._database.fetch_one(self._queries["lowest_bound"], shards=list(ALL_SHARDS))
        return int(row["low_seq"]) if row else 0


def read_cursor(cursor: str | None) -> int:
    """Give the number before which a page begins."""
    if cursor is None:
        return _END
    if not cursor.isascii() or not cursor.isdigit() or int(cursor) > _END:
        raise InvalidInputError(
            f"The cursor {cursor[:40]!r} is not one that a page gave. Begin without one.", code="input.cursor"
        )
    return int(cursor)


def _query_for(wanted: EventFilter, tenant_id: str | None) -> str:
    if wanted.status in ("failed", "dead"):
        return "troubled_events" if tenant_id is None else "troubled_events_of_tenant"
    return "stored_events" if tenant_id is None else "stored_events_of_tenant"


def _stored(row: Row) -> StoredEvent:
    return StoredEvent(
        id=row["id"],
        tenant_id=row["tenant_id"],
        aggregate_type=row["aggregate_type"],
        aggregate_id=row["aggregate_id"],
        event_type=row["event_type"],
        version=row["version"],
        occurred_at=row["occurred_at"],
        created_at=row["created_at"],
        payload=msgspec.Raw(row["payload"]),
        status=row["status"] or "pending",
        attempts=row["attempts"] or 0,
        published_at=row["changed_at"] if row["status"] == "published" else None,
        error=row["error"],
        next_attempt_at=row["next_attempt_at"],
        traceparent=row["traceparent"],
        topic=row["topic"],
    )
