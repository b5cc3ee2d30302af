"""Presence as the stock clients know it: who is there, several tabs, brief absences, two nodes."""

import asyncio
from typing import Any

from rowcast.bus.memory import MemoryBus
from rowcast.realtime.hub import HubLimits
from rowcast.realtime.limits import RealtimeLimits
from rowcast.realtime.presence import PresenceTimes
from tests.protocol.js_client import VERSIONS, js_client
from tests.protocol.python_client import PYTHONS, connected, room
from tests.protocol.socket_server import serving, token

BRIEF = HubLimits(close_s=2.0, presence=PresenceTimes(grace_s=0.3))


@VERSIONS
async def test_two_clients_see_each_other_come_change_and_go(vsn: str) -> None:
    async with (
        serving() as server,
        js_client(server.url(), token(), vsn) as ann,
        js_client(server.url(), token(), vsn) as bob,
    ):
        assert (await ann.watch("r", presence={"key": "ann"}))["status"] == "SUBSCRIBED"
        await bob.watch("r", presence={"key": "bob"})
        await ann.say("track", name="r", payload={"mood": "fine"})
        came = await bob.presence("r", "join")
        await ann.say("track", name="r", payload={"mood": "tired"})
        changed = await bob.presence("r", "join")
        await ann.say("untrack", name="r")
        await bob.fact(lambda fact: fact.get("presence") == "leave" and not fact["current"])

        assert (await ann.fact(lambda fact: "tracked" in fact))["tracked"] == "ok"
        assert (came["key"], came["moved"][0]["mood"]) == ("ann", "fine")
        assert changed["moved"][0]["mood"] == "tired"
        assert changed["moved"][0]["presence_ref"] != came["moved"][0]["presence_ref"]


@VERSIONS
async def test_a_latecomer_is_shown_everybody_and_two_tabs_are_two(vsn: str) -> None:
    async with (
        serving() as server,
        js_client(server.url(), token(), vsn) as first,
        js_client(server.url(), token(), vsn) as second,
        js_client(server.url(), token(), vsn) as late,
    ):
        for number, tab in enumerate((first, second)):
            await tab.watch("r", presence={"key": "ann"})
            await tab.say("track", name="r", payload={"tab": number})
            await tab.fact(lambda fact: "tracked" in fact)
        await late.watch("r", presence={"key": "late"})
        seen = await late.fact(lambda fact: fact.get("presence") == "sync" and len(fact["state"].get("ann", [])) == 2)

        assert sorted(meta["tab"] for meta in seen["state"]["ann"]) == [0, 1]


@VERSIONS
async def test_a_client_whose_connection_breaks_for_a_moment_never_left(vsn: str) -> None:
    async with (
        serving() as server,
        js_client(server.url(), token(), vsn) as ann,
        js_client(server.url(), token(), vsn) as bob,
    ):
        await ann.watch("r", presence={"key": "ann"})
        await bob.watch("r", presence={"key": "bob"})
        await ann.say("track", name="r", payload={"n": 1})
        await bob.presence("r", "join")
        await ann.say("abort")
        await ann.fact(lambda fact: fact.get("status") == "SUBSCRIBED")
        await ann.say("track", name="r", payload={"n": 1})
        await ann.fact(lambda fact: "tracked" in fact)
        await ann.say("send", name="r", event="after", payload={})
        await bob.message("r")

        assert [fact for fact in bob.facts if fact.get("presence") == "leave"] == []


async def test_a_client_that_does_not_come_back_is_gone_after_the_grace_period() -> None:
    async with serving(hub_limits=BRIEF) as server, js_client(server.url(), token(), "2.0.0") as bob:
        await bob.watch("r", presence={"key": "bob"})
        async with js_client(server.url(), token(), "2.0.0") as ann:
            await ann.watch("r", presence={"key": "ann"})
            await ann.say("track", name="r", payload={})
            await bob.presence("r", "join")

        assert (await bob.presence("r", "leave"))["key"] == "ann"


@VERSIONS
async def test_clients_of_two_nodes_see_each_other(vsn: str) -> None:
    bus = MemoryBus()
    async with (
        serving(bus=bus) as near,
        serving(bus=bus) as far,
        js_client(near.url(), token(), vsn) as ann,
        js_client(far.url(), token(), vsn) as bob,
    ):
        await ann.watch("r", presence={"key": "ann"})
        await bob.watch("r", presence={"key": "bob"})
        await ann.say("track", name="r", payload={})
        assert (await bob.presence("r", "join"))["key"] == "ann"
        await ann.say("leave", name="r")
        assert (await bob.presence("r", "leave"))["key"] == "ann"


@VERSIONS
async def test_tracking_far_too_often_is_refused_and_the_channel_lives_on(vsn: str) -> None:
    limits = RealtimeLimits(presence_calls=2)
    async with serving(tenant_limits=limits) as server, js_client(server.url(), token(), vsn) as ann:
        await ann.watch("r", presence={"key": "ann"})
        for number in range(3):
            await ann.say("track", name="r", payload={"n": number})
        answers = [(await ann.fact(lambda fact: "tracked" in fact))["tracked"] for _ in range(3)]
        warned = await ann.fact(lambda fact: "system" in fact)

        assert answers == ["ok", "ok", "error"]
        assert warned["system"]["status"] == "ok"
        assert warned["system"]["message"].startswith("Client presence rate limit exceeded: ")


@PYTHONS
async def test_the_python_client_sees_who_comes_and_goes(python: str) -> None:
    told: asyncio.Queue[tuple[str, str, list[Any]]] = asyncio.Queue(100)
    async with (
        serving() as server,
        connected(server.url(), token(), python) as ann,
        connected(server.url(), token(), python) as bob,
    ):
        names = {"ann": ann, "bob": bob}
        rooms = {name: room(names[name], "r", presence={"key": name, "enabled": True}) for name in names}
        rooms["bob"].channel.on_presence_join(lambda key, current, new: told.put_nowait(("join", key, new)))
        rooms["bob"].channel.on_presence_leave(lambda key, current, left: told.put_nowait(("leave", key, left)))
        states = [(await one.join())[0] for one in rooms.values()]
        await rooms["ann"].channel.track({"mood": "fine"})
        async with asyncio.timeout(30):
            came = await told.get()
            await rooms["ann"].channel.untrack()
            left = await told.get()

    assert states == ["SUBSCRIBED"] * 2
    assert came[:2] == ("join", "ann")
    assert came[2][0]["mood"] == "fine"
    assert left[:2] == ("leave", "ann")
