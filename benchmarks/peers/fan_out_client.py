"""Subscribers and one publisher in a process of their own: `fan_out_client.py KIND PORT SUBSCRIBERS BYTES [TOKEN]`.

Prints `ready`, then for each line `OUTSTANDING SECONDS` it reads the deliveries a second. The next message is published
when all subscribers together have received as many bytes as all but the last few messages come to: every delivery has
one size, so a client does no more than count. Kinds: rowcast, nats, mqtt.
"""

import asyncio
import json
import sys
from collections.abc import Callable

import uvloop

_QUIET_S = 0.3
_PATIENCE_S = 60.0
_AT_ONCE = 200
Clock = Callable[[], float]


class Tally:
    """Bytes that all subscribers have received, and what to do when they are enough."""

    def __init__(self) -> None:
        self.received = 0
        self.enough = sys.maxsize
        self.on_enough: Callable[[], None] = lambda: None

    def add(self, count: int) -> None:
        """Count."""
        self.received += count
        if self.received >= self.enough:
            self.on_enough()


class Client(asyncio.Protocol):
    """One connection: greets, waits until it is subscribed, then counts."""

    def __init__(self, speech: "Speech", tally: Tally, *, is_publisher: bool) -> None:
        self._speech = speech
        self._tally = tally
        self._is_publisher = is_publisher
        self._heard = b""
        self.is_joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._step = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert hasattr(transport, "write")
        self.transport = transport
        self._go_on()

    def data_received(self, data: bytes) -> None:
        if self._step <= len(self._speech.steps):
            self._heard += data
            if self._speech.steps[self._step - 1][1] in self._heard:
                self._heard = b""
                self._go_on()
        elif data.endswith(b"PING\r\n") and self._speech.is_pinged:
            self.transport.write(b"PONG\r\n")
            data = data[:-6]
            self._count(data)
        else:
            self._count(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.is_joined.done():
            self.is_joined.set_exception(RuntimeError("the server has closed the connection"))

    def _count(self, data: bytes) -> None:
        if not self._is_publisher:
            self._tally.add(len(data))

    def _go_on(self) -> None:
        steps = self._speech.steps[: 1 if self._is_publisher and self._speech.is_publisher_quiet else None]
        if self._step < len(steps):
            self._step += 1
            self.transport.write(steps[self._step - 1][0])
            return
        self._step = len(self._speech.steps) + 1
        if not self.is_joined.done():
            self.is_joined.set_result(None)


class Speech:
    """What is said to a server: what to send and what must come back, step by step; then what to publish."""

    def __init__(
        self, steps: list[tuple[bytes, bytes]], message: bytes, *, sign_of_life: bytes = b"", is_pinged: bool = False
    ) -> None:
        self.steps = steps
        self.message = message
        self.sign_of_life = sign_of_life
        self.is_pinged = is_pinged
        # Who has not subscribed hears nothing of its own; a socket of ours joins to speak, and asks not to hear itself.
        self.is_publisher_quiet = not sign_of_life


def rowcast(port: int, size_bytes: int, token: str) -> Speech:
    """A stock client's words, vsn 1.0.0, on a public topic."""
    head = (
        f"GET /realtime/v1/websocket?apikey={token}&vsn=1.0.0 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    config = {"broadcast": {"self": False, "ack": False}, "presence": {"enabled": False}, "private": False}
    join = _push("realtime:room", "phx_join", {"config": config, "access_token": token})
    said = {"type": "broadcast", "event": "said", "payload": {"text": "x" * size_bytes}}
    return Speech(
        [(head.encode(), b"\r\n\r\n"), (join, b'"ok"')],
        _push("realtime:room", "broadcast", said),
        sign_of_life=_push("phoenix", "heartbeat", {}),
    )


def nats(_: int, size_bytes: int, __: str) -> Speech:
    """A core NATS client's words."""
    connect = b'CONNECT {"verbose":false,"pedantic":false,"echo":false}\r\nPING\r\n'
    message = b"PUB room %d\r\n%b\r\n" % (size_bytes, b"x" * size_bytes)
    return Speech([(connect, b"PONG\r\n"), (b"SUB room 1\r\nPING\r\n", b"PONG\r\n")], message, is_pinged=True)


def mqtt(_: int, size_bytes: int, __: str) -> Speech:
    """An MQTT 3.1.1 client's words, QoS 0 and no keep-alive."""
    connect = _mqtt(0x10, b"\x00\x04MQTT\x04\x02\x00\x00\x00\x00")
    subscribe = _mqtt(0x82, b"\x00\x01\x00\x04room\x00")
    message = _mqtt(0x30, b"\x00\x04room" + b"x" * size_bytes)
    return Speech([(connect, b"\x20\x02"), (subscribe, b"\x90\x03")], message)


def _push(topic: str, event: str, payload: object) -> bytes:
    """A text frame under a mask of zeros, which every server must take and which costs us nothing."""
    text = json.dumps(
        {"topic": topic, "event": event, "payload": payload, "ref": "1", "join_ref": "1"}, separators=(",", ":")
    ).encode()
    length = bytes([0x80 | len(text)]) if len(text) < 126 else bytes([0x80 | 126]) + len(text).to_bytes(2, "big")
    return b"\x81" + length + b"\0\0\0\0" + text


def _mqtt(kind: int, body: bytes) -> bytes:
    length, rest = bytearray(), len(body)
    while True:
        rest, digit = rest >> 7, rest & 0x7F
        length.append(digit | (0x80 if rest else 0))
        if not rest:
            return bytes([kind]) + bytes(length) + body


class Crowd:
    """All connections of one kind."""

    def __init__(self, speech: Speech, port: int) -> None:
        self._speech = speech
        self._port = port
        self.tally = Tally()
        self._subscribers: list[Client] = []
        self._delivery_bytes = 0

    async def open(self, count: int) -> None:
        """Connect everybody, some at a time."""
        self._publisher = await self._connect(is_publisher=True)
        for start in range(0, count, _AT_ONCE):
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._connect(is_publisher=False)) for _ in range(min(_AT_ONCE, count - start))
                ]
            self._subscribers += [task.result() for task in tasks]
        await self._settle()

    async def weigh(self) -> None:
        """Find out how many bytes one delivery is: see one message through to everybody."""
        await self._settle()
        before = self.tally.received
        self._publisher.transport.write(self._speech.message)
        await asyncio.sleep(_QUIET_S)
        await self._settle()
        each, rest = divmod(self.tally.received - before, len(self._subscribers))
        if rest or each < len(self._speech.message) // 3:
            raise RuntimeError(f"{self.tally.received - before} bytes for {len(self._subscribers)} subscribers")
        self._delivery_bytes = each

    async def measure(self, outstanding: int, seconds: float) -> float:
        """Give the deliveries a second."""
        for client in (self._publisher, *self._subscribers):
            if self._speech.sign_of_life:
                client.transport.write(self._speech.sign_of_life)
        await self.weigh()
        loop = asyncio.get_running_loop()
        round_bytes = self._delivery_bytes * len(self._subscribers)
        begun, begun_at, sent = self.tally.received, loop.time(), 0
        is_over: asyncio.Future[None] = loop.create_future()

        def publish() -> None:
            nonlocal sent
            done = (self.tally.received - begun) // round_bytes
            if loop.time() - begun_at < seconds:
                more = outstanding - (sent - done)
                self._publisher.transport.write(self._speech.message * more)
                sent += more
            elif done >= sent:
                self.tally.enough = sys.maxsize
                is_over.set_result(None)
                return
            self.tally.enough = begun + (done + 1) * round_bytes

        self.tally.on_enough = publish
        publish()
        async with asyncio.timeout(seconds + _PATIENCE_S):
            await is_over
        return sent * len(self._subscribers) / (loop.time() - begun_at)

    async def _settle(self) -> None:
        """Wait until nothing comes any more."""
        async with asyncio.timeout(_PATIENCE_S):
            before = -1
            while before != self.tally.received:
                before = self.tally.received
                await asyncio.sleep(_QUIET_S)

    async def _connect(self, *, is_publisher: bool) -> Client:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_PATIENCE_S):
            _, client = await loop.create_connection(
                lambda: Client(self._speech, self.tally, is_publisher=is_publisher), "127.0.0.1", self._port
            )
            await client.is_joined
        return client


async def main(kind: str, *words: str) -> None:
    """Open the crowd and measure whenever a line asks for it."""
    port, count, size_bytes = map(int, words[:3])
    speech = {"rowcast": rowcast, "nats": nats, "mqtt": mqtt}[kind](port, size_bytes, words[3])
    crowd = Crowd(speech, port)
    await crowd.open(count)
    print("ready", flush=True)
    while line := (await asyncio.to_thread(sys.stdin.readline)).split():
        print(f"{await crowd.measure(int(line[0]), float(line[1])):.1f}", flush=True)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
