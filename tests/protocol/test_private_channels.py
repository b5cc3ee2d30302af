"""Private channels and tokens, as the stock clients live with them."""

import asyncio

from rowcast.realtime.asking import Outside
from rowcast.realtime.authorize import Claims
from rowcast.realtime.channel_policy import Access, Extension, Fault
from rowcast.realtime.limits import RealtimeLimits
from tests.protocol.js_client import VERSIONS, js_client
from tests.protocol.python_client import PYTHONS, connected, room
from tests.protocol.socket_server import serving, token


class Guard:
    """A policy that lets roles in, and lets some of them speak."""

    def __init__(self, *, readers: set[str], writers: set[str]) -> None:
        self.readers = readers
        self.writers = writers
        self.asked: list[str] = []

    async def read(self, claims: Claims, topic: str, *, wants_presence: bool) -> Access | Fault:
        await asyncio.sleep(0.01)
        self.asked.append("read")
        return Access(reads_broadcast=claims.role in self.readers, reads_presence=claims.role in self.readers)

    async def write(self, claims: Claims, topic: str, *, extension: Extension) -> bool:
        await asyncio.sleep(0.01)
        self.asked.append(extension)
        return claims.role in self.writers


@VERSIONS
async def test_who_may_read_hears_and_who_may_not_is_refused_with_the_reason(vsn: str) -> None:
    guard = Guard(readers={"authenticated"}, writers={"authenticated"})
    async with (
        serving(outside=Outside(policies=[guard])) as server,
        js_client(server.url(), token(), vsn) as member,
        js_client(server.url(), token(role="anon"), vsn) as stranger,
    ):
        assert (await member.join("r", private=True, broadcast={"self": True}))["status"] == "SUBSCRIBED"
        refused = await stranger.join("r", private=True)
        for number in range(3):
            await member.say("send", name="r", event="e", payload={"n": number})
        heard = [(await member.message("r"))["payload"]["n"] for _ in range(3)]

        assert refused["status"] == "CHANNEL_ERROR"
        assert refused["error"].endswith("Unauthorized: You do not have permissions to read from this Channel topic: r")
        assert heard == [0, 1, 2]
        assert guard.asked.count("broadcast") == 1


@VERSIONS
async def test_who_may_only_read_gets_no_acknowledgement_and_is_heard_by_nobody(vsn: str) -> None:
    guard = Guard(readers={"authenticated", "anon"}, writers={"authenticated"})
    async with (
        serving(outside=Outside(policies=[guard])) as server,
        js_client(server.url(), token(), vsn) as member,
        js_client(server.url(), token(role="anon"), vsn) as reader,
    ):
        await member.join("r", private=True, broadcast={"self": True, "ack": True})
        await reader.join("r", private=True, broadcast={"ack": True})
        await reader.say("send", name="r", event="forged", payload={})
        await reader.say("heartbeat")
        await reader.fact(lambda fact: fact.get("heartbeat") == "ok")
        await member.say("send", name="r", event="real", payload={})

        assert (await member.message("r"))["event"] == "real"
        assert [fact for fact in reader.facts if "sent" in fact] == []


@VERSIONS
async def test_a_fresh_token_is_asked_about_and_may_cost_the_channel(vsn: str) -> None:
    guard = Guard(readers={"authenticated"}, writers=set())
    async with (
        serving(outside=Outside(policies=[guard])) as server,
        js_client(server.url(), token(), vsn) as client,
    ):
        await client.join("r", private=True)
        await client.say("authorize", token=token(expires_in_s=900))
        await client.say("authorize", token=token(role="anon"))
        lost = await client.fact(lambda fact: "system" in fact)
        closed = await client.fact(lambda fact: fact.get("status") == "CLOSED")

        assert lost["system"]["message"] == "You no longer have permission to read from this Channel topic: r"
        assert closed["name"] == "r"
        assert guard.asked == ["read"] * 3


@VERSIONS
async def test_a_token_about_to_run_out_is_warned_of_and_then_ends_the_channel(vsn: str) -> None:
    async with serving() as server, js_client(server.url(), token(expires_in_s=14), vsn) as client:
        await client.join("r")
        warned = await client.fact(lambda fact: "system" in fact)
        ended = await client.fact(lambda fact: "system" in fact and fact["system"]["status"] == "error", seconds=30)

        assert warned["system"]["status"] == "ok"
        assert warned["system"]["message"].startswith("Token expires in ")
        assert ended["system"]["message"].startswith("Token has expired ")
        assert (await client.fact(lambda fact: fact.get("status") == "CLOSED"))["name"] == "r"


@VERSIONS
async def test_sending_far_too_much_is_warned_of_and_the_channel_lives_on(vsn: str) -> None:
    limits = RealtimeLimits(events_per_s=0.5)
    async with serving(tenant_limits=limits) as server, js_client(server.url(), token(), vsn) as client:
        await client.join("r", broadcast={"ack": True})
        for number in range(7):
            await client.say("send", name="r", event="e", payload={"n": number})
        answers = [(await client.fact(lambda fact: "sent" in fact))["sent"] for _ in range(7)]
        warned = await client.fact(lambda fact: "system" in fact)

        assert answers == ["ok"] * 5 + ["error"] * 2
        assert warned["system"]["message"].startswith("Too many messages per second: ")
        assert server.hub.topics == 1


@PYTHONS
async def test_the_python_client_is_let_in_or_told_why_not(python: str) -> None:
    guard = Guard(readers={"authenticated"}, writers=set())
    async with (
        serving(outside=Outside(policies=[guard])) as server,
        connected(server.url(), token(), python) as member,
        connected(server.url(), token(role="anon"), python) as stranger,
    ):
        allowed, _ = await room(member, "r", private=True).join()
        refused, error = await room(stranger, "r", private=True).join()

    assert (allowed, refused) == ("SUBSCRIBED", "CHANNEL_ERROR")
    assert "Unauthorized: You do not have permissions to read from this Channel topic: r" in str(error)
