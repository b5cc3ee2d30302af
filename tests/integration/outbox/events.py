"""Writing events, and a handler that keeps what it is told, for the outbox's tests."""

import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg

from rowcast.core.delivery import Owed
from rowcast.core.envelope import Envelope
from rowcast.outbox.feed import Batch, Feed, Routed
from rowcast.store.pool import Database
from tests.record import published

_ONE = "select rowcast.emit_json($1, $2, '{}', 'order', $3, 1, null, null, null, null)"
_MANY = """
insert into rowcast.event (id, tenant_id, aggregate_type, aggregate_id, event_type, occurred_at, payload)
select rowcast.uuid7(), $1, 'order', 'k' || (number % $3), 'orders.placed', now(), '{}' from generate_series(1, $2) as number
"""


async def emit(driver: Any, *, tenant: str = "acme", key: str = "k1", event_type: str = "orders.placed") -> uuid.UUID:
    """Write one event in the driver's transaction and give its id."""
    return uuid.UUID(str(await driver.fetchval(_ONE, tenant, event_type, key)))


async def emit_some(dsn: str, count: int, *, tenant: str = "acme", keys: int = 10) -> None:
    """Commit many events of one tenant at once."""
    async with session(dsn) as driver:
        await driver.execute(_MANY, tenant, count, keys)


@asynccontextmanager
async def session(dsn: str) -> AsyncIterator[Any]:
    """Give a plain connection, such as an application has."""
    driver = await asyncpg.connect(dsn)
    try:
        yield driver
    finally:
        await driver.close(timeout=5)


async def settle(feed: Feed, batch: Batch) -> None:
    """Record a whole batch as published, as a relay would."""
    await feed.settle(batch, published(batch.events))
    await feed.acknowledge(batch)


async def statuses(database: Database) -> dict[str, int]:
    """Give how many events have each status."""
    async with database.connection() as connection:
        rows = await connection.driver.fetch("select status, count(*) from rowcast.outbox group by status")
    return {row["status"]: row["count"] for row in rows}


def is_in_order(events: Sequence[Envelope]) -> bool:
    """Tell whether each aggregate's events stand in the order of their numbers, the first time that each appears."""
    last: dict[tuple[str, str], int] = {}
    seen: set[uuid.UUID] = set()
    for event in events:
        if event.id in seen:
            continue
        seen.add(event.id)
        key = (event.tenant_id, event.aggregate_id)
        if last.get(key, 0) > event.seq:
            return False
        last[key] = event.seq
    return True


class Recorder:
    """An event handler that owes each event to one webhook, keeps what it told, and fails where a test says."""

    def __init__(self, *, error: Callable[[Envelope], str | None] = lambda _: None) -> None:
        self.told: list[Envelope] = []
        self.routed = 0
        self._error = error

    async def route(self, events: Sequence[Envelope]) -> Sequence[Routed]:
        self.routed += len(events)
        return [self._one(event) for event in events]

    async def tell(self, routed: Sequence[Routed]) -> None:
        self.told += [each.event for each in routed]

    async def expand(self, routed: Sequence[Routed]) -> Sequence[Routed]:
        return routed

    def _one(self, event: Envelope) -> Routed:
        error = self._error(event)
        return Routed(event, error=error) if error else Routed(event, durable=(Owed("webhooks", "endpoint"),))
