"""What the delivery tests share: things owed, events, and a look at the rows."""

import asyncio
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import pytest

from rowcast.core.delivery import Delivery, Owed
from rowcast.core.outcome import Delivered, Outcome
from rowcast.delivery.attempt import Settled
from rowcast.delivery.ledger import Ledger, Settlement, owed_columns
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query

_OWE = parse_query(
    "owe",
    """
    insert into rowcast.delivery (event_id, tenant_id, sink, target, rule, transform, key, priority, max_attempts, due_at)
    select event_id, tenant_id, sink, target, rule, transform, key, priority, max_attempts,
           clock_timestamp() + make_interval(secs => delay_s)
    from unnest(:owed_event_ids::uuid[], :tenant_ids::text[], :sinks::text[], :targets::text[], :rules::text[],
                :transforms::text[], :keys::text[], :priorities::smallint[], :max_attempts::integer[],
                :delays_s::double precision[])
        as owed(event_id, tenant_id, sink, target, rule, transform, key, priority, max_attempts, delay_s)
    """,
)
"""What is owed with or without an event; a relay writes it with the event's state, by `rowcast.settle_events`."""


class Bench:
    """A ledger of one worker on the test's database, and short ways to fill and read it."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.ledger = Ledger(database=database, worker="worker-1")

    def other(self, worker: str = "worker-2") -> Ledger:
        return Ledger(database=self.database, worker=worker)

    async def owe(self, *owed: Owed, tenant_id: str = "acme", event_id: uuid.UUID | None = None) -> None:
        await self.database.execute(_OWE, **owed_columns([(event_id, tenant_id, one) for one in owed]))

    async def owe_many(self, count: int, tenant_id: str = "acme", **fields: Any) -> None:
        await self.owe(*[Owed("jobs", f"task_{number}", **fields) for number in range(count)], tenant_id=tenant_id)

    async def event(self, tenant_id: str = "acme", payload: object = None) -> uuid.UUID:
        row = await self.row(
            "select rowcast.emit(:tenant_id, 'orders.confirmed', :payload::text::jsonb) as id",
            tenant_id=tenant_id,
            payload=json.dumps(payload or {"id": "o1"}),
        )
        return uuid.UUID(str(row["id"]))

    async def rows(self, text: str, **values: object) -> Sequence[Mapping[str, Any]]:
        return await self.database.fetch(parse_query("test", text), **values)

    async def row(self, text: str, **values: object) -> Mapping[str, Any]:
        return (await self.rows(text, **values))[0]

    async def run(self, text: str, **values: object) -> None:
        await self.database.execute(parse_query("test", text), **values)

    async def statuses(self) -> list[str]:
        return [row["status"] for row in await self.rows("select status from rowcast.delivery order by id")]

    async def attempts(self) -> list[tuple[Any, ...]]:
        rows = await self.rows("select fence, outcome, reason from rowcast.attempt order by delivery_id, fence")
        return [tuple(row.values()) for row in rows]

    async def let_leases_run_out(self) -> None:
        await self.run("update rowcast.delivery set leased_until = now() - interval '1 ms' where status = 'running'")

    async def make_all_due(self) -> None:
        await self.run("update rowcast.delivery set due_at = now() - interval '1 ms' where status = 'waiting'")

    async def until(self, holds: Callable[[], Awaitable[bool]], within_s: float = 20.0) -> None:
        async with asyncio.timeout(within_s):
            while not await holds():
                await asyncio.sleep(0.01)

    async def all_are(self, status: str) -> bool:
        return set(await self.statuses()) == {status}


def settlement(delivery: Delivery, outcome: Outcome | None = None, settled: Settled | None = None) -> Settlement:
    return Settlement(delivery, outcome or Delivered("200"), settled or Settled("delivered"), latency_ms=12.5)


@pytest.fixture
def bench(database: Database) -> Bench:
    return Bench(database)


@pytest.fixture
def settle() -> Callable[..., Settlement]:
    """`settle(delivery, outcome, settled)` gives a settlement; delivered unless it is said otherwise."""
    return settlement
