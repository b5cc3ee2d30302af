"""Unmodified `svix` SDKs against a server that delivers: attempts, where messages stand, and sending again."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.integration.egress.receivers import answer, receiving
from tests.integration.webhooks.engine import WITHIN_S, Receiver
from tests.protocol.svix_client import SDKS, sdk_on, the_error


class World:
    """An application with three endpoints, of which one always fails, and one hears `eu` only."""

    def __init__(self, svix: Any, api: Any, receiver: Receiver) -> None:
        self.svix, self.api, self.receiver = svix, api, receiver
        self.attempts, self.of_message = svix.message_attempt, api.MessageAttemptListByMsgOptions

    async def send(self, **fields: Any) -> Any:
        body = self.api.MessageIn(event_type="invoice.paid", payload={"total": 5}, **fields)
        return await self.svix.message.create("acme", body)

    async def tried(self, message: Any, count: int) -> list[Any]:
        """Give the attempts at a message as soon as there are so many, oldest first."""
        async with asyncio.timeout(WITHIN_S):
            while True:
                page = await self.attempts.list_by_msg("acme", message.id, self.of_message(with_content=True))
                if len(page.data) >= count:
                    return sorted(page.data, key=lambda each: (each.timestamp, each.id))
                await asyncio.sleep(0.05)


@asynccontextmanager
async def world_on(dsn: str, version: str) -> AsyncIterator[World]:
    """Give a world that a client of this version has made."""
    receiver = Receiver()
    receiver.answers = {"/good": [answer(body=b"thanks")], "/bad": [answer("404 Gone away", b"no such thing")]}
    async with receiving(receiver) as port:
        settings: dict[str, Any] = {
            "roles": ("gateway", "relay", "delivery"),
            "webhooks__allow_private": (f"127.0.0.1:{port}",),
            "webhooks__allow_http": True,
        }
        async with sdk_on(dsn, version, **settings) as (svix, api, _):
            await svix.application.create(api.ApplicationIn(name="Acme", uid="acme"))
            for uid, path, channels in (("good", "good", None), ("bad", "bad", None), ("eu", "good", ["eu"])):
                made = api.EndpointIn(url=f"http://127.0.0.1:{port}/{path}", uid=uid, channels=channels)
                await svix.endpoint.create("acme", made)
            yield World(svix, api, receiver)


@SDKS
async def test_attempts_show_what_became_of_messages(dsn: str, version: str) -> None:
    async with world_on(dsn, version) as world:
        attempts = world.attempts
        message, loud = await world.send(event_id="first"), await world.send(channels=["eu"], tags=["vip"])
        tried = {each.response_status_code: each for each in await world.tried(message, 2)}
        heard = await world.tried(loud, 3)
        good, bad = tried[200], tried[404]
        one = await attempts.get("acme", "first", bad.id)
        await attempts.expunge_content("acme", "first", bad.id)
        emptied = await attempts.get("acme", message.id, bad.id)
        missing = await the_error(attempts.get("acme", loud.id, good.id))
        await _lists_are_narrowed(world, message, loud)

    bodies = [body for _, headers, body in world.receiver.requests if headers["webhook-id"] == message.id]
    assert [json.loads(body) for body in bodies] == [{"total": 5}] * 2
    assert (good.id[:6], good.msg_id, good.endpoint_id[:3], good.url.rpartition("/")[2]) == (
        "atmpt_", message.id, "ep_", "good",
    )  # fmt: skip
    assert (good.status, good.status_text.value, good.trigger_type, good.response) == (0, "success", 0, "thanks")
    assert (bad.status, bad.status_text.value, bad.response) == (2, "fail", "no such thing")
    assert good.response_duration_ms >= 0
    assert good.timestamp >= message.timestamp
    assert (one.id, one.response) == (bad.id, "no such thing")
    assert (emptied.response, emptied.response_status_code, emptied.url) == ("", 404, bad.url)
    assert sorted(each.response_status_code for each in heard) == [200, 200, 404]
    assert missing.status_code == 404


async def _lists_are_narrowed(world: World, message: Any, loud: Any) -> None:
    api = world.api

    async def at(**asked: Any) -> list[Any]:
        options = api.MessageAttemptListByEndpointOptions(**asked)
        return list((await world.attempts.list_by_endpoint("acme", "good", options)).data)

    listed = await at(with_msg=True, with_content=True)
    two = [each.id for each in listed]
    assert [(each.msg_id, each.msg.payload) for each in listed] == [(loud.id, {"total": 5}), (message.id, {"total": 5})]
    assert [(each.response, each.msg) for each in await at(with_content=False)] == [("", None)] * 2
    for asked, expected in (
        ({"channel": "eu"}, two[:1]), ({"tag": "vip"}, two[:1]), ({"event_types": ["invoice.paid", "none"]}, two),
        ({"event_types": ["none"]}, []), ({"status": api.MessageStatus.SUCCESS}, two),
        ({"status": api.MessageStatus.FAIL}, []), ({"status_code_class": api.StatusCodeClass.CODE2XX}, two),
        ({"status_code_class": api.StatusCodeClass.CODE5XX}, []), ({"before": message.timestamp}, []),
        ({"limit": 1}, two[:1]), ({"limit": 1, "iterator": two[0]}, two[1:]),
    ):  # fmt: skip
        assert [each.id for each in await at(**asked)] == expected, asked


@SDKS
async def test_messages_are_sent_again_and_stand_where_they_stand(dsn: str, version: str) -> None:
    async with world_on(dsn, version) as world:
        api, attempts = world.api, world.attempts
        message = await world.send(event_id="first")
        await world.tried(message, 2)
        of_endpoint = api.MessageAttemptListAttemptedMessagesOptions
        await attempts.resend("acme", "first", "good")
        again = await world.tried(message, 3)
        # It is no message of this endpoint's channel, and never was owed to it.
        await attempts.resend("acme", message.id, "eu")
        every = await world.tried(message, 4)
        destinations = await attempts.list_attempted_destinations("acme", "first")
        paged = await attempts.list_attempted_destinations(
            "acme", "first", api.MessageAttemptListAttemptedDestinationsOptions(limit=1)
        )
        received = (await attempts.list_attempted_messages("acme", "good", of_endpoint(with_content=True))).data
        pending = (
            await attempts.list_attempted_messages("acme", "bad", of_endpoint(status=api.MessageStatus.PENDING))
        ).data
        await world.svix.message.expunge_content("acme", message.id)
        gone = await the_error(attempts.resend("acme", message.id, "good"))

    ids = [each[1]["webhook-id"] for each in world.receiver.requests]
    assert ids == [message.id] * 4
    assert [each.trigger_type for each in every] == [0, 0, 1, 1]
    assert again[2].id == every[2].id
    stands = {each.uid: (int(each.status), each.status_text.value) for each in destinations.data}
    assert stands == {"good": (0, "success"), "bad": (1, "pending"), "eu": (0, "success")}
    (bad,) = (each for each in destinations.data if each.uid == "bad")
    assert bad.next_attempt > every[0].timestamp
    assert (bad.url.rpartition("/")[2], bad.description, bad.disabled) == ("bad", "", False)
    assert [each.id for each in destinations.data] == sorted(each.id for each in destinations.data)
    assert (paged.done, [each.id for each in paged.data]) == (False, [destinations.data[0].id])
    assert [(each.id, each.event_id, int(each.status), each.payload) for each in received] == [
        (message.id, "first", 0, {"total": 5}),
    ]  # fmt: skip
    assert [(each.id, each.status_text.value, each.next_attempt) for each in pending] == [
        (message.id, "pending", bad.next_attempt),
    ]  # fmt: skip
    assert gone.status_code == 409
