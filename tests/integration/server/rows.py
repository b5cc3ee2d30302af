"""Rows that a test begins with: events and deliveries in any state."""

import uuid

from rowcast.store.pool import Database
from rowcast.store.sql import parse_query

_DELIVERY = parse_query(
    "delivery",
    """insert into rowcast.delivery (tenant_id, event_id, sink, target, status, attempt, max_attempts, error, fingerprint,
       due_at, settled_at)
       values (:tenant_id, :event_id, :sink, :target, :status, 1, 1, :error, :fingerprint,
       clock_timestamp() + interval '1 hour', case when :status in ('dead', 'delivered') then clock_timestamp() end)
       returning id""",
)
_ATTEMPT = parse_query(
    "attempt",
    """insert into rowcast.attempt (delivery_id, fence, tenant_id, attempt, outcome, reason, code, started_at, latency_ms)
       values (:delivery_id, 1, :tenant_id, 1, 'retry', 'http_503', '503', clock_timestamp(), 12.5)""",
)
_EVENT = parse_query("event", "select rowcast.emit(:tenant_id, :event_type, cast(:payload as text)::jsonb) as id")


async def add_event(database: Database, tenant_id: str = "acme", event_type: str = "shop.moved") -> uuid.UUID:
    """Write an event as any application may: by the SQL function."""
    row = await database.fetch_one(_EVENT, tenant_id=tenant_id, event_type=event_type, payload='{"n": 1}')
    assert row is not None
    found: uuid.UUID = row["id"]
    return found


async def add_delivery(
    database: Database, tenant_id: str = "acme", *, status: str = "dead", target: str = "ep_1", error: str = "http_503"
) -> int:
    """Write a delivery of a new event, with one attempt."""
    event_id = await add_event(database, tenant_id)
    row = await database.fetch_one(
        _DELIVERY, tenant_id=tenant_id, event_id=event_id, sink="webhooks", target=target, status=status, error=error,
        fingerprint=f"webhooks:{error}",
    )  # fmt: skip
    assert row is not None
    number: int = row["id"]
    await database.execute(_ATTEMPT, delivery_id=number, tenant_id=tenant_id)
    return number
