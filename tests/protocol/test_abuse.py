"""What no decent client does: the connection ends with the right code or lives on, and nobody else notices."""

import json

import pytest

from rowcast.core.telemetry import listening
from rowcast.realtime.limits import RealtimeLimits
from tests.protocol.raw_socket import frame, raw_connection, raw_socket
from tests.protocol.socket_server import serving, token

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
SOCKET = "/realtime/v1/websocket"


@pytest.mark.parametrize(
    "sent",
    [
        b"not json",
        b"17",
        b'{"topic":"phoenix"}',
        b"[]",
        b'["1","1","realtime:r","phx_join"]',
        b'["1","1","realtime:r","phx_join",{},{}]',
        b'["1","1",null,"phx_join",{}]',
        b'["1","1","realtime:r",null,{}]',
        b'[{},"1","realtime:r","phx_join",{}]',
        b'["1","1","realtime:r","phx_join",NaN]',
        b'["1","1","realtime:\\ud800","phx_join",{}]',
        b'["1","1","realtime:r","phx_join",' + b"[" * 50_000 + b"]" * 50_000 + b"]",
        b'["1","1","realtime:r","phx_join",' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"]",
    ],
)
async def test_a_text_that_is_no_message_changes_nothing(sent: bytes) -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(frame(TEXT, sent))

        await client.heartbeat()
        assert server.hub.topics == 0


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\x03",
        b"\x03\x01\x01\x01\x01\x00",
        b"\x03\xff\xff\xff\xff\xff\x01",
        b"\x03\x01\x01\x0a\x01\x00\x0111realtime:re{",
        b"\x03\x01\x01\x0a\x01\x00\x0211realtime:re{}",
        b'\x03\x01\x01\x0a\x01\x00\x0111realtime:re{},"x":{}',
        b"\x03\x01\x01\x0a\x01\x00\x0111realtime:r\xff{}",
        b'\x03\x01\x01\x0a\x01\x00\x0111realtime:re"\xff"',
        b"\x04\x0a\x01\x00\x01realtime:re{}",
        b"\x00\x01\x01\x0a\x0111realtime:re{}",
        b"\xff" * 300,
    ],
)
async def test_a_binary_frame_whose_header_lies_changes_nothing(sent: bytes) -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.join("r", broadcast={"self": True, "ack": True})
        await client.write(frame(BINARY, sent))

        await client.heartbeat()


@pytest.mark.parametrize(
    "event", ["phx_reply", "phx_close", "phx_error", "presence_diff", "presence_state", "postgres_changes", "system"]
)
async def test_what_only_a_server_may_say_is_not_passed_on(event: str) -> None:
    async with serving() as server, raw_socket(server.port, token()) as liar, raw_socket(server.port, token()) as other:
        await liar.join("r")
        await other.join("r")
        await liar.say("1", "2", "realtime:r", event, {"status": "ok", "response": {}})

        await liar.heartbeat()
        await other.heartbeat()
        assert server.hub.topics == 1


@pytest.mark.parametrize("event", ["", "explode", "PHX_JOIN", "phx_join\x00", "__proto__", "e" * 10_000])
async def test_an_event_that_nobody_knows_is_heard_by_nobody(event: str) -> None:
    async with serving() as server, raw_socket(server.port, token()) as liar, raw_socket(server.port, token()) as other:
        await liar.join("r")
        await other.join("r")
        await liar.say("1", "2", "realtime:r", event, {"type": "broadcast", "event": "e", "payload": {}})

        await liar.heartbeat()
        await other.heartbeat()


async def test_a_broadcast_over_the_limit_is_answered_and_heard_by_nobody() -> None:
    limits = RealtimeLimits(payload_bytes=64 * 1024)
    async with (
        serving(tenant_limits=limits) as server,
        raw_socket(server.port, token()) as liar,
        raw_socket(server.port, token()) as other,
    ):
        await liar.join("r", broadcast={"ack": True})
        await other.join("r")
        push = {"type": "broadcast", "event": "e", "payload": {"x": ""}}
        push["payload"] = {"x": "x" * (64 * 1024 + 1 - len(json.dumps(push)))}
        await liar.say("1", "2", "realtime:r", "broadcast", push)

        assert (await liar.hear())[4]["response"] == {"reason": "payload_size_exceeded"}
        await other.heartbeat()
        await liar.heartbeat()


async def test_a_broadcast_to_a_topic_that_is_not_joined_is_answered_and_heard_by_nobody() -> None:
    async with serving() as server, raw_socket(server.port, token()) as liar, raw_socket(server.port, token()) as other:
        await other.join("r")
        await liar.say("1", "7", "realtime:r", "broadcast", {"type": "broadcast", "event": "e", "payload": {}})
        answer = await liar.hear()

        assert answer[1:] == [
            "7",
            "realtime:r",
            "phx_reply",
            {"status": "error", "response": {"reason": "unmatched topic"}},
        ]
        await other.heartbeat()


async def test_a_client_cannot_speak_for_rowcast_on_a_tenants_topic() -> None:
    async with serving() as server, raw_socket(server.port, token()) as liar, raw_socket(server.port, token()) as other:
        await liar.join("tenant:acme", private=True, broadcast={"self": True, "ack": True})
        await other.join("tenant:acme", private=True)
        await liar.say(
            "1", "2", "realtime:tenant:acme", "broadcast", {"type": "broadcast", "event": "orders.paid", "payload": {}}
        )

        await liar.heartbeat()
        await other.heartbeat()


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        ("", "TopicNameRequired: You must provide a topic name"),
        ("x" * 247, "InvalidTopic: "),
        ("a\x00b", "InvalidTopic: "),
    ],
)
async def test_a_topic_that_cannot_be_joined_is_refused(topic: str, reason: str) -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        answer = await client.join(topic)

        assert answer["status"] == "error"
        assert answer["response"]["reason"].startswith(reason)


async def test_the_hundred_and_first_channel_is_refused() -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        for number in range(100):
            assert (await client.join(f"r{number}"))["status"] == "ok"

        assert (await client.join("r100"))["response"] == {"reason": "ChannelRateLimitReached: Too many channels"}


async def test_joining_twice_closes_the_old_channel_with_its_own_join_ref() -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.join("r", ref="1")
        await client.say("2", "2", "realtime:r", "phx_join", {"config": {}})

        assert await client.hear() == ["1", "1", "realtime:r", "phx_close", {}]
        assert (await client.hear())[4]["status"] == "ok"


async def test_a_late_leave_of_an_earlier_join_does_not_close_the_new_one() -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.join("r", ref="1")
        await client.say("2", "2", "realtime:r", "phx_join", {"config": {}})
        await client.hear()
        await client.hear()
        await client.say("1", "3", "realtime:r", "phx_leave", {})
        await client.hear()

        await client.heartbeat()
        assert server.hub.topics == 1


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"x", length=5_000_001), 1009),
        (frame(TEXT, b"x", length=2**63), 1009),
        (frame(3, b"x"), 1002),
        (bytes([0xC1, 0x80]) + b"abcd", 1002),
        (bytes([0x81, 0x01]) + b"x", 1002),
        (frame(0, b"x"), 1002),
        (frame(TEXT, b"x", is_final=False) + frame(TEXT, b"x"), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(PING, b"x", is_final=False), 1002),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, b"\x03\xed"), 1002),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007),
        (frame(CLOSE, b"\x03\xe8bye"), 1000),
        (frame(CLOSE, b"\x0f\xa0"), 4000),
        (frame(CLOSE, b""), 1000),
    ],
)
async def test_a_broken_websocket_is_closed_with_the_right_code(sent: bytes, code: int) -> None:
    async with (
        serving() as server,
        raw_socket(server.port, token()) as client,
        raw_socket(server.port, token()) as other,
    ):
        await client.write(sent)

        assert await client.close_code() == code
        await other.heartbeat()


async def test_fragments_without_end_are_closed_at_the_limit() -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        part = b"x" * 100_000
        await client.write(frame(TEXT, part, is_final=False) + frame(0, part, is_final=False) * 50)

        assert await client.close_code() == 1009


async def test_empty_fragments_without_end_cost_nothing_and_keep_nobody_waiting() -> None:
    async with (
        serving() as server,
        raw_socket(server.port, token()) as client,
        raw_socket(server.port, token()) as other,
    ):
        await client.write(frame(TEXT, b"", is_final=False) + frame(0, b"", is_final=False) * 20_000)
        await other.heartbeat()
        await client.write(frame(0, json.dumps([None, "1", "phoenix", "heartbeat", {}]).encode()))

        assert (await client.hear())[1] == "1"


async def test_control_frames_between_fragments_are_answered_in_between() -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        message = json.dumps([None, "1", "phoenix", "heartbeat", {}]).encode()
        await client.write(frame(TEXT, message[:5], is_final=False) + frame(PING, b"p") + frame(0, message[5:]))

        assert await client.read_frame() == (PONG, b"p")
        assert (await client.hear())[1] == "1"


async def test_one_byte_at_a_time_is_understood() -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        for byte in frame(TEXT, json.dumps([None, "1", "phoenix", "heartbeat", {}]).encode()):
            await client.write(bytes([byte]))

        assert (await client.hear())[1] == "1"


async def test_a_flood_of_pings_is_answered_and_others_are_served_meanwhile() -> None:
    async with (
        serving() as server,
        raw_socket(server.port, token()) as client,
        raw_socket(server.port, token()) as other,
    ):
        await client.write(frame(PING, b"x") * 5000)
        await other.heartbeat()
        answers = [await client.read_frame() for _ in range(5000)]

        assert set(answers) == {(PONG, b"x")}


@pytest.mark.parametrize(
    ("query", "status", "text"),
    [
        ("vsn=2.0.0", 401, "API key is missing"),
        ("apikey=", 401, "API key is missing"),
        ("apikey=junk", 401, "The token provided is not a valid JWT"),
        ("apikey=" + "a" * 9000, 401, "The token provided is not a valid JWT"),
        ("apikey=" + token(expires_in_s=-60), 401, "Token has expired"),
        ("apikey=" + token(role=""), 401, "Fields `role` and `exp` are required in JWT"),
        ("apikey=" + token(secret="x" * 32), 401, "Failed to validate JWT signature"),
        ("vsn=9&apikey=" + token(), 400, "The parameters cannot be read; vsn must be 1.0.0 or 2.0.0"),
        ("&".join(["a=b"] * 100), 400, "The parameters cannot be read; vsn must be 1.0.0 or 2.0.0"),
        ("tenant_id=globex&apikey=" + token(), 403, "Only a service_role token may name a tenant"),
    ],
)
async def test_a_refused_upgrade_says_why(query: str, status: int, text: str) -> None:
    async with serving() as server, raw_connection(server.port) as client:
        head = await client.upgrade(f"{SOCKET}?{query}")

        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        code = {"code": "auth.denied"} if status == 403 else {}
        assert json.loads(await client.rest()) == {"error": text} | code


async def test_the_token_may_come_in_a_header() -> None:
    async with serving() as server, raw_connection(server.port) as client:
        head = await client.upgrade(SOCKET, extra=f"x-api-key: {token()}\r\n")

        assert head.startswith(b"HTTP/1.1 101 ")


async def test_a_cookie_opens_no_socket_for_a_page_of_somebody_else() -> None:
    async with serving() as server, raw_connection(server.port) as client:
        cookie = f"Cookie: apikey={token()}; access_token={token()}\r\nOrigin: https://evil.example\r\n"
        head = await client.upgrade(SOCKET, extra=cookie)

        assert head.startswith(b"HTTP/1.1 401 ")


async def test_a_token_is_never_told_to_the_log() -> None:
    told: list[tuple[str, dict[str, object]]] = []
    secrets = {"good": token(), "stale": token(expires_in_s=-60), "fresh": token(sub="ann")}
    with listening(lambda name, facts: told.append((name, dict(facts)))):
        async with serving() as server:
            async with raw_socket(server.port, secrets["good"]) as client:
                await client.say("1", "1", "realtime:r", "phx_join", {"access_token": secrets["stale"]})
                await client.hear()
                await client.join("r", ref="2", private=True)
                await client.say("2", "3", "realtime:r", "access_token", {"access_token": secrets["fresh"]})
                await client.say("2", "4", "realtime:r", "access_token", {"access_token": secrets["stale"]})
                await client.hear()
            async with raw_connection(server.port) as client:
                await client.upgrade(f"{SOCKET}?apikey={secrets['stale']}")

    assert "socket.refused" in {name for name, _ in told}
    assert not [secret for secret in secrets.values() if secret in repr(told) or secret.split(".")[1] in repr(told)]


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ("Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 8\r\n", 426),
        ("Sec-WebSocket-Version: 13\r\n", 400),
        ("Sec-WebSocket-Key: short\r\nSec-WebSocket-Version: 13\r\n", 400),
    ],
)
async def test_an_upgrade_that_breaks_rfc_6455_is_refused(lines: str, status: int) -> None:
    async with serving() as server, raw_connection(server.port) as client:
        await client.write(
            f"GET {SOCKET}?apikey={token()} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{lines}\r\n".encode()
        )

        assert (await client.rest()).startswith(f"HTTP/1.1 {status} ".encode())


async def test_a_head_without_end_is_refused() -> None:
    async with serving() as server, raw_connection(server.port) as client:
        await client.write(f"GET {SOCKET}?apikey=".encode() + b"a" * 40_000)

        assert (await client.rest()).startswith(b"HTTP/1.1 431 ")
