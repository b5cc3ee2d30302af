"""Messages and deliveries as they may stand when somebody asks for a recovery."""

import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

from rowcast.core.clock import SystemClock
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query
from rowcast.webhooks.background_task import Chosen, TaskTable
from rowcast.webhooks.operational import OperationalEvents
from rowcast.webhooks.recovery import Recovery, RecoveryLimits

ENDPOINT = "ep_1"


class LedgerRows:
    """Short ways to fill and read the rows."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.tasks = TaskTable(clock=SystemClock())

    async def fetch(self, text: str, **values: object) -> Any:
        return await self.database.fetch(parse_query("test", text), **values)

    async def endpoint(self, name: str = ENDPOINT, tenant: str = "acme", **columns: object) -> None:
        await self.fetch(
            "insert into rowcast.endpoint (id, tenant_id, url) values (:name, :tenant, 'https://hooks.example.com/')",
            name=name, tenant=tenant,
        )  # fmt: skip
        for column, value in columns.items():
            await self.fetch(f"update rowcast.endpoint set {column} = :value where id = :name", value=value, name=name)

    async def event(self, *, tenant: str = "acme", event_type: str = "orders.confirmed", hours_ago: float = 1.0,
                    state: str | None = "published", topic: str | None = None, **terms: object) -> uuid.UUID:  # fmt: skip
        """Give a new event; `terms` are columns of its message."""
        (row,) = await self.fetch(
            """with made as (
                 insert into rowcast.event (id, tenant_id, aggregate_type, aggregate_id, event_type, occurred_at, created_at, payload, topic)
                 values (rowcast.uuid7(), :tenant, 'order', 'o1', :event_type, now(), now() - make_interval(secs => :s), '{"n":1}', :topic)
                 returning id)
               insert into rowcast.event_state (event_id, status) select id, coalesce(:state::text, 'dead') from made
               returning event_id as id""",
            tenant=tenant, event_type=event_type, s=hours_ago * 3600.0, state=state, topic=topic,
        )  # fmt: skip
        if state is None:
            await self.fetch("truncate rowcast.event_state")
        if terms:
            names = ", ".join(terms)
            await self.fetch(
                f"insert into rowcast.message (event_id, tenant_id, {names}) "
                f"values (:id, :tenant, {', '.join(f':{name}' for name in terms)})",
                id=row["id"], tenant=tenant, **terms,
            )  # fmt: skip
        return uuid.UUID(str(row["id"]))

    async def owed(self, event_id: uuid.UUID, status: str = "dead", *, tenant: str = "acme", target: str = ENDPOINT,
                   sink: str = "webhooks", code: str = "") -> int:  # fmt: skip
        """Give a delivery of an event as it stands after one attempt."""
        (row,) = await self.fetch(
            """with made as (
                 insert into rowcast.delivery (tenant_id, event_id, sink, target, key, status, attempt, fence, settled_at)
                 values (:tenant, :event_id, :sink, :target, :target, :status, 1, 1,
                         case when :status in ('waiting', 'running') then null else clock_timestamp() end)
                 returning id, tenant_id)
               insert into rowcast.attempt (delivery_id, fence, tenant_id, attempt, outcome, code, started_at, latency_ms)
               select id, 1, tenant_id, 1, 'retry', :code, now(), 1 from made returning delivery_id as id""",
            tenant=tenant, event_id=event_id, sink=sink, target=target, status=status, code=code,
        )  # fmt: skip
        return int(row["id"])

    async def dead(self, count: int, **options: Any) -> list[uuid.UUID]:
        """Give events whose deliveries are dead."""
        events = [await self.event(**options) for _ in range(count)]
        for event_id in events:
            await self.owed(event_id)
        return events

    async def begin(self, task: Any = "endpoint.recover", *, hours: float = 24.0, tenant: str = "acme",
                    endpoint: str = ENDPOINT, **narrowing: Any) -> str:  # fmt: skip
        """Give the id of a task that was just asked for."""
        chosen = Chosen(since=datetime.now(UTC) - timedelta(hours=hours), **narrowing)
        return (await self.tasks.begin(self.database, tenant, endpoint, task=task, chosen=chosen)).id

    def recovery(self, *, operational: str = "", **limits: Any) -> Recovery:
        told = OperationalEvents(database=self.database, tenant_id=operational)
        return Recovery(database=self.database, operational=told, noise=lambda: 0.5, limits=RecoveryLimits(**limits))

    async def finish(self, **limits: Any) -> int:
        """Do all tasks to their end, and give in how many steps."""
        recovery = self.recovery(**limits)
        steps = 0
        while await recovery.step():
            steps += 1
            assert steps < 1000
        return steps

    async def replayed(self) -> Counter[uuid.UUID]:
        """Give how many new deliveries each event has."""
        rows = await self.fetch("select event_id from rowcast.delivery where status = 'waiting' and attempt = 0")
        return Counter(uuid.UUID(str(row["event_id"])) for row in rows)

    async def state(self, task_id: str) -> tuple[str, int, str]:
        found = await self.tasks.get(self.database, task_id)
        return found.status, found.replayed, found.reason
