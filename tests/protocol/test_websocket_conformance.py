"""RFC 6455 case by case, by raw bytes against the real server: what Autobahn tests too, without needing Python 2.

A heartbeat of the channel protocol stands for an echo: whoever gets its reply was understood.
"""

import json
import struct

import pytest

from tests.protocol.raw_socket import RawSocket, frame, raw_connection, raw_socket
from tests.protocol.socket_server import serving, token

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
BEAT = json.dumps([None, "1", "phoenix", "heartbeat", {}]).encode()
REPLY = [None, "1", "phoenix", "phx_reply", {"status": "ok", "response": {}}]


def padded(size: int) -> bytes:
    """Give a heartbeat of exactly so many bytes: white space is no part of JSON."""
    return BEAT + b" " * (size - len(BEAT))


def fragments(message: bytes, *sizes: int) -> bytes:
    """Give a text message in pieces of these sizes, and the rest as the last."""
    parts, start = [], 0
    for size in sizes:
        parts.append(message[start : start + size])
        start += size
    parts.append(message[start:])
    return b"".join(
        frame(TEXT if number == 0 else CONTINUATION, part, is_final=number == len(parts) - 1)
        for number, part in enumerate(parts)
    )


def raw(first: int, second: int, rest: bytes = b"abcd") -> bytes:
    """Give a frame whose first two bytes are these."""
    return bytes((first, second)) + rest


async def closed(client: RawSocket) -> tuple[int, str]:
    """Give code and reason of the server's close frame, and see that it ends the connection and sends nothing behind it."""
    while True:
        opcode, payload = await client.read_frame()
        if opcode == CLOSE:
            break
    assert await client.rest() == b""
    return int.from_bytes(payload[:2], "big"), payload[2:].decode()


@pytest.mark.parametrize("size", [len(BEAT), 125, 126, 127, 128, 65_535, 65_536, 65_537, 1_000_000])
async def test_a_message_of_any_length_is_understood(size: int) -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(frame(TEXT, padded(size)))

        assert await client.hear() == REPLY


@pytest.mark.parametrize("form", ["16 bits for a short one", "64 bits for a short one"])
async def test_a_length_that_is_longer_written_than_needed_is_refused_or_understood_but_never_misread(
    form: str,
) -> None:
    size = struct.pack(">H", len(BEAT)) if form.startswith("16") else struct.pack(">Q", len(BEAT))
    masked = bytes(byte ^ b"abcd"[index % 4] for index, byte in enumerate(BEAT))
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(raw(0x81, 0x80 | (126 if form.startswith("16") else 127), size + b"abcd" + masked))
        opcode, payload = await client.read_frame()

        assert (opcode == TEXT and json.loads(payload) == REPLY) or (opcode == CLOSE and payload[:2] == b"\x03\xea")


@pytest.mark.parametrize("mask", [b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\x01\x80\x7f\xfe"])
async def test_every_mask_is_taken_off(mask: bytes) -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(frame(TEXT, BEAT, mask=mask))

        assert await client.hear() == REPLY


@pytest.mark.parametrize("sizes", [(1,), (0,), (0, 0, 0), (1, 1, 1, 1), (len(BEAT),), (3, 0, 5), tuple([1] * 30)])
async def test_a_message_in_fragments_is_put_together(sizes: tuple[int, ...]) -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(fragments(BEAT, *sizes))

        assert await client.hear() == REPLY


async def test_two_messages_in_one_packet_are_two() -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(frame(TEXT, BEAT) + fragments(BEAT, 4))

        assert [await client.hear(), await client.hear()] == [REPLY, REPLY]


@pytest.mark.parametrize("split", range(1, 14))
async def test_a_frame_cut_at_any_byte_of_its_head_is_understood(split: int) -> None:
    sent = frame(TEXT, padded(65_536))
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(sent[:split])
        await client.write(sent[split:])

        assert await client.hear() == REPLY


@pytest.mark.parametrize("payload", [b"", b"x", b"\x00\xff\xfe", b"x" * 125])
async def test_a_ping_is_answered_with_its_own_payload(payload: bytes) -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(frame(PING, payload))

        assert await client.read_frame() == (PONG, payload)


async def test_pings_are_answered_in_their_order_and_before_what_came_behind_them() -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(b"".join(frame(PING, str(number).encode()) for number in range(10)) + frame(TEXT, BEAT))

        assert [(await client.read_frame())[1] for _ in range(10)] == [str(number).encode() for number in range(10)]
        assert await client.hear() == REPLY


async def test_a_pong_that_nobody_asked_for_changes_nothing() -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(frame(PONG, b"unasked") + frame(TEXT, BEAT))

        assert await client.hear() == REPLY


async def test_control_frames_between_the_fragments_are_answered_at_once() -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        first, rest = frame(TEXT, BEAT[:7], is_final=False), frame(CONTINUATION, BEAT[7:])
        await client.write(first + frame(PING, b"1") + frame(PONG, b"") + frame(PING, b"2"))
        pongs = [await client.read_frame(), await client.read_frame()]
        await client.write(rest)

        assert pongs == [(PONG, b"1"), (PONG, b"2")]
        assert await client.hear() == REPLY


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (raw(0xC1, 0x80), "a reserved bit on a text"),
        (raw(0xA1, 0x80), "another reserved bit"),
        (raw(0x91, 0x80), "the third reserved bit"),
        (raw(0xF2, 0x80), "all reserved bits on a binary"),
        (raw(0xC9, 0x80), "a reserved bit on a ping"),
        (raw(0xC8, 0x80), "a reserved bit on a close"),
        *(
            (raw(0x80 | opcode, 0x80), f"the reserved opcode {opcode}")
            for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)
        ),
        (raw(0x81, len(BEAT), BEAT), "a frame without a mask"),
        (raw(0x89, 0x00, b""), "a ping without a mask"),
        (frame(CONTINUATION, b"x"), "a continuation of nothing"),
        (frame(CONTINUATION, b"x", is_final=False), "an open continuation of nothing"),
        (fragments(BEAT, 5) + frame(CONTINUATION, b"x"), "a continuation after the last"),
        (frame(TEXT, b"a", is_final=False) + frame(TEXT, b"b"), "a text within a message"),
        (frame(BINARY, b"a", is_final=False) + frame(BINARY, b"b", is_final=False), "a binary within a message"),
        (frame(PING, b"x", is_final=False), "a ping in fragments"),
        (frame(PONG, b"x", is_final=False), "a pong in fragments"),
        (frame(CLOSE, b"\x03\xe8", is_final=False), "a close in fragments"),
        (frame(PING, b"x" * 126), "a ping of 126 bytes"),
        (frame(PONG, b"x" * 126), "a pong of 126 bytes"),
        (frame(CLOSE, b"\x03\xe8" + b"x" * 124), "a close of 126 bytes"),
    ],
)
async def test_what_the_protocol_forbids_is_closed_with_1002_and_the_server_ends_first(sent: bytes, why: str) -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(sent)

        assert (await closed(client))[0] == 1002, why


@pytest.mark.parametrize(
    "text",
    [
        b"\xff", b"\x80", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xf0\x80\x80\xaf", b"\xc1\xbf", b"\xed\xa0\x80", b"\xed\xbf\xbf",
        b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
        b"caf\xc3", b"\xe2\x82", b"\xf0\x9f\x98",
    ],
)  # fmt: skip
@pytest.mark.parametrize("is_split", [False, True])
async def test_a_text_that_is_no_utf8_is_closed_with_1007(text: bytes, is_split: bool) -> None:
    sent = b"ok" + text
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(fragments(sent, 3) if is_split else frame(TEXT, sent))

        assert (await closed(client))[0] == 1007


@pytest.mark.parametrize("text", ["κόσμε", "\U0010ffff", "\ufffe\uffff", "\x00", "\ud7ff\ue000", "😀" * 100])
@pytest.mark.parametrize("cut", [1, 2, 3])
async def test_every_character_passes_even_cut_in_the_middle(text: str, cut: int) -> None:
    message = json.dumps([None, "1", "phoenix", "heartbeat", {"said": text}], ensure_ascii=False).encode()
    start = message.index(b"said") + 8
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(fragments(message, start + cut))

        assert await client.hear() == REPLY


async def test_a_binary_message_need_not_be_utf8() -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(frame(BINARY, b"\xff\xfe") + frame(TEXT, BEAT))

        assert await client.hear() == REPLY


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
async def test_a_close_is_answered_with_its_own_code(code: int) -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(frame(CLOSE, struct.pack(">H", code) + "bye κ".encode()))

        assert (await closed(client))[0] == code


@pytest.mark.parametrize("code", [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535])
async def test_a_close_with_a_code_that_nobody_may_send_is_a_fault(code: int) -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(frame(CLOSE, struct.pack(">H", code)))

        assert (await closed(client))[0] == 1002


@pytest.mark.parametrize(
    ("payload", "code"), [(b"", 1000), (b"\x03", 1002), (b"\x03\xe8\xff", 1007), (b"\x03\xe8" + b"x" * 123, 1000)]
)
async def test_a_close_with_or_without_a_payload_is_answered(payload: bytes, code: int) -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(frame(CLOSE, payload))

        assert (await closed(client))[0] == code


async def test_nothing_behind_a_close_is_heard() -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(frame(CLOSE, b"\x03\xe8") + frame(TEXT, BEAT) + frame(PING, b"late") + frame(CLOSE, b""))
        opcode, _ = await client.read_frame()

        assert opcode == CLOSE
        assert await client.rest() == b""


async def test_a_close_amid_a_message_ends_it() -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(frame(TEXT, BEAT[:4], is_final=False) + frame(CLOSE, b"\x03\xe8"))

        assert (await closed(client))[0] == 1000


@pytest.mark.parametrize("length", [5_000_001, 2**31, 2**63 - 1, 2**63, 2**64 - 1])
async def test_a_frame_that_is_too_long_is_refused_by_its_head_alone(length: int) -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(raw(0x81, 0x80 | 127, struct.pack(">Q", length) + b"abcd"))

        assert (await closed(client))[0] in (1002, 1009)


async def test_a_servers_frames_are_never_masked_and_never_in_fragments() -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.write(frame(TEXT, BEAT) + frame(PING, b"p") + frame(CLOSE, b"\x03\xe8"))
        said = await client.rest()

    position, seen = 0, []
    while position < len(said):
        first, second = said[position], said[position + 1]
        assert first & 0xF0 == 0x80
        assert second < 126
        seen.append(first & 0x0F)
        position += 2 + second
    assert seen == [TEXT, PONG, CLOSE]


@pytest.mark.parametrize(
    "extra",
    [
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n",
        "Sec-WebSocket-Extensions: nonsense\r\n",
        "Sec-WebSocket-Protocol: chat, superchat\r\n",
    ],
)
async def test_extensions_and_subprotocols_are_offered_in_vain(extra: str) -> None:
    async with serving() as server, raw_connection(server.port) as client:
        head = await client.upgrade(f"/realtime/v1/websocket?apikey={token()}&vsn=2.0.0", extra=extra)
        await client.write(frame(TEXT, BEAT))

        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-extensions" not in head.lower()
        assert b"sec-websocket-protocol" not in head.lower()
        assert await client.hear() == REPLY


async def test_the_upgrade_proves_that_it_was_understood() -> None:
    async with serving() as server, raw_connection(server.port) as client:
        head = (await client.upgrade(f"/realtime/v1/websocket?apikey={token()}&vsn=2.0.0")).decode()
        lines = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head.splitlines()[1:]}

    # SHA-1 of the key that raw_socket sends, with the words of RFC 6455, 1.3 behind it.
    assert lines["sec-websocket-accept"] == "Bz3qJYTGdOe8gUSpLosEdiLKDrk="
    assert (lines["upgrade"].lower(), lines["connection"].lower()) == ("websocket", "upgrade")
