"""What is said to each kind of server, byte by byte."""

import json
from dataclasses import dataclass

_UPGRADE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@dataclass(frozen=True)
class Speech:
    """What to send and what must come back, step by step, until a client is subscribed; then what to publish.

    `beat` is a heartbeat and `answer` what comes back. A publisher that is `quiet` takes the first step only, and so
    hears nothing of its own; a socket of ours joins to speak, and asks not to hear itself.
    """

    steps: list[tuple[bytes, bytes]]
    message: bytes
    beat: bytes
    answer: bytes
    is_quiet: bool = True
    is_pinged: bool = False


def rowcast(port: int, size_bytes: int, token: str) -> Speech:
    """A stock client's words, vsn 1.0.0, on a public topic."""
    config = {"broadcast": {"self": False, "ack": False}, "presence": {"enabled": False}, "private": False}
    join = socket_push("realtime:room", "phx_join", {"config": config, "access_token": token})
    said = {"type": "broadcast", "event": "said", "payload": {"text": "x" * size_bytes}}
    return Speech(
        [(socket_head(port, token), b"\r\n\r\n"), (join, b'"ok"')],
        socket_push("realtime:room", "broadcast", said),
        beat=socket_push("phoenix", "heartbeat", {}),
        answer=b'"ok"',
        is_quiet=False,
    )


def nats(_: int, size_bytes: int, __: str) -> Speech:
    """A core NATS client's words."""
    connect = b'CONNECT {"verbose":false,"pedantic":false,"echo":false}\r\nPING\r\n'
    message = b"PUB room %d\r\n%b\r\n" % (size_bytes, b"x" * size_bytes)
    steps = [(connect, b"PONG\r\n"), (b"SUB room 1\r\nPING\r\n", b"PONG\r\n")]
    return Speech(steps, message, beat=b"PING\r\n", answer=b"PONG\r\n", is_pinged=True)


def mqtt(_: int, size_bytes: int, __: str) -> Speech:
    """An MQTT 3.1.1 client's words, QoS 0 and no keep-alive."""
    connect = _mqtt(0x10, b"\x00\x04MQTT\x04\x02\x00\x00\x00\x00")
    subscribe = _mqtt(0x82, b"\x00\x01\x00\x04room\x00")
    message = _mqtt(0x30, b"\x00\x04room" + b"x" * size_bytes)
    steps = [(connect, b"\x20\x02"), (subscribe, b"\x90\x03")]
    return Speech(steps, message, beat=b"\xc0\x00", answer=b"\xd0\x00")


def ws(port: int, size_bytes: int, _: str) -> Speech:
    """What `broadcast.mjs` understands."""
    steps = [(_UPGRADE.format(path="/", port=port).encode(), b"\r\n\r\n"), (_text(b"join"), b"ok")]
    return Speech(steps, _text(b"x" * size_bytes), beat=b"\x89\x80\0\0\0\0", answer=b"\x8a\x00")


SPEECHES = {"rowcast": rowcast, "nats": nats, "mqtt": mqtt, "ws": ws}


def socket_head(port: int, token: str) -> bytes:
    """Give the request with which a stock client opens a socket, vsn 1.0.0."""
    return _UPGRADE.format(path=f"/realtime/v1/websocket?apikey={token}&vsn=1.0.0", port=port).encode()


def socket_push(topic: str, event: str, payload: object, *, ref: str = "1") -> bytes:
    """Give a message of version 1.0.0."""
    message = {"topic": topic, "event": event, "payload": payload, "ref": ref, "join_ref": ref}
    return _text(json.dumps(message, separators=(",", ":")).encode())


def _text(text: bytes) -> bytes:
    """A text frame under a mask of zeros, which every server must take and which costs us nothing."""
    length = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0x80 | 126]) + len(text).to_bytes(2, "big")
    return b"\x81" + length + b"\0\0\0\0" + text


def _mqtt(kind: int, body: bytes) -> bytes:
    length, rest = bytearray(), len(body)
    while True:
        rest, digit = rest >> 7, rest & 0x7F
        length.append(digit | (0x80 if rest else 0))
        if not rest:
            return bytes([kind]) + bytes(length) + body
