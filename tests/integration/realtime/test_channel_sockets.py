"""Channels over real sockets: what was missed, what has arrived, changed rows, and answers that come late."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from rowcast.realtime.asking import AskLimits, Outside
from rowcast.realtime.authorize import Claims
from rowcast.realtime.change_source import Binding, ChangeReceiver
from rowcast.realtime.channel_log import Missed
from rowcast.realtime.channel_policy import Access, Extension
from rowcast.realtime.messages import Broadcast, TopicKey, pack_broadcast
from tests.protocol.raw_socket import RawSocket, frame, raw_socket
from tests.protocol.socket_server import SocketServer, serving, token

PONG, PING = 10, 9
RECOVERS = {"broadcast": {"recover": {"session": "s"}}}


def told(name: str, *, topic: str = "r") -> Broadcast:
    return Broadcast("acme", True, topic, "e", b"{}", json.dumps({"id": name}).encode())


class Log:
    """Knows what it is told to know, and waits for `may_answer`."""

    def __init__(self, missed: Missed | None = None) -> None:
        self.missed = missed
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.seen: list[tuple[str, str]] = []

    async def recover(self, key: TopicKey, session: str) -> Missed | None:
        await self.may_answer.wait()
        return self.missed

    async def replay(self, key: TopicKey, *, since: datetime, limit: int) -> tuple[Broadcast, ...]:
        return (told("old"),)

    def sent(self, key: TopicKey, session: str, broadcast_id: str) -> None:
        self.seen.append(("sent", broadcast_id))

    def acknowledged(self, key: TopicKey, session: str, broadcast_id: str) -> None:
        self.seen.append(("acknowledged", broadcast_id))


async def publish(server: SocketServer, *broadcasts: Broadcast) -> None:
    await server.bus.publish("realtime", [pack_broadcast(found) for found in broadcasts])


async def next_of(client: RawSocket, opcode: int) -> bytes:
    """Give the payload of the next frame of a kind."""
    while True:
        found, payload = await client.read_frame()
        if found == opcode:
            return payload


async def test_what_is_told_while_the_log_is_asked_comes_after_what_was_missed() -> None:
    log = Log(Missed((told("1"), told("2")), is_whole=True))
    log.may_answer.clear()
    async with serving(outside=Outside(log=log)) as server, raw_socket(server.port, token()) as client:
        await client.say("1", "1", "realtime:r", "phx_join", {"config": {"private": True, **RECOVERS}})
        await server.until(lambda hub: hub.topics == 1)
        await publish(server, told("2"), told("3"))
        await client.heartbeat()
        log.may_answer.set()
        reply = await client.hear()
        replayed = [await client.hear(), await client.hear()]
        live = await next_of(client, 2)

        assert reply[4]["response"]["recovery"] == {"session": "s", "status": "recovered", "replayed": 2}
        assert [message[4]["meta"]["id"] for message in replayed] == ["1", "2"]
        assert b'"3"' in live


async def test_pongs_tell_the_log_what_has_arrived() -> None:
    log = Log()
    async with serving(outside=Outside(log=log)) as server, raw_socket(server.port, token()) as client:
        await client.join("r", private=True, **RECOVERS)
        await publish(server, *(told(str(number)) for number in range(5)))
        ping = await next_of(client, PING)
        before = list(log.seen)
        await client.write(frame(PONG, b"not ours"))
        await client.write(frame(PONG, ping))
        await client.heartbeat()

        assert before == [("sent", str(number)) for number in range(5)]
        assert log.seen[5:] == [("acknowledged", "4")]


async def test_a_single_message_is_asked_about_within_a_second_or_two() -> None:
    log = Log()
    async with serving(outside=Outside(log=log)) as server, raw_socket(server.port, token()) as client:
        await client.join("r", private=True, **RECOVERS)
        await publish(server, told("1"))
        await client.write(frame(PONG, await next_of(client, PING)))
        await client.heartbeat()

        assert log.seen == [("sent", "1"), ("acknowledged", "1")]


async def test_a_replay_comes_after_the_reply_and_before_what_is_live() -> None:
    replay = {"broadcast": {"replay": {"since": 0, "limit": 3}}}
    async with serving(outside=Outside(log=Log())) as server, raw_socket(server.port, token()) as client:
        reply = await client.join("r", private=True, **replay)
        replayed = await client.hear()

        assert reply["status"] == "ok"
        assert replayed[0] == "1"
        assert replayed[4]["meta"]["id"] == "old"


class Source:
    """Is live when `may_be_live` says so; keeps its receivers."""

    def __init__(self) -> None:
        self.receivers: list[ChangeReceiver] = []
        self.left: list[ChangeReceiver] = []
        self.bindings: list[Binding] = []
        self.may_be_live = asyncio.Event()

    async def subscribe(self, receiver: ChangeReceiver, bindings: Sequence[Binding], claims: Claims) -> None:
        self.receivers.append(receiver)
        self.bindings += bindings
        await self.may_be_live.wait()
        receiver.hear_changes_system("ok", "Subscribed to PostgreSQL")

    def unsubscribe(self, receiver: ChangeReceiver) -> None:
        self.left.append(receiver)


CHANGES = {"postgres_changes": [{"event": "*", "schema": "public", "table": "x", "filter": "id=eq.1"}]}


@asynccontextmanager
async def followed(source: Source, *, follow_s: float = 5.0) -> AsyncIterator[tuple[SocketServer, RawSocket]]:
    outside = Outside(changes=source, limits=AskLimits(follow_s=follow_s))
    async with serving(outside=outside) as server, raw_socket(server.port, token()) as client:
        await client.say("1", "1", "realtime:r", "phx_join", {"config": CHANGES})
        yield server, client


async def until(holds: Any) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.005)


async def test_a_join_that_named_how_long_it_waits_for_changes_is_refused_then() -> None:
    source = Source()
    async with serving(outside=Outside(changes=source)) as server, raw_socket(server.port, token()) as client:
        reply = await client.join("r", **CHANGES, postgres_changes_options={"wait": True, "timeout": 1})
        source.may_be_live.set()
        await until(lambda: len(source.left) == 2)
        await client.heartbeat()

    assert reply["response"]["reason"] == (
        "PostgresChangesSubscribeTimeout: Timed out after 1ms waiting for the postgres_changes subscription"
    )


async def test_the_join_is_answered_when_changes_are_live_and_changes_follow() -> None:
    source = Source()
    async with followed(source) as (_, client):
        await client.heartbeat()
        source.may_be_live.set()
        reply, live = await client.hear(), await client.hear()
        (binding,) = source.bindings
        source.receivers[0].hear_change((binding.id,), b'{"type":"INSERT"}')
        change = await client.hear()

        assert reply[3] == "phx_reply"
        assert reply[4]["response"]["postgres_changes"][0]["id"] == binding.id
        assert live[3:] == [
            "system",
            {
                "extension": "postgres_changes",
                "status": "ok",
                "message": "Subscribed to PostgreSQL",
                "channel": "r",
            },
        ]
        assert change == [
            None,
            None,
            "realtime:r",
            "postgres_changes",
            {"ids": [binding.id], "data": {"type": "INSERT"}},
        ]


async def test_a_join_waits_so_long_and_no_longer_for_changes() -> None:
    source = Source()
    async with followed(source, follow_s=0.05) as (_, client):
        reply = await client.hear()
        source.may_be_live.set()
        live = await client.hear()

        assert (reply[3], live[3]) == ("phx_reply", "system")


async def test_leaving_ends_the_changes_even_while_they_are_not_live_yet() -> None:
    source = Source()
    async with followed(source) as (_, client):
        await until(lambda: source.receivers)
        await client.say("1", "2", "realtime:r", "phx_leave", {})
        await client.hear()
        source.may_be_live.set()
        await until(lambda: len(source.left) == 2)

        assert set(source.left) == set(source.receivers)


async def test_tokens_renewed_all_the_time_ask_for_changes_one_at_a_time_and_the_last_one_counts() -> None:
    source = Source()
    async with followed(source, follow_s=0.05) as (_, client):
        await client.hear()
        for seconds in range(700, 720):
            fresh = {"access_token": token(expires_in_s=seconds)}
            await client.say("1", None, "realtime:r", "access_token", fresh)
        await client.heartbeat()
        assert len(source.receivers) == 1
        source.may_be_live.set()
        await until(lambda: len(source.receivers) == 2)
        await client.hear()
        await client.hear()
        await client.heartbeat()

        assert len(set(source.receivers)) == 1


async def test_a_lost_socket_ends_the_changes() -> None:
    source = Source()
    source.may_be_live.set()
    async with followed(source) as (server, client):
        await client.hear()
        client.writer.transport.abort()
        await server.until(lambda hub: hub.connections == 0)

        assert source.left == source.receivers


class Slow:
    """A policy that answers when it may."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()

    async def read(self, claims: Claims, topic: str, *, wants_presence: bool) -> Access:
        await self.may_answer.wait()
        return Access(reads_broadcast=True)

    async def write(self, claims: Claims, topic: str, *, extension: Extension) -> bool:
        await self.may_answer.wait()
        return True


async def test_what_is_said_before_the_join_is_answered_is_done_after_it_in_order() -> None:
    policy = Slow()
    config = {"private": True, "broadcast": {"ack": True, "self": True}}
    async with serving(outside=Outside(policies=[policy])) as server, raw_socket(server.port, token()) as client:
        await client.say("1", "1", "realtime:r", "phx_join", {"config": config})
        for ref in ("2", "3"):
            await client.say("1", ref, "realtime:r", "broadcast", {"event": "e", "type": "broadcast", "n": ref})
        await client.heartbeat()
        policy.may_answer.set()
        heard = [await client.hear() for _ in range(5)]

        assert [message[1] for message in heard if message[3] == "phx_reply"] == ["1", "2", "3"]
        assert [message[4]["n"] for message in heard if message[3] == "broadcast"] == ["2", "3"]


async def test_an_answer_that_comes_after_the_leave_changes_nothing() -> None:
    policy = Slow()
    async with serving(outside=Outside(policies=[policy])) as server, raw_socket(server.port, token()) as client:
        await client.say("1", "1", "realtime:r", "phx_join", {"config": {"private": True}})
        await client.say("1", "2", "realtime:r", "phx_leave", {})
        left, closed = await client.hear(), await client.hear()
        policy.may_answer.set()
        await client.heartbeat()

        assert (left[3], closed[3]) == ("phx_reply", "phx_close")
        assert server.hub.topics == 0
