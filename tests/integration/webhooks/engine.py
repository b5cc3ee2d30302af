"""The engine of outgoing webhooks as a test wants it, on the test's own database."""

import asyncio
import json
import os
from collections import Counter
from collections.abc import Sequence
from typing import Any

from rowcast.core.clock import Clock, SystemClock
from rowcast.core.delivery import Owed
from rowcast.delivery.lane import SinkOptions
from rowcast.delivery.ledger import Ledger, owed_columns
from rowcast.delivery.rate_limit import Limits
from rowcast.delivery.runner import Runner, RunnerSettings
from rowcast.egress.client import EgressClient
from rowcast.egress.guard import Policy
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query
from rowcast.webhooks.aftermath import Aftermath
from rowcast.webhooks.authentication import Authentication, authentication_bytes
from rowcast.webhooks.endpoint_draft import EndpointDraft
from rowcast.webhooks.endpoint_health import EndpointHealth
from rowcast.webhooks.endpoint_limits import EndpointLimits
from rowcast.webhooks.fan_out import FanOut
from rowcast.webhooks.host_breakers import HostBreakers
from rowcast.webhooks.message_reader import MessageReader
from rowcast.webhooks.operational import OperationalEvents
from rowcast.webhooks.poster import Poster
from rowcast.webhooks.reader import EndpointReader
from rowcast.webhooks.retry_rules import STANDARD_WAITS_S, RetryRules
from rowcast.webhooks.sealing import KeyRing, SealKey, seal_context
from rowcast.webhooks.secrets_table import SecretTable
from rowcast.webhooks.sink import WebhookSink
from rowcast.webhooks.table import EndpointTable
from tests.integration.egress.receivers import read_request

RING = KeyRing([SealKey("test", b"t" * 32)], noise=os.urandom)
WITHIN_S = 30.0
OWE = parse_query(
    "owe",
    """
    insert into rowcast.delivery (event_id, tenant_id, sink, target, rule, transform, key, priority, max_attempts)
    select event_id, tenant_id, sink, target, rule, transform, key, priority, max_attempts
    from unnest(:owed_event_ids::uuid[], :tenant_ids::text[], :sinks::text[], :targets::text[], :rules::text[],
                :transforms::text[], :keys::text[], :priorities::smallint[], :max_attempts::integer[],
                :delays_s::double precision[])
        as owed(event_id, tenant_id, sink, target, rule, transform, key, priority, max_attempts, delay_s)
    """,
)


def limits_of(database: Database, clock: Clock, default: Limits | None = None) -> EndpointLimits:
    return EndpointLimits(database=database, clock=clock, default=default or Limits(rate_per_minute=100, burst=100))


def sink_of(
    database: Database,
    *,
    table: EndpointTable,
    client: EgressClient,
    ring: KeyRing,
    clock: Clock,
    **chosen: Any,
) -> WebhookSink:
    """Give a sink. `chosen`: `limits`, `operational_tenant`, `give_up_days`, `waits_s`, `policy`."""
    waits_s: Sequence[float] = chosen.get("waits_s", STANDARD_WAITS_S)
    messages = MessageReader(database=database, clock=clock)
    return WebhookSink(
        fan_out=FanOut(table=table, messages=messages, clock=clock),
        reader=EndpointReader(table=table, clock=clock),
        poster=Poster(client=client, clock=clock, ring=ring, policy=chosen.get("policy", Policy()), messages=messages),
        aftermath=Aftermath(
            clock=clock,
            health=EndpointHealth(database=database),
            limits=chosen.get("limits") or limits_of(database, clock),
            operational=OperationalEvents(database=database, tenant_id=chosen.get("operational_tenant", "")),
            give_up_days=chosen.get("give_up_days", 5.0),
        ),
        hosts=HostBreakers(clock=clock, noise=lambda: 0.5),
        rules=RetryRules(waits_s=waits_s),
    )


class Receiver:
    """Answers by path: `answers[path]` in turn, the last one again and again; a path without any never answers."""

    def __init__(self) -> None:
        self.answers: dict[str, list[bytes]] = {}
        self.requests: list[tuple[str, dict[str, str], bytes]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await read_request(reader)
            first, *lines = head.decode().split("\r\n")[:-2]
            path = first.split(" ")[1]
            self.requests.append((path, dict(line.split(": ", 1) for line in lines if ": " in line), body))
            answers = self.answers.get(path)
            if answers is None:
                await asyncio.Event().wait()
            writer.write(answers.pop(0) if len(answers) > 1 else answers[0])

    def paths(self) -> Counter[str]:
        return Counter(path for path, _, _ in self.requests)


class Engine:
    """A table, a ledger and a sink over one receiver, and short ways to fill and read them."""

    def __init__(self, database: Database, client: Any, port: int, receiver: Receiver) -> None:
        self.database, self.client, self.receiver = database, client, receiver
        self.clock = SystemClock()
        self.url = f"http://127.0.0.1:{port}"
        self.policy = Policy(allowed=frozenset({("127.0.0.1", port)}))
        secrets = SecretTable(database=database, ring=RING, clock=self.clock)
        self.table = EndpointTable(database=database, policy=self.policy, clock=self.clock, secrets=secrets)
        self.ledger = Ledger(database=database, worker="w1")

    def sink(self, **chosen: Any) -> WebhookSink:
        return sink_of(self.database, table=self.table, client=self.client, ring=RING, clock=self.clock, **chosen)

    async def endpoint(self, path: str = "/ok", tenant_id: str = "acme", **columns: object) -> str:
        made = await self.table.create(tenant_id, EndpointDraft(url=self.url + path))
        for column, value in columns.items():
            await self.run(f"update rowcast.endpoint set {column} = :value where id = :id", value=value, id=made.id)
        return made.id

    async def authenticated(self, path: str, said: Authentication) -> str:
        made = await self.endpoint(path)
        context = seal_context("endpoint_authentication", made)
        sealed = RING.seal(authentication_bytes(said), context=context)
        await self.run("update rowcast.endpoint set authentication = :value where id = :id", value=sealed, id=made)
        return made

    async def owe(self, *targets: str, tenant_id: str = "acme", count: int = 1) -> None:
        row = await self.row(
            "select rowcast.emit(:tenant_id, 'orders.confirmed', '{\"id\":\"o1\"}'::jsonb) as id", tenant_id=tenant_id
        )
        owed = [(row["id"], tenant_id, Owed("webhooks", target)) for target in targets for _ in range(count)]
        await self.database.execute(OWE, **owed_columns(owed))

    async def deliver(self, sink: WebhookSink, target: str, tenant_id: str = "acme") -> Any:
        await self.owe(target, tenant_id=tenant_id)
        (delivery,) = (await self.ledger.claim("webhooks", 1)).deliveries
        return await sink.deliver(delivery)

    async def run(self, text: str, **values: object) -> None:
        await self.database.execute(parse_query("test", text), **values)

    async def rows(self, text: str, **values: object) -> Any:
        return await self.database.fetch(parse_query("test", text), **values)

    async def row(self, text: str, **values: object) -> Any:
        return (await self.rows(text, **values))[0]

    async def state(self, endpoint_id: str) -> tuple[Any, ...]:
        row = await self.row(
            "select disabled, disabled_reason, failing_since is not null as fails, disabled_at is not null as told "
            "from rowcast.endpoint where id = :id",
            id=endpoint_id,
        )
        return tuple(row.values())

    async def events(self, tenant_id: str) -> list[tuple[str, dict[str, Any]]]:
        rows = await self.rows(
            "select event_type, payload::text as payload from rowcast.event where tenant_id = :tenant_id order by seq, id",
            tenant_id=tenant_id,
        )
        return [(row["event_type"], json.loads(row["payload"])) for row in rows]


async def run_until(engine: Engine, sink: WebhookSink, is_done: Any, **options: Any) -> None:
    runner = Runner(
        ledger=engine.ledger,
        sinks={"webhooks": sink},
        clock=engine.clock,
        noise=lambda: 0.5,
        options={"webhooks": SinkOptions(**options)},
        settings=RunnerSettings(poll_s=0.1),
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(runner.run())
        try:
            async with asyncio.timeout(WITHIN_S):
                while not await is_done():
                    await asyncio.sleep(0.02)
        finally:
            await runner.stop(0.0)
