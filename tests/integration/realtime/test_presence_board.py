"""Presences over real sockets, on one node and on several."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rowcast.bus.memory import MemoryBus
from rowcast.realtime.hub import HubLimits
from rowcast.realtime.messages import TopicKey
from rowcast.realtime.presence import PresenceTimes
from rowcast.realtime.presence_board import PRESENCE_SUBJECT, PresenceBoard
from rowcast.testing.fake_clock import FakeClock
from tests.protocol.raw_socket import RawSocket, raw_socket
from tests.protocol.socket_server import SocketServer, serving, token

ROOM = TopicKey("acme", True, "r")
BRIEF = HubLimits(close_s=2.0, presence=PresenceTimes(grace_s=0.2))


async def join(client: RawSocket, name: str, **config: Any) -> Any:
    """Join `r` and give the presence state."""
    reply = await client.join("r", presence={"key": name, "enabled": True}, **config)
    assert reply["status"] == "ok", reply
    shown = await client.hear()
    assert shown[3] == "presence_state"
    return shown[4]


async def track(client: RawSocket, payload: object, *, event: str = "track") -> Any:
    """Track and give the reply."""
    push = {"type": "presence", "event": event, "payload": payload}
    await client.say("1", "t", "realtime:r", "presence", push)
    return await next_of(client, "phx_reply")


async def next_of(client: RawSocket, event: str) -> Any:
    """Give the payload of the next message of an event."""
    while True:
        message = await client.hear()
        if message[3] == event:
            return message[4]


def names(diff: Any) -> tuple[list[str], list[str]]:
    return list(diff["joins"]), list(diff["leaves"])


@asynccontextmanager
async def pair(**wiring: Any) -> AsyncIterator[tuple[SocketServer, RawSocket, RawSocket]]:
    async with (
        serving(**wiring) as server,
        raw_socket(server.port, token()) as ann,
        raw_socket(server.port, token()) as bob,
    ):
        assert await join(ann, "ann") == {}
        await join(bob, "bob")
        yield server, ann, bob


async def test_everybody_hears_who_comes_the_tracker_too_and_latecomers_are_shown() -> None:
    async with pair() as (server, ann, bob):
        assert (await track(ann, {"status": "on"}))["status"] == "ok"
        heard = [await next_of(client, "presence_diff") for client in (ann, bob)]
        async with raw_socket(server.port, token()) as late:
            shown = await join(late, "late")

        assert heard[0] == heard[1]
        assert names(heard[0]) == (["ann"], [])
        assert heard[0]["joins"]["ann"]["metas"] == shown["ann"]["metas"]
        assert shown["ann"]["metas"][0]["status"] == "on"


async def test_a_leave_and_an_untrack_are_told_at_once() -> None:
    async with pair() as (_, ann, bob):
        for event in ("untrack", "phx_leave"):
            await track(ann, {})
            assert names(await next_of(bob, "presence_diff")) == (["ann"], [])
            if event == "untrack":
                await track(ann, {}, event="untrack")
            else:
                await ann.say("1", "9", "realtime:r", "phx_leave", {})
            assert names(await next_of(bob, "presence_diff")) == ([], ["ann"])


async def test_a_new_payload_is_one_diff_with_both() -> None:
    async with pair() as (_, ann, bob):
        await track(ann, {"n": 1})
        first = await next_of(bob, "presence_diff")
        await track(ann, {"n": 2})
        again = await next_of(bob, "presence_diff")

        assert names(again) == (["ann"], ["ann"])
        old = first["joins"]["ann"]["metas"][0]["phx_ref"]
        assert again["joins"]["ann"]["metas"][0]["phx_ref_prev"] == old
        assert again["leaves"]["ann"]["metas"][0]["phx_ref"] == old


async def test_a_client_whose_socket_is_lost_for_a_moment_is_not_told_to_have_gone() -> None:
    async with pair(hub_limits=HubLimits(close_s=2.0)) as (server, ann, bob):
        await track(ann, {})
        await next_of(bob, "presence_diff")
        ann.writer.transport.abort()
        await server.until(lambda hub: hub.connections == 1)
        async with raw_socket(server.port, token()) as back:
            shown = await join(back, "ann")
            await track(back, {})
            await track(back, {"back": True})
            diff = await next_of(bob, "presence_diff")

        assert list(shown) == ["ann"]
        assert diff["joins"]["ann"]["metas"][0]["back"] is True


async def test_a_client_that_does_not_come_back_is_told_to_have_gone() -> None:
    async with pair(hub_limits=BRIEF) as (_, ann, bob):
        await track(ann, {})
        await next_of(bob, "presence_diff")
        ann.writer.transport.abort()

        assert names(await next_of(bob, "presence_diff")) == ([], ["ann"])


async def test_two_tabs_of_one_name_are_two_metas() -> None:
    async with pair() as (server, ann, bob):
        await track(ann, {"tab": 1})
        await next_of(bob, "presence_diff")
        async with raw_socket(server.port, token()) as second:
            await join(second, "ann")
            await track(second, {"tab": 2})
            await next_of(bob, "presence_diff")
            shown = await join_again(bob)

        assert sorted(meta["tab"] for meta in shown["ann"]["metas"]) == [1, 2]


async def join_again(client: RawSocket) -> Any:
    await client.say("7", "7", "realtime:r", "phx_join", {"config": {"presence": {"enabled": True}}})
    return await next_of(client, "presence_state")


async def test_nodes_see_each_others_presences_and_a_new_node_all_that_were_before() -> None:
    bus = MemoryBus()
    async with serving(bus=bus) as near, raw_socket(near.port, token()) as ann:
        await join(ann, "ann")
        await track(ann, {})
        await next_of(ann, "presence_diff")
        async with serving(bus=bus) as far, raw_socket(far.port, token()) as bob:
            await until_seen(far, 1)
            shown = await join(bob, "bob")
            await track(bob, {})
            came = await next_of(ann, "presence_diff")

        assert list(shown) == ["ann"]
        assert names(came) == (["bob"], [])


async def until_seen(server: SocketServer, count: int) -> None:
    await server.until(lambda hub: sum(map(len, hub.presences.roster.seen.topics.values())) == count)


async def test_a_node_that_is_gone_takes_its_presences_with_it() -> None:
    bus = MemoryBus()
    times = HubLimits(close_s=2.0, presence=PresenceTimes(grace_s=0.1, silent_s=1.0))
    async with serving(bus=bus, hub_limits=times) as near, raw_socket(near.port, token()) as ann:
        await join(ann, "ann")
        async with serving(bus=bus, hub_limits=times) as far, raw_socket(far.port, token()) as bob:
            await join(bob, "bob")
            await track(bob, {})
            await next_of(ann, "presence_diff")

        assert names(await next_of(ann, "presence_diff")) == ([], ["bob"])


async def test_junk_on_the_bus_changes_nothing() -> None:
    async with pair() as (server, ann, _):
        await server.bus.publish(PRESENCE_SUBJECT, [b"junk", b""])
        await asyncio.sleep(0)
        await track(ann, {})

        assert names(await next_of(ann, "presence_diff")) == (["ann"], [])


def board() -> tuple[PresenceBoard, list[Any]]:
    shown: list[Any] = []
    made = PresenceBoard(
        "n", clock=FakeClock(), publish=lambda subject, message: True, show=lambda told: shown.append(told.payload)
    )
    return made, shown


async def test_who_comes_and_goes_in_a_moment_is_told_to_nobody_and_many_at_once_are_one_diff() -> None:
    made, shown = board()
    made.track(ROOM, 1, "brief", b"{}")
    made.untrack(ROOM, 1, is_at_once=True)
    for owner in range(2, 100):
        made.track(ROOM, owner, f"u{owner}", b"{}")
    await asyncio.sleep(0.2)

    (payload,) = shown
    assert len(json.loads(payload)["joins"]) == 98
    assert json.loads(payload)["leaves"] == {}


async def test_what_waits_to_be_told_is_told_before_a_state_is_shown() -> None:
    made, shown = board()
    made.track(ROOM, 1, "ann", b"{}")
    state = made.state(ROOM)
    made.untrack(ROOM, 1, is_at_once=True)
    await asyncio.sleep(0.2)

    assert list(json.loads(state)) == ["ann"]
    assert [names(json.loads(payload)) for payload in shown] == [(["ann"], []), ([], ["ann"])]


async def test_clients_that_join_again_on_their_socket_are_not_told_to_have_gone() -> None:
    async with pair(hub_limits=BRIEF) as (_, ann, bob):
        await track(ann, {"n": 1})
        await next_of(bob, "presence_diff")
        await ann.say("1", "1", "realtime:r", "phx_join", {"config": {"presence": {"key": "ann", "enabled": True}}})
        await next_of(ann, "presence_state")
        await track(ann, {"n": 1})
        await asyncio.sleep(2.5)
        await track(ann, {"n": 2})

        assert names(await next_of(bob, "presence_diff")) == (["ann"], ["ann"])
