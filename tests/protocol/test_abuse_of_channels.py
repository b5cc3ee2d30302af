"""Clients that break the rules of channels: each gets a defined answer, others notice nothing, nothing grows."""

import asyncio
import json
from datetime import datetime
from typing import Any

import pytest

from rowcast.realtime.asking import AskLimits, Outside
from rowcast.realtime.authorize import Claims
from rowcast.realtime.channel_log import Missed
from rowcast.realtime.channel_policy import Access, Extension
from rowcast.realtime.limits import RealtimeLimits
from rowcast.realtime.messages import Broadcast, TopicKey
from tests.protocol.raw_socket import RawSocket, frame, raw_connection, raw_socket
from tests.protocol.socket_server import serving, token

TEXT = 1
PUSH = {"type": "broadcast", "event": "e", "payload": {}}


class Log:
    """A log that has nothing."""

    async def recover(self, key: TopicKey, session: str) -> Missed | None:
        return None

    async def replay(self, key: TopicKey, *, since: datetime, limit: int) -> tuple[Broadcast, ...]:
        return ()

    def sent(self, key: TopicKey, session: str, broadcast_id: str) -> None: ...

    def acknowledged(self, key: TopicKey, session: str, broadcast_id: str) -> None: ...


@pytest.mark.parametrize(
    "replay",
    [
        {"since": -1},
        {"since": "yesterday"},
        {"since": 10**30},
        {"since": True},
        {"since": 0, "limit": 10**9},
        {"since": 0, "limit": 0},
        {"since": 0, "limit": -5},
        {"since": 0, "limit": "25"},
        {"limit": 5},
        [1],
        "all",
    ],
)
async def test_a_replay_that_makes_no_sense_refuses_the_join_with_the_exact_reason(replay: object) -> None:
    async with serving(outside=Outside(log=Log())) as server, raw_socket(server.port, token()) as client:
        answer = await client.join("r", private=True, broadcast={"replay": replay})

        assert answer["response"] == {"reason": "UnableToReplayMessages: Replay params are not valid"}
        assert server.hub.topics == 0


async def test_a_replay_on_a_public_channel_or_without_a_log_is_refused() -> None:
    replay = {"replay": {"since": 0}}
    async with serving(outside=Outside(log=Log())) as server, raw_socket(server.port, token()) as client:
        public = await client.join("r", broadcast=replay)
        future = await client.join("r", private=True, broadcast={"replay": {"since": 9 * 10**12}})
    async with serving() as server, raw_socket(server.port, token()) as client:
        without = await client.join("r", private=True, broadcast=replay)

    assert public["response"]["reason"] == "UnableToReplayMessages: Replay is not allowed for public channels"
    assert without["response"]["reason"] == "UnableToReplayMessages: Realtime was unable to replay messages"
    assert future["status"] == "ok"


@pytest.mark.parametrize("ref", ["null", "7", '""', '"\\u0000"', '"__proto__"', "-1"])
async def test_an_odd_ref_is_echoed_as_it_came(ref: str) -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(frame(TEXT, f'[{ref},{ref},"realtime:r","phx_join",{{}}]'.encode()))
        answer = await client.hear()

        assert answer[0] == answer[1] == json.loads(ref)
        assert answer[4]["status"] == "ok"


@pytest.mark.parametrize("payload", ["1e400", "[1e400]", '{"config":{"presence":{"key":1e400}}}'])
async def test_a_number_beyond_all_numbers_is_no_reason_to_fall_over(payload: str) -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(frame(TEXT, f'["1","1","realtime:r","phx_join",{payload}]'.encode()))
        answer = await client.hear()

        assert answer[4]["status"] == "ok"


async def test_a_key_that_stands_twice_and_the_names_of_prototypes_are_only_words() -> None:
    text = '{"config":{"private":true,"private":false,"__proto__":{"private":true},"constructor":{}}}'
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(frame(TEXT, f'["1","1","realtime:__proto__","phx_join",{text}]'.encode()))

        assert (await client.hear())[4]["status"] == "ok"
        assert server.hub.topics == 1


@pytest.mark.parametrize(
    "topic", ["realtime:" + "x" * 100_000, "realtime:\u202eabc", "REALTIME:r", "realtime", "\u0440ealtime:r"]
)
async def test_a_topic_of_any_size_or_script_has_a_defined_answer(topic: str) -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.say("1", "1", topic, "phx_join", {"config": {}})
        answer = await client.hear()

        assert answer[3] == "phx_reply"
        assert answer[4]["status"] in ("ok", "error")
        await client.heartbeat()


async def test_the_join_ref_of_another_topic_opens_nothing_there() -> None:
    async with serving() as server, raw_socket(server.port, token()) as liar, raw_socket(server.port, token()) as other:
        await liar.join("a", ref="1")
        await other.join("b", ref="1")
        await liar.say("1", "2", "realtime:b", "broadcast", PUSH)

        assert (await liar.hear())[4]["response"] == {"reason": "unmatched topic"}
        await other.heartbeat()


async def test_another_users_token_does_not_move_a_channel_to_another_tenant() -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.join("r", private=True)
        stolen = {"access_token": token(tenant_id="globex")}
        await client.say("1", "2", "realtime:r", "access_token", stolen)
        system, closed = await client.hear(), await client.hear()

        assert system[4]["message"] == "You no longer have permission to read from this Channel topic: r"
        assert closed[3] == "phx_close"
        assert server.hub.topics == 0


async def test_a_thousand_joins_at_once_are_answered_each_and_others_are_served_meanwhile() -> None:
    async with (
        serving() as server,
        raw_socket(server.port, token()) as storm,
        raw_socket(server.port, token()) as other,
    ):
        joins = [["1", str(number), f"realtime:{number}", "phx_join", {"config": {}}] for number in range(1000)]
        await storm.write(b"".join(frame(TEXT, json.dumps(join).encode()) for join in joins))
        await other.heartbeat()
        answers = [await storm.hear() for _ in range(1000)]

        assert [answer[4]["status"] for answer in answers] == ["ok"] * 100 + ["error"] * 900
        assert server.hub.topics == 100


async def test_a_storm_of_joins_over_the_limit_ends_the_socket_that_makes_it_and_no_other() -> None:
    limits = RealtimeLimits(joins_per_s=0.5)
    async with (
        serving(tenant_limits=limits) as server,
        raw_socket(server.port, token()) as other,
        raw_socket(server.port, token()) as storm,
    ):
        await other.join("r")
        joins = [["1", str(number), f"realtime:{number}", "phx_join", {"config": {}}] for number in range(60)]
        await storm.write(b"".join(frame(TEXT, json.dumps(join).encode()) for join in joins))

        assert await storm.close_code() == 1001
        await other.heartbeat()
        assert server.hub.topics == 1


class Never:
    """A policy that never answers."""

    async def read(self, claims: Claims, topic: str, *, wants_presence: bool) -> Access:
        await asyncio.sleep(60)
        return Access()

    async def write(self, claims: Claims, topic: str, *, extension: Extension) -> bool:
        await asyncio.sleep(60)
        return False


async def test_a_policy_that_never_answers_refuses_the_join_and_keeps_no_message() -> None:
    outside = Outside(policies=[Never()], limits=AskLimits(timeout_s=0.2))
    async with serving(outside=outside) as server, raw_socket(server.port, token()) as client:
        await client.say("1", "1", "realtime:r", "phx_join", {"config": {"private": True}})
        for number in range(100):
            await client.say("1", f"p{number}", "realtime:r", "broadcast", PUSH)
        refused = [await client.hear() for _ in range(36)]
        answer = await client.hear()

        assert {message[4]["response"]["reason"] for message in refused} == {"Too many messages per second"}
        assert answer[1] == "1"
        assert answer[4]["response"] == {"reason": "Realtime was unable to connect to the project database"}
        assert server.hub.topics == 0


async def test_more_joins_than_may_wait_for_a_policy_are_refused_at_once() -> None:
    outside = Outside(policies=[Never()], limits=AskLimits(waiting=5))
    async with serving(outside=outside) as server, raw_socket(server.port, token()) as client:
        for number in range(6):
            await client.say("1", str(number), f"realtime:{number}", "phx_join", {"config": {"private": True}})
        answer = await client.hear()

        assert answer[1] == "5"
        assert answer[4]["response"]["reason"].startswith("DatabaseConnectionRateLimitReached: ")


@pytest.mark.parametrize(
    "payload",
    [
        {},
        [],
        None,
        "track",
        {"event": "track"},
        {"event": "track", "payload": None},
        {"event": "track", "payload": [1]},
        {"event": ["track"], "payload": {}},
        {"event": "drop table"},
        {"event": "track", "payload": {"phx_ref": "forged", "phx_ref_prev": "forged"}},
    ],
)
async def test_an_odd_presence_is_answered_and_never_forged(payload: object) -> None:
    async with (
        serving() as server,
        raw_socket(server.port, token()) as client,
        raw_socket(server.port, token()) as other,
    ):
        await client.join("r")
        await other.join("r")
        await client.say("1", "2", "realtime:r", "presence", payload)
        heard = [await client.hear()]
        await client.say(None, "beat", "phoenix", "heartbeat", {})
        while heard[-1][1] != "beat":
            heard.append(await client.hear())

        assert [message[3] for message in heard if message[1] == "2"] == ["phx_reply"]
        assert "forged" not in json.dumps(heard)


async def test_a_presence_that_is_too_big_ends_its_channel_and_nobody_is_told_of_it() -> None:
    async with (
        serving() as server,
        raw_socket(server.port, token()) as client,
        raw_socket(server.port, token()) as other,
    ):
        await client.join("r")
        await other.join("r")
        big = {"event": "track", "payload": {"x": "x" * 100_000}}
        await client.say("1", "2", "realtime:r", "presence", big)
        system, closed = await client.hear(), await client.hear()

        assert system[4]["message"] == "Track message size exceeded"
        assert closed[3] == "phx_close"
        await other.heartbeat()


@pytest.mark.parametrize("level", ["", "loud", "'; drop table x", "%00", "debug" * 100])
async def test_a_log_level_of_any_kind_is_ignored(level: str) -> None:
    async with serving() as server, raw_connection(server.port) as client:
        head = await client.upgrade(f"/socket/websocket?apikey={token()}&log_level={level.replace(' ', '+')}")

        assert head.startswith(b"HTTP/1.1 101 ")


async def test_a_flood_of_pongs_that_nobody_asked_for_is_nothing() -> None:
    async with serving(outside=Outside(log=Log())) as server, raw_socket(server.port, token()) as client:
        await client.join("r", private=True, broadcast={"recover": {"session": "s"}})
        await client.hear()
        await client.write(b"".join(frame(10, payload) for payload in (b"", b"rowcast:999", b"\xff" * 125)) * 500)

        await client.heartbeat()


@pytest.mark.parametrize("session", [None, "", 7, "x" * 1000, "a\u0000b", ["s"], {"session": "s"}])
async def test_a_session_that_is_no_word_recovers_nothing_and_refuses_nothing(session: object) -> None:
    async with serving(outside=Outside(log=Log())) as server, raw_socket(server.port, token()) as client:
        answer = await client.join("r", private=True, broadcast={"recover": {"session": session}})

        assert answer == {"status": "ok", "response": {"postgres_changes": []}}


MESSAGES: list[tuple[str, str | None, str, str, Any]] = [
    ("1", "1", "realtime:r", "phx_join", {"config": {"broadcast": {"self": True, "ack": True}}}),
    ("1", "2", "realtime:r", "broadcast", PUSH),
    ("1", "3", "realtime:r", "presence", {"event": "track", "payload": [1]}),
    ("1", "4", "realtime:q", "broadcast", PUSH),
    ("1", "5", "realtime:r", "access_token", {"access_token": "junk"}),
    ("1", "6", "realtime:r", "phx_leave", {}),
    ("2", "7", "realtime:", "phx_join", {"config": {}}),
    ("3", None, "phoenix", "heartbeat", {}),
]


async def test_both_versions_say_the_same_about_the_same() -> None:
    async with serving() as server:
        async with raw_socket(server.port, token(), "2.0.0") as new:
            for join_ref, ref, topic, event, payload in MESSAGES:
                await new.say(join_ref, ref, topic, event, payload)
            said = [message[1:] for message in await until_beat(new)]
        async with raw_socket(server.port, token(), "1.0.0") as old:
            for join_ref, ref, topic, event, payload in MESSAGES:
                message = {"join_ref": join_ref, "ref": ref, "topic": topic, "event": event, "payload": payload}
                await old.write(frame(TEXT, json.dumps(message).encode()))
            same = [[one["ref"], one["topic"], one["event"], one["payload"]] for one in await until_beat(old)]

        assert sorted(map(json.dumps, said)) == sorted(map(json.dumps, same))


async def until_beat(client: RawSocket) -> list[Any]:
    """Give everything that is said, up to what is said a moment after the heartbeat's answer."""
    heard: list[Any] = []
    try:
        async with asyncio.timeout(0.5):
            while True:
                heard.append(await client.hear())
    except TimeoutError:
        return heard
