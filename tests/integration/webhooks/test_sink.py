"""The sink from the table to a real receiver."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
import pytest_asyncio
from standardwebhooks import Webhook

from rowcast import verify_webhook
from rowcast.core.clock import SystemClock
from rowcast.core.delivery import Delivery, Owed
from rowcast.core.envelope import Envelope
from rowcast.core.errors import InvalidSignatureError
from rowcast.core.outcome import Delivered, Rejected, Retry
from rowcast.core.telemetry import listening
from rowcast.egress.client import EgressClient, open_client
from rowcast.egress.guard import Policy
from rowcast.egress.reply import EgressSettings
from rowcast.store.pool import Database
from rowcast.testing.fake_clock import FakeClock
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.endpoint_draft import EndpointDraft
from rowcast.webhooks.sealing import KeyRing, SealKey
from rowcast.webhooks.secrets_table import SecretTable
from rowcast.webhooks.sink import WebhookSink
from rowcast.webhooks.table import EndpointTable
from tests.integration.egress.receivers import answer, read_request, receiving
from tests.integration.webhooks.engine import sink_of

RING = KeyRing([SealKey("test", b"t" * 32)], noise=os.urandom)
EVENT = Envelope(
    id=UUID("01900000-0000-7000-8000-000000000001"),
    tenant_id="acme",
    aggregate_type="order",
    aggregate_id="o1",
    event_type="orders.confirmed",
    version=1,
    occurred_at=datetime(2026, 6, 19, 12, tzinfo=UTC),
    payload=msgspec.Raw(b'{"total":"12.50"}'),
)


class Receiver:
    """Remembers requests and answers with `sent`."""

    def __init__(self) -> None:
        self.sent = answer()
        self.requests: list[tuple[dict[str, str], bytes]] = []

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            head, body = await read_request(reader)
            lines = head.decode().split("\r\n")[1:-2]
            self.requests.append((dict(line.split(": ", 1) for line in lines), body))
            writer.write(self.sent)


class World:
    """A table, a sink and one endpoint of the tenant acme that points to a receiver."""

    def __init__(self, *, database: Database, client: EgressClient, policy: Policy, url: str, clock: Any) -> None:
        self.receiver, self.clock, self.url = Receiver(), clock, url
        self.secrets = SecretTable(database=database, ring=RING, clock=clock)
        self.table = EndpointTable(database=database, policy=policy, clock=clock, secrets=self.secrets)
        self.database, self.client = database, client
        self.sink = self.sink_over(self.table, client)

    def sink_over(self, table: EndpointTable, client: EgressClient) -> WebhookSink:
        return sink_of(self.database, table=table, client=client, ring=RING, clock=self.clock)

    async def endpoint(self, tenant_id: str = "acme", *event_types: str) -> Endpoint:
        return await self.table.create(tenant_id, EndpointDraft(url=self.url, event_types=event_types or None))

    async def deliver(self, target: str, *, tenant_id: str = "acme", event: Envelope | None = EVENT) -> object:
        return await self.sink.deliver(
            Delivery(
                1,
                tenant_id,
                "webhooks",
                target,
                1,
                1,
                self.clock.now(),
                event_id=event.id if event else None,
                event=event,
            )
        )


@pytest_asyncio.fixture
async def world(database: Database) -> AsyncIterator[World]:
    # The public library checks timestamps by the machine's clock.
    clock = FakeClock(SystemClock().now())
    waiting: list[World] = []

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await waiting[0].receiver(reader, writer)

    async with receiving(respond) as port:
        policy = Policy(allowed=frozenset({("127.0.0.1", port)}))
        async with open_client(clock=clock, policy=policy, settings=EgressSettings(timeout_s=2.0)) as client:
            made = World(
                database=database, client=client, policy=policy, url=f"http://127.0.0.1:{port}/hook", clock=clock
            )
            waiting.append(made)
            yield made


async def test_event_arrives_signed_and_verifies_with_the_public_library(world: World) -> None:
    endpoint = await world.endpoint()

    outcome = await world.deliver(endpoint.id)

    headers, body = world.receiver.requests[0]
    assert isinstance(outcome, Delivered)
    assert (outcome.code, outcome.excerpt) == ("200", "ok")
    assert Webhook(await world.secrets.current("acme", endpoint.id)).verify(body, headers) == json.loads(body)
    assert json.loads(body) == {
        "type": "orders.confirmed",
        "timestamp": "2026-06-19T12:00:00Z",
        "data": {"total": "12.50"},
    }
    assert headers["content-type"] == "application/json"
    assert headers["webhook-id"] == headers["svix-id"] == "msg_0000002wndAAHBC95f4Al8rNFlB"


async def test_retry_carries_the_same_id_and_body_with_the_time_of_the_attempt(world: World) -> None:
    endpoint = await world.endpoint()

    await world.deliver(endpoint.id)
    world.clock.tick(60)
    await world.deliver(endpoint.id)

    (first, first_body), (second, second_body) = world.receiver.requests
    assert (first["webhook-id"], first_body) == (second["webhook-id"], second_body)
    assert int(second["webhook-timestamp"]) - int(first["webhook-timestamp"]) == 60
    assert first["webhook-signature"] != second["webhook-signature"]


@pytest.mark.parametrize(
    ("sent", "outcome"),
    [
        (answer("500 Oops", b"broken"), Retry("http_500", None, "500", "broken")),
        (answer("429 Slow", b"", "Retry-After: 315360000"), Retry("http_429", 86_400.0, "429", "")),
        (answer("301 Moved", b"", "Location: http://169.254.169.254/"), Retry("http_301", None, "301", "")),
    ],
)
async def test_other_answer_than_success_is_tried_again(world: World, sent: bytes, outcome: Retry) -> None:
    endpoint = await world.endpoint()
    world.receiver.sent = sent

    answered = await world.deliver(endpoint.id)

    assert isinstance(answered, Retry)
    assert msgspec.structs.replace(answered, detail=None, policy=None) == outcome
    assert len(world.receiver.requests) == 1
    assert not (await world.table.get("acme", endpoint.id)).is_disabled


async def test_every_attempt_is_signed_with_all_secrets_that_are_valid_then(world: World) -> None:
    endpoint = await world.endpoint()
    old = await world.secrets.current("acme", endpoint.id)
    new = await world.secrets.rotate("acme", endpoint.id, grace_s=60)

    await world.deliver(endpoint.id)
    world.clock.tick(60)
    await world.deliver(endpoint.id)

    (first, body), (second, _) = world.receiver.requests
    for secret in (old, new):
        Webhook(secret).verify(body, first)
    assert verify_webhook(new, second, body, now=world.clock.now())
    with pytest.raises(InvalidSignatureError):
        verify_webhook(old, second, body, now=world.clock.now())


async def test_an_endpoint_of_version_1a_is_signed_for_with_its_private_key(world: World) -> None:
    draft = EndpointDraft(url=world.url, signature_scheme="v1a")
    endpoint = await world.table.create("acme", draft)

    await world.deliver(endpoint.id)

    headers, body = world.receiver.requests[0]
    assert headers["webhook-signature"].startswith("v1a,")
    assert verify_webhook(await world.secrets.current("acme", endpoint.id), headers, body)


async def test_a_delivery_waits_while_the_key_of_its_secret_is_not_there(world: World, database: Database) -> None:
    endpoint = await world.endpoint()
    keyless = SecretTable(database=database, ring=KeyRing(noise=os.urandom), clock=world.clock)
    table = EndpointTable(database=database, policy=Policy(), clock=world.clock, secrets=keyless)
    sink, world.sink = world.sink, world.sink_over(table, world.client)

    waiting = await world.deliver(endpoint.id)
    world.sink = sink
    delivered = await world.deliver(endpoint.id)

    assert isinstance(waiting, Retry)
    assert (waiting.reason, waiting.excerpt) == ("secret_unopened", "config.seal_key")
    assert isinstance(delivered, Delivered)
    assert len(world.receiver.requests) == 1


async def test_410_disables_the_endpoint_and_nothing_is_posted_after_it(world: World) -> None:
    endpoint = await world.endpoint()
    world.receiver.sent = answer("410 Gone", b"")
    heard: list[str] = []

    with listening(lambda name, facts: heard.append(name)):
        outcomes = [await world.deliver(endpoint.id) for _ in range(2)]

    assert isinstance(outcomes[0], Rejected)
    assert (outcomes[0].reason, outcomes[0].code) == ("endpoint_gone", "410")
    assert outcomes[1] == Rejected("endpoint_disabled", excerpt="http_410", is_cancelled=True)
    assert (await world.table.get("acme", endpoint.id)).is_disabled
    assert (len(world.receiver.requests), heard) == (1, ["webhook.endpoint_disabled"])


async def test_endpoint_that_was_disabled_or_deleted_stops_at_once(world: World) -> None:
    first, second = await world.endpoint(), await world.endpoint()
    await world.deliver(first.id)
    await world.table.disable("acme", first.id)
    await world.table.delete("acme", second.id)

    assert [await world.deliver(each.id) for each in (first, second)] == [
        Rejected("endpoint_disabled", is_cancelled=True),
        Rejected("endpoint_gone"),
    ]
    assert len(world.receiver.requests) == 1


async def test_delivery_to_another_tenants_endpoint_is_never_posted(world: World) -> None:
    endpoint = await world.endpoint("beta")

    assert await world.deliver(endpoint.id, tenant_id="acme") == Rejected("endpoint_gone")
    assert world.receiver.requests == []


async def test_delivery_without_an_event_is_rejected(world: World) -> None:
    endpoint = await world.endpoint()

    assert await world.deliver(endpoint.id, event=None) == Rejected("no_event")


async def test_endpoint_that_the_policy_no_longer_allows_is_rejected(world: World, database: Database) -> None:
    endpoint = await world.endpoint()
    async with open_client(clock=world.clock) as strict:
        sink = world.sink_over(world.table, strict)
        outcome = await sink.deliver(
            Delivery(1, "acme", "webhooks", endpoint.id, 1, 1, world.clock.now(), event_id=EVENT.id, event=EVENT)
        )

    assert isinstance(outcome, Rejected)
    assert (outcome.reason, world.receiver.requests) == ("egress_blocked", [])


async def test_group_target_becomes_every_endpoint_of_the_tenant_that_wants_the_event(world: World) -> None:
    every = await world.endpoint()
    orders = await world.endpoint("acme", "orders.*", "stock.low")
    exact = await world.endpoint("acme", "orders.confirmed")
    await world.endpoint("acme", "kitchen.*")
    await world.endpoint("beta")
    stopped = await world.endpoint()
    await world.table.disable("acme", stopped.id)
    group, single = Owed("webhooks", "*", rule="r"), Owed("webhooks", "ep_x")
    nobodys = msgspec.structs.replace(EVENT, tenant_id="gamma")

    answers = await world.sink.targets([(EVENT, group), (EVENT, single), (nobodys, group)])

    # The disabled one too: its message is cancelled when it is due, and a recovery finds it.
    assert {owed.target for owed in answers[0]} == {every.id, orders.id, exact.id, stopped.id}
    assert {owed.rule for owed in answers[0]} == {"r"}
    assert [list(each) for each in answers[1:]] == [[single], []]


async def test_sink_says_its_name_and_tries_as_often_as_standard_webhooks_says(world: World) -> None:
    assert world.sink.name == "webhooks"
    assert (world.sink.retry_policy.max_attempts, world.sink.retry_policy.waits_s[:2]) == (10, (5.0, 300.0))
