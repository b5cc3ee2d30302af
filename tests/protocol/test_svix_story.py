"""A season of a shop, told by unmodified `svix` SDKs: everything at once, and in the end the books balance.

Each resource has tests of its own beside this file. Here receivers that verify with `standardwebhooks` have bad days while
secrets are rotated and requests are repeated, and every post is found again in what the SDK says of attempts.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.integration.egress.receivers import answer, receiving
from tests.integration.webhooks.engine import Receiver
from tests.protocol.svix_client import NEWEST, SDKS, sdk_on, the_error

WITHIN_S = 30.0
FIELDS = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}
SINCE = datetime.now(UTC) - timedelta(days=1)
DEAD = [answer("500 Oops")] * 3
"""Waits are two, so a message gets three attempts."""


class Shop:
    """One application, its endpoints by the paths of their receivers, and all that was posted there."""

    def __init__(self, svix: Any, api: Any, port: int, receiver: Receiver) -> None:
        self.svix, self.api, self.port, self.receiver = svix, api, port, receiver
        self.sent: dict[str, dict[str, Any]] = {}

    async def endpoint(self, name: str, *answers: bytes) -> Any:
        """Make an endpoint whose receiver answers so, and then with success."""
        self.receiver.answers[f"/{name}"] = [*answers, answer(body=b"thanks")]
        fields = {"url": f"http://127.0.0.1:{self.port}/{name}", "uid": name, "channels": [name]}
        return await self.svix.endpoint.create("shop", self.api.EndpointIn(**fields))

    async def send(self, channel: str, key: str | None = None, **payload: Any) -> Any:
        """Send a message, by an idempotency key where one is given."""
        body = self.api.MessageIn(event_type="order.paid", payload={"total": 1, **payload}, channels=[channel])
        options = self.api.MessageCreateOptions(idempotency_key=key)
        made = await self.svix.message.create("shop", body, options)
        self.sent[made.id] = body.payload
        return made

    def posts(self, name: str) -> list[tuple[dict[str, str], bytes]]:
        """Give what was posted to a receiver."""
        return [(headers, body) for path, headers, body in self.receiver.requests if path == f"/{name}"]

    async def posted(self, name: str, count: int) -> list[tuple[dict[str, str], bytes]]:
        async def are_there() -> bool:
            return len(self.posts(name)) >= count

        await self.until(are_there)
        return self.posts(name)

    async def key(self, name: str) -> str:
        return str((await self.svix.endpoint.get_secret("shop", name)).key)

    async def stats(self, name: str) -> dict[str, int]:
        found = await self.svix.endpoint.get_stats("shop", name, self.api.EndpointGetStatsOptions())
        numbers = {field: getattr(found, field) for field in ("success", "pending", "sending", "fail", "canceled")}
        return {field: number for field, number in numbers.items() if number}

    async def stands(self, name: str, **numbers: int) -> None:
        """Wait until the messages of an endpoint stand so."""
        async with asyncio.timeout(WITHIN_S):
            while (found := await self.stats(name)) != numbers:
                await asyncio.sleep(0.05)
        assert found == numbers

    async def attempts(self, name: str) -> list[Any]:
        """Give all attempts at an endpoint, page by page."""
        rows: list[Any] = []
        page = None
        while page is None or not page.done:
            options = self.api.MessageAttemptListByEndpointOptions(limit=2, iterator=page.iterator if page else None)
            page = await self.svix.message_attempt.list_by_endpoint("shop", name, options)
            rows += page.data
        return rows

    async def recovered(self, name: str) -> None:
        """Recover an endpoint, and wait until that is done."""
        task = await self.svix.endpoint.recover("shop", name, self.api.RecoverIn(since=SINCE))

        async def is_done() -> bool:
            return (await self.svix.background_task.get(task.id)).status == "finished"

        await self.until(is_done)

    async def until(self, look: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not await look():
                await asyncio.sleep(0.02)


@asynccontextmanager
async def shop_on(dsn: str, version: str) -> AsyncIterator[Shop]:
    receiver = Receiver()
    async with receiving(receiver) as port:
        settings: dict[str, Any] = {
            "roles": ("gateway", "relay", "delivery"),
            "webhooks__allow_private": (f"127.0.0.1:{port}",),
            "webhooks__allow_http": True,
            "webhooks__retry_waits_s": (0.1, 0.1),
        }
        async with sdk_on(dsn, version, **settings) as (svix, api, _):
            await svix.application.create(api.ApplicationIn(name="Shop", uid="shop"))
            await svix.event_type.create(api.EventTypeIn(name="order.paid", description="", schemas={"1": FIELDS}))
            yield Shop(svix, api, port, receiver)


@SDKS
async def test_a_season_of_a_shop_balances(dsn: str, version: str) -> None:
    async with shop_on(dsn, version) as shop:
        async with asyncio.TaskGroup() as group:
            for story in (_busy, _rotates, _breaks, _leaves, _asks_twice):
                group.create_task(story(shop, version))
        await _balances(shop)


async def _busy(shop: Shop, _: str) -> None:
    """A receiver that says when to come back is believed."""
    await shop.endpoint("busy", answer("429 Slow down", b"", "Retry-After: 2"))
    began = time.monotonic()
    await shop.send("busy")
    (first, body), (second, again) = await shop.posted("busy", 2)
    took_s = time.monotonic() - began
    await shop.stands("busy", success=1)

    assert took_s >= 2.0
    assert (first["webhook-id"], body) == (second["webhook-id"], again)
    assert int(second["webhook-timestamp"]) > int(first["webhook-timestamp"])
    assert Counter(each.response_status_code for each in await shop.attempts("busy")) == {429: 1, 200: 1}


async def _rotates(shop: Shop, version: str) -> None:
    """While a secret is rotated its receiver verifies with the old one and with the new one; without grace it does not."""
    await shop.endpoint("rotates")
    old = await shop.key("rotates")
    answered = await shop.svix.endpoint.rotate_secret("shop", "rotates", shop.api.EndpointSecretRotateIn())
    new = await shop.key("rotates")
    assert version != NEWEST or answered.key == new
    await shop.send("rotates")
    ((headers, body),) = await shop.posted("rotates", 1)
    own = "whsec_" + "c" * 43 + "="
    rotate = shop.api.EndpointSecretRotateIn(key=own, grace_period_seconds=0)
    await shop.svix.endpoint.rotate_secret("shop", "rotates", rotate)
    await shop.send("rotates")
    _, (late_headers, late) = await shop.posted("rotates", 2)

    for key in (old, new):
        assert Webhook(key).verify(body, headers) == {"total": 1}
    for key in (old, own):  # the oldest keeps the day that it was given
        assert Webhook(key).verify(late, late_headers) == {"total": 1}
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(late, late_headers)


async def _breaks(shop: Shop, _: str) -> None:
    """What a broken receiver missed is recovered: the same message under the same id, once."""
    await shop.endpoint("breaks", *DEAD)
    made = await shop.send("breaks", n=1)
    await shop.stands("breaks", fail=1)
    other = await shop.send("breaks", n=2)
    await shop.stands("breaks", fail=1, success=1)
    await shop.recovered("breaks")
    await shop.stands("breaks", success=2)

    posts = shop.posts("breaks")
    assert Counter(headers["webhook-id"] for headers, _ in posts) == {made.id: 4, other.id: 1}
    assert len({body for _, body in posts}) == 2


async def _leaves(shop: Shop, _: str) -> None:
    """A receiver that says 410 is posted to no more, until somebody enables its endpoint."""
    await shop.endpoint("leaves", answer("410 Gone"))
    gone = await shop.send("leaves")

    async def is_disabled() -> bool:
        return bool((await shop.svix.endpoint.get("shop", "leaves")).disabled)

    await shop.until(is_disabled)
    missed = await shop.send("leaves")
    await shop.stands("leaves", fail=1, canceled=1)
    assert len(shop.posts("leaves")) == 1
    await shop.svix.endpoint.patch("shop", "leaves", shop.api.EndpointPatch(disabled=False))
    await shop.recovered("leaves")
    await shop.stands("leaves", success=2)
    await shop.svix.message_attempt.resend("shop", missed.id, "leaves")
    posts = await shop.posted("leaves", 4)

    assert Counter(headers["webhook-id"] for headers, _ in posts) == {gone.id: 2, missed.id: 2}
    # Its attempt is on record a moment after the post.
    await shop.stands("leaves", success=2)


async def _asks_twice(shop: Shop, _: str) -> None:
    """A client that repeats its request at the same time sends one message, and is refused where it changes its mind."""
    await shop.endpoint("twice")
    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(shop.send("twice", "k1", n=1)) for _ in range(4)]
    refused = await the_error(shop.send("twice", "k1", n=2))
    unfit = await the_error(shop.send("twice", total="much"))
    await shop.stands("twice", success=1)

    assert len({each.result().id for each in asked}) == 1
    assert (refused.status_code, refused.code) == (409, "conflict")
    assert (unfit.status_code, unfit.detail[0].loc[:2]) == (422, ["body", "payload"])
    assert len(shop.posts("twice")) == 1


async def _balances(shop: Shop) -> None:
    """See that every post was signed for its receiver, and that attempts say of each what the receiver knows."""
    for name in ("busy", "breaks", "leaves", "twice"):
        key, posts = await shop.key(name), shop.posts(name)
        for headers, body in posts:
            assert Webhook(key).verify(body, headers) == shop.sent[headers["webhook-id"]] == json.loads(body)
        attempts = await _settled(shop, name, len(posts))
        # What a disabled endpoint was owed is on record too, without an answer.
        met = [each for each in attempts if each.response_status_code]
        assert Counter(each.msg_id for each in met) == Counter(headers["webhook-id"] for headers, _ in posts)
        assert {each.url for each in attempts} == {f"http://127.0.0.1:{shop.port}/{name}"}
    listed = await shop.svix.message.list("shop", shop.api.MessageListOptions(limit=250, with_content=True))
    assert {each.id: each.payload for each in listed.data} == shop.sent


async def _settled(shop: Shop, name: str, posts: int) -> list[Any]:
    """Give the attempts at an endpoint as soon as each post is among them."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            attempts = await shop.attempts(name)
            if sum(bool(each.response_status_code) for each in attempts) >= posts:
                return attempts
            await asyncio.sleep(0.05)
