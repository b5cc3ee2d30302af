"""Forwarding events to a URL on this machine: signed as webhooks are, private targets only, and nothing passed over."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from rowcast.core.clock import SystemClock
from rowcast.core.envelope import Envelope
from rowcast.core.errors import InvalidInputError, StoreError
from rowcast.egress.client import open_client
from rowcast.outbox.tail import Tail
from rowcast.server.forwarding import Forwarder, check_local, choice, local_policy, local_resolver
from rowcast.store.pool import Database
from rowcast.testing.fake_clock import FakeClock
from rowcast.testing.webhook_catcher import WebhookCatcher
from rowcast.webhooks.endpoint import Endpoint, SigningEndpoint
from rowcast.webhooks.message_draft import MessageDraft
from rowcast.webhooks.message_reader import MessageReader
from rowcast.webhooks.message_table import MessageTable
from rowcast.webhooks.poster import Poster
from rowcast.webhooks.sealing import KeyRing
from tests.integration.outbox.events import emit, session

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def orders_only(events: Sequence[Envelope]) -> Sequence[Envelope]:
    return [event for event in events if event.event_type.startswith("orders.")]


@asynccontextmanager
async def forwarding(database: Database, url: str, lost: list[StoreError] | None = None) -> AsyncIterator[Any]:
    """Give the posts of a forwarder that wants orders only."""
    clock, policy = SystemClock(), local_policy(url)
    tail = Tail(database=database, tenant_id="acme")
    await tail.begin()
    async with open_client(clock=clock, policy=policy, resolver=local_resolver(clock)) as client:
        messages = MessageReader(database=database, clock=clock)
        forwarder = Forwarder(
            tail=tail,
            poster=Poster(client=client, clock=clock, ring=KeyRing([], noise=bytes), policy=policy, messages=messages),
            endpoint=SigningEndpoint("listen", url, (SECRET,), False),
            tenant_id="acme",
            choose=orders_only,
            clock=clock,
        )
        yield forwarder.run(on_lost=([] if lost is None else lost).append)


async def test_what_is_forwarded_verifies_with_the_public_library(dsn: str, database: Database) -> None:
    async with WebhookCatcher(answers=[200, 500]) as catcher, forwarding(database, catcher.url) as posts:
        async with session(dsn) as driver:
            await emit(driver)
            await emit(driver, event_type="invoices.paid")
            await emit(driver, tenant="other")
            await emit(driver, event_type="orders.sent")

        async with asyncio.timeout(30):
            made = [await anext(posts), await anext(posts)]

        sent = [Webhook(SECRET).verify(each.body, dict(each.headers)) for each in catcher.requests]
        assert [each["type"] for each in sent] == ["orders.placed", "orders.sent"]
        assert [(each.event_type, each.code) for each in made] == [("orders.placed", "200"), ("orders.sent", "500")]
        assert [each.message_id for each in made] == [each.headers["webhook-id"] for each in catcher.requests]
        assert abs((made[0].at - datetime.now(UTC)).total_seconds()) < 60


async def test_a_target_that_is_down_is_told_and_the_next_event_is_posted_all_the_same(
    dsn: str, database: Database
) -> None:
    async with WebhookCatcher() as catcher:
        url = catcher.url
    async with forwarding(database, url) as posts, session(dsn) as driver:
        await emit(driver)
        await emit(driver)

        async with asyncio.timeout(30):
            assert [(await anext(posts)).code, (await anext(posts)).code] == ["refused", "refused"]


async def test_it_goes_on_where_it_was_when_the_database_comes_back(
    dsn: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[StoreError] = []
    monkeypatch.setattr("rowcast.server.forwarding._LOST_WAIT_S", 0.0)
    for owner, name in ((Tail, "next_events"), (Poster, "post")):
        monkeypatch.setattr(owner, name, cut_once(getattr(owner, name)))
    async with WebhookCatcher() as catcher, forwarding(database, catcher.url, lost) as posts, session(dsn) as driver:
        await emit(driver)
        await emit(driver)

        async with asyncio.timeout(30):
            assert [(await anext(posts)).code, (await anext(posts)).code] == ["204", "204"]

        assert (len(lost), len(catcher.requests)) == (2, 2)


async def test_an_endpoint_is_stood_in_for_by_its_types_and_channels(dsn: str, database: Database) -> None:
    clock, now = SystemClock(), datetime.now(UTC)
    known = Endpoint("ep_1", "acme", "https://a.example", "", ("orders.*",), False, now, now, channels=("berlin",))
    messages = MessageReader(database=database, clock=clock)
    drafts = [
        MessageDraft(event_type="orders.sent", payload=b"{}", channels=("berlin", "rome")),
        MessageDraft(event_type="orders.sent", payload=b"{}", channels=("rome",)),
        MessageDraft(event_type="orders.sent", payload=b"{}"),
        MessageDraft(event_type="bills.sent", payload=b"{}", channels=("berlin",)),
    ]
    tail = Tail(database=database, tenant_id="acme")
    await tail.begin()
    for draft in drafts:
        async with database.transaction() as connection:
            await MessageTable().create(connection, "acme", draft)
    events = await tail.next_events()

    chosen = await choice(endpoint=known, event_types=(), messages=messages)(events)
    narrowed = await choice(endpoint=known, event_types=("orders.paid",), messages=messages)(events)

    assert ([event.id for event in chosen], narrowed) == ([events[0].id], [])
    assert await choice(endpoint=None, event_types=("bills.*",), messages=messages)(events) == [events[3]]


def cut_once(whole: Any) -> Any:
    """Give a method that finds the database away the first time."""
    calls: list[None] = []

    async def cut(*given: Any) -> Any:
        calls.append(None)
        if len(calls) == 1:
            raise StoreError("The connection is gone.")
        return await whole(*given)

    return cut


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000/", "http://[::1]:3000/hook", "https://10.1.2.3/", "http://192.168.1.4:81/x"]
)
def test_addresses_of_this_machine_and_its_network_may_be_listened_to(url: str) -> None:
    assert local_policy(url).ports


@pytest.mark.parametrize(
    "url", ["http://93.184.216.34/", "http://169.254.169.254/", "http://0.0.0.0/", "http://[2606::1]/"]
)
def test_an_address_anywhere_else_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        local_policy(url)

    assert refusal.value.code == "egress.blocked"


async def test_a_name_is_known_by_its_private_addresses_only(clock: FakeClock) -> None:
    both = local_resolver(clock, lookup=lambda _: ["93.184.216.34", "10.0.0.7"])
    public = local_resolver(clock, lookup=lambda _: ["93.184.216.34"])

    await check_local("http://shop.test:9000/", both)
    assert (await both.resolve("shop.test", timeout_s=5.0)).found == ("10.0.0.7",)
    with pytest.raises(InvalidInputError, match="private network"):
        await check_local("http://shop.test:9000/", public)
    both.close()
    public.close()
