"""What the ledger shows: deliveries page by page, one with its attempts, how many are in which state."""

import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from rowcast.core.errors import NotFoundError
from rowcast.store.pool import Database, Row
from rowcast.store.sql import load_queries

PAGE_LIMIT = 500


class DeliveryRecord(msgspec.Struct, frozen=True):
    """One delivery as it stands. `held` says why a waiting one was put back: `rate_limit`, `concurrency`, `breaker`."""

    id: int
    tenant_id: str
    event_id: uuid.UUID | None
    sink: str
    target: str
    rule: str
    key: str
    priority: int
    status: str
    due_at: datetime
    attempt: int
    max_attempts: int
    held: str
    error: str | None
    fingerprint: str | None
    result: str | None
    replay_of: int | None
    replayed_at: datetime | None
    created_at: datetime
    settled_at: datetime | None
    leased_by: str | None
    leased_until: datetime | None


class AttemptRecord(msgspec.Struct, frozen=True):
    """One attempt: `delivered`, `retry`, `rejected`, or `lost` when its worker never told what came of it."""

    delivery_id: int
    fence: int
    attempt: int
    outcome: str
    reason: str
    code: str
    excerpt: str
    started_at: datetime
    latency_ms: float
    worker: str


class DeliveryFilter(msgspec.Struct, frozen=True):
    """Which deliveries are meant; what is None does not narrow."""

    event_id: uuid.UUID | None = None
    status: str | None = None
    sink: str | None = None
    target: str | None = None


class Page(msgspec.Struct, frozen=True):
    """Some deliveries, newest first, and the cursor of the next page; None on the last one."""

    deliveries: tuple[DeliveryRecord, ...]
    cursor: int | None = None


class StatusCount(msgspec.Struct, frozen=True):
    """How many deliveries of a sink are in one state."""

    sink: str
    status: str
    deliveries: int


class History:
    """Reads the ledger. With a tenant, row-level security decides what is seen, not the query alone."""

    def __init__(self, *, database: Database) -> None:
        """Keep the pool."""
        self._database = database
        self._queries = load_queries("rowcast.delivery")

    async def page(
        self,
        chosen: DeliveryFilter | None = None,
        *,
        tenant_id: str | None = None,
        cursor: int | None = None,
        limit: int = 50,
    ) -> Page:
        """Give up to `limit` deliveries (at most 500) after `cursor`, which an earlier page gave."""
        narrowed = chosen or DeliveryFilter()
        size = max(1, min(limit, PAGE_LIMIT))
        rows = await self._rows(
            "deliveries_page",
            tenant_id,
            before_id=cursor,
            event_id=narrowed.event_id,
            status=narrowed.status,
            sink=narrowed.sink,
            target=narrowed.target,
            limit=size + 1,
        )
        deliveries = tuple(msgspec.convert(dict(row), DeliveryRecord) for row in rows[:size])
        return Page(deliveries, deliveries[-1].id if len(rows) > size else None)

    async def read(self, delivery_id: int, *, tenant_id: str | None = None) -> DeliveryRecord:
        """Give one delivery.

        Raises:
            NotFoundError: `input.not_found`: there is none, or not for this tenant.
        """
        rows = await self._rows("delivery_by_id", tenant_id, id=delivery_id)
        if not rows:
            raise NotFoundError(f"There is no delivery {delivery_id}. `rowcast deliveries` lists those there are.")
        return msgspec.convert(dict(rows[0]), DeliveryRecord)

    async def attempts(self, delivery_ids: Sequence[int], *, tenant_id: str | None = None) -> tuple[AttemptRecord, ...]:
        """Give the attempts of some deliveries, in the order they were made."""
        rows = await self._rows("attempts_of", tenant_id, delivery_ids=list(delivery_ids))
        return tuple(msgspec.convert(dict(row), AttemptRecord) for row in rows)

    async def counts(self, *, tenant_id: str | None = None) -> tuple[StatusCount, ...]:
        """Give how many deliveries each sink has in each state; reads the whole ledger."""
        rows = await self._rows("count_by_status", tenant_id)
        return tuple(msgspec.convert(dict(row), StatusCount) for row in rows)

    async def _rows(self, name: str, tenant_id: str | None, **values: Any) -> Sequence[Row]:
        query = self._queries[name]
        if tenant_id is None:
            return await self._database.fetch(query, tenant_id=None, **values)
        async with self._database.as_tenant(tenant_id) as session:
            return await session.fetch(query, tenant_id=tenant_id, **values)
