"""Unmodified `svix` SDKs against a server: recovery in its three forms, the tasks that do it, and polling."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from rowcast.store.sql import parse_query
from tests.protocol.svix_client import SDKS, sdk_on, the_error

WITHIN_S = 30.0
URL = "https://hooks.example.com/"
SINCE = datetime.now(UTC) - timedelta(days=1)


async def emitted(server: Any, count: int, *, status: str = "", endpoint: str = "") -> list[str]:
    """Give the ids of new events of the tenant that are routed, and owed to an endpoint where one is named."""
    text = """
        with made as (select rowcast.emit('acme', 'Order.paid', json_build_object('n', n)::jsonb) as id from generate_series(1, :count::integer) n),
        routed as (insert into rowcast.event_state (event_id, status) select id, 'published' from made),
        owed as (insert into rowcast.delivery (tenant_id, event_id, sink, target, key, status, settled_at)
                 select 'acme', id, 'webhooks', :endpoint::text, :endpoint, :status::text, clock_timestamp() from made where :status <> '')
        select id from made"""
    rows = await server.app.database.fetch(parse_query("test", text), count=count, status=status, endpoint=endpoint)
    return [str(row["id"]) for row in rows]


async def ended(svix: Any, task: Any) -> Any:
    """Give a task when it has ended."""
    async with asyncio.timeout(WITHIN_S):
        while (found := await svix.background_task.get(task.id)).status == "running":
            await asyncio.sleep(0.05)
    return found


@SDKS
async def test_what_an_endpoint_missed_is_recovered_as_the_sdk_expects(dsn: str, version: str) -> None:
    async with sdk_on(dsn, version, roles=("gateway", "delivery")) as (svix, api, server):
        await svix.application.create(api.ApplicationIn(name="Acme", uid="acme"))
        endpoint = await svix.endpoint.create("acme", api.EndpointIn(url=URL, uid="shop", disabled=True))
        await emitted(server, 3, status="dead", endpoint=endpoint.id)
        await emitted(server, 2, status="delivered", endpoint=endpoint.id)
        await emitted(server, 4)

        begun = await svix.endpoint.recover("acme", "shop", api.RecoverIn(since=SINCE))
        recovered = await ended(svix, begun)
        missing = await ended(svix, await svix.endpoint.replay_missing("acme", "shop", api.ReplayIn(since=SINCE)))
        chosen = api.BulkReplayIn(since=SINCE, status=api.MessageStatus.SUCCESS, event_types=["Order.paid"])
        bulk = await ended(svix, await svix.endpoint.bulk_replay("acme", "shop", chosen))
        listed = await svix.background_task.list(api.BackgroundTaskListOptions(limit=2))
        rest = await svix.background_task.list(api.BackgroundTaskListOptions(limit=2, iterator=listed.iterator))
        found = await svix.background_task.list(
            api.BackgroundTaskListOptions(
                task=api.BackgroundTaskType.ENDPOINT_RECOVER, status=api.BackgroundTaskStatus.FINISHED
            )
        )
        wrong = api.RecoverIn(since=SINCE, until=SINCE - timedelta(days=1))
        refused = await the_error(svix.endpoint.recover("acme", "shop", wrong))
        gone = await the_error(svix.background_task.get("qtask_1"))

    assert (begun.id[:6], begun.status, begun.task) == ("qtask_", "running", "endpoint.recover")
    assert begun.updated_at.tzinfo is not None
    assert (recovered.id, recovered.status, recovered.task) == (begun.id, "finished", "endpoint.recover")
    assert (recovered.data["endpointId"], recovered.data["replayed"]) == (endpoint.id, 3)
    assert recovered.updated_at >= begun.updated_at
    assert (missing.task, missing.status, missing.data["replayed"]) == ("endpoint.replay", "finished", 4)
    assert (bulk.task, bulk.status, bulk.data["replayed"]) == ("endpoint.bulk-replay", "finished", 2)
    assert [each.id for page in (listed, rest) for each in page.data] == [bulk.id, missing.id, begun.id]
    assert (listed.done, rest.done, listed.iterator, listed.prev_iterator) == (False, True, missing.id, f"-{bulk.id}")
    assert found.data == [recovered]
    assert (refused.status_code, refused.detail[0].loc) == (422, ["body", "until"])
    assert gone.status_code == 404


@SDKS
async def test_messages_are_polled_as_the_sdk_expects(dsn: str, version: str) -> None:
    async with polled_shop(dsn, version) as (poller, api, first):
        page = await poller.poll("acme", "shop", api.MessagePollerPollOptions(limit=3))
        rest = await poller.poll("acme", "shop", api.MessagePollerPollOptions(iterator=page.iterator))
        eu = api.MessagePollerPollOptions(channel="eu", event_type="Order.paid", after=SINCE)
        narrowed = await poller.poll("acme", "shop", eu)
        late = api.MessagePollerPollOptions(after=datetime.now(UTC) + timedelta(hours=1))
        nothing = await poller.poll("acme", "shop", late)
        junk = await the_error(poller.poll("acme", "shop", api.MessagePollerPollOptions(iterator="junk")))

    assert [each.payload["n"] for each in (*page.data, *rest.data)] == [0, 1, 2, 3, 4]
    assert (page.done, rest.done, nothing.data, nothing.done) == (False, True, [], True)
    message = page.data[0]
    assert (message.id, message.event_type, message.payload) == (first.id, "Order.paid", {"n": 0})
    assert (message.event_id, message.channels, message.tags) == ("o1", ["eu"], ["t1"])
    assert (message.timestamp, message.deliver_at) == (first.timestamp, None)
    assert (page.data[1].event_id, page.data[1].channels) == (None, None)
    assert [each.id for each in narrowed.data] == [first.id]
    assert (junk.status_code, junk.detail[0].loc) == (422, ["query", "iterator"])


@SDKS
async def test_a_consumer_polls_as_the_sdk_expects(dsn: str, version: str) -> None:
    async with polled_shop(dsn, version) as (poller, api, first):
        options = api.MessagePollerConsumerPollOptions
        one = await poller.consumer_poll("acme", "shop", "me", options(limit=2))
        two = await poller.consumer_poll("acme", "shop", "me", options(limit=2, iterator=one.iterator))
        again = await poller.consumer_poll("acme", "shop", "me", options(limit=2))
        drifted = await the_error(poller.consumer_poll("acme", "shop", "me", options(iterator="at_1")))
        sought = await poller.consumer_seek("acme", "shop", "me", api.PollingEndpointConsumerSeekIn(after=SINCE))
        back = await poller.consumer_poll("acme", "shop", "me", options(limit=2, iterator=sought.iterator))

    assert [each.payload["n"] for each in (*one.data, *two.data)] == [0, 1, 2, 3]
    assert one.data[0].id == first.id
    assert again.data == two.data
    assert back.data == one.data
    assert (drifted.status_code, drifted.code) == (409, "conflict")


@asynccontextmanager
async def polled_shop(dsn: str, version: str) -> AsyncIterator[tuple[Any, Any, Any]]:
    """Give what polls an endpoint, the models, and the first of its five messages."""
    async with sdk_on(dsn, version) as (svix, api, server):
        await svix.application.create(api.ApplicationIn(name="Acme", uid="acme"))
        await svix.endpoint.create("acme", api.EndpointIn(url=URL, uid="shop", disabled=True))
        said = {"event_type": "Order.paid", "payload": {"n": 0}, "event_id": "o1", "channels": ["eu"], "tags": ["t1"]}
        first = await svix.message.create("acme", api.MessageIn(**said))
        await emitted(server, 4)
        yield svix.message.poller, api, first
