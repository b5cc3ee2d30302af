"""Thousands of sockets in one process: each joins a topic, keeps its heartbeats, and comes back as stock clients do.

Written apart from the server's own reader and writer. Addresses of the whole loopback network are used as sources, so
that a crowd that comes back three times does not run out of ports.
"""

import asyncio
import json
import resource
import socket
import struct
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest

STOCK_RECONNECTS_S = (1.0, 2.0, 5.0, 10.0)
"""After how long realtime-js tries again: the first time, the second, ..., and the last of them for ever."""
STOCK_HEARTBEAT_S = 25.0
_SOCKETS_PER_ADDRESS = 2_000
_SPARE_FILES = 500
_LINGER_OFF = struct.pack("ii", 1, 0)
_JOIN_REF, _BEAT_REF = "j", "h"


def make_room_for(sockets: int) -> None:
    """Let this process and its children open so many files; skip where the system does not allow it."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < sockets + _SPARE_FILES:
        pytest.skip(f"NOT TESTED: {sockets} sockets need {sockets + _SPARE_FILES} files, the hard limit is {most}.")
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Said(msgspec.Struct):
    """What the server sends, as far as anybody here looks."""

    event: str
    payload: msgspec.Raw = msgspec.Raw(b"{}")
    ref: str | None = None


_READ = msgspec.json.Decoder(Said)


class Member(asyncio.Protocol):
    """One client and its socket of the moment."""

    def __init__(self, crowd: "Crowd", number: int) -> None:
        self._crowd = crowd
        self._loop = asyncio.get_running_loop()
        self.number = number
        self.topic = f"realtime:room-{number % crowd.rooms}"
        self.heard: list[bytes] = []
        self.losses = self.silences = 0
        self.beaten_at_s: float | None = None
        self.is_joined = False
        self._tries = 0
        self._transport: asyncio.Transport | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport, self._buffer, self._tries = transport, b"", 0
        transport.write(self._crowd.head)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if self._buffer.startswith(b"HTTP/"):
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._buffer = rest
            self.say(self.topic, "phx_join", self._crowd.join, _JOIN_REF)
        while (found := _next_frame(self._buffer)) is not None:
            opcode, payload, self._buffer = found
            if opcode == 1:
                self._hear(_READ.decode(payload))

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.joined -= self.is_joined
        self.is_joined, self.beaten_at_s, self._transport = False, None, None
        if self._crowd.is_open:
            self.losses += 1
            self.come_back()

    def come_back(self) -> None:
        """Connect once more, after the wait of a stock client."""
        waits = self._crowd.reconnects_s
        self._tries += 1
        self._loop.call_later(waits[min(self._tries, len(waits)) - 1], self._crowd.connect, self)

    def say(self, topic: str, event: str, payload: object, ref: str) -> None:
        """Send a message of version 1.0.0, under a mask of zeros."""
        text = json.dumps({"topic": topic, "event": event, "payload": payload, "ref": ref, "join_ref": _JOIN_REF})
        size = len(text)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        if self._transport is not None:
            self._transport.write(b"\x81" + length + b"\0\0\0\0" + text.encode())

    def beat(self) -> None:
        """Send a heartbeat; one that is not answered when the next is due ends the socket, as stock clients do it."""
        if self.beaten_at_s is not None:
            if self._loop.time() - self.beaten_at_s >= STOCK_HEARTBEAT_S:
                self.silences += 1
                self.drop()
        elif self.is_joined:
            self.beaten_at_s = self._loop.time()
            self.say("phoenix", "heartbeat", {}, _BEAT_REF)

    def stop_reading(self) -> None:
        """Read nothing more."""
        assert self._transport is not None
        self._transport.pause_reading()

    def read_on(self) -> None:
        """Read again, where the socket is still there."""
        if self._transport is not None:
            self._transport.resume_reading()

    def drop(self) -> None:
        """Cut the network: the server gets a reset."""
        if self._transport is not None:
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
            self._transport.abort()

    def _hear(self, said: Said) -> None:
        if said.event == "broadcast":
            self.heard.append(bytes(said.payload))
            self._crowd.on_broadcast(bytes(said.payload))
        elif said.ref == _JOIN_REF and said.event == "phx_reply":
            assert b'"ok"' in bytes(said.payload), said
            self.is_joined = True
            self._crowd.joined += 1
        elif said.ref == _BEAT_REF and self.beaten_at_s is not None:
            self._crowd.answers_s.append(self._loop.time() - self.beaten_at_s)
            self.beaten_at_s = None


def _next_frame(data: bytes) -> tuple[int, bytes, bytes] | None:
    """Give opcode, payload and what follows; None when the frame is not whole yet."""
    if len(data) < 2:
        return None
    size, start = data[1], 2
    if size >= 126:
        start = 4 if size == 126 else 10
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        return None
    return data[0] & 0x0F, data[start : start + size], data[start + size :]


class Crowd:
    """All members, and what they have seen together."""

    def __init__(self, group: asyncio.TaskGroup, port: int, token: str, **options: object) -> None:
        """Come to a server on `port`; see `crowded` for the options."""
        self._group = group
        self._port = port
        self.reconnects_s: Sequence[float] = options.get("reconnects_s", STOCK_RECONNECTS_S)  # type: ignore[assignment]
        self.rooms = int(str(options.get("rooms", 1)))
        self.head = (
            f"GET /realtime/v1/websocket?apikey={token}&vsn=1.0.0 HTTP/1.1\r\nHost: localhost\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n\r\n"
        ).encode()
        self.join = {"config": {"broadcast": {"self": False, "ack": False}, "private": False}, "access_token": token}
        self.members: list[Member] = []
        self.joined = 0
        self.answers_s: list[float] = []
        self.on_broadcast: Callable[[bytes], None] = lambda payload: None
        self.is_open = True

    def come(self, count: int) -> list[Member]:
        """Let so many more connect, all at once."""
        new = [Member(self, len(self.members) + number) for number in range(count)]
        self.members += new
        for member in new:
            self.connect(member)
        return new

    def connect(self, member: Member) -> None:
        """Open a member's socket."""
        if self.is_open:
            self._group.create_task(self._connect(member), name=f"member:{member.number}")

    async def until(self, holds: Callable[[], bool], patience_s: float) -> float:
        """Wait until something holds, and give how long that took."""
        begun_at_s = asyncio.get_running_loop().time()
        async with asyncio.timeout(patience_s):
            while not holds():
                # Asked again now and then: a signal from each of ten thousand sockets would cost more.
                await asyncio.sleep(0.02)
        return asyncio.get_running_loop().time() - begun_at_s

    def close(self) -> None:
        """End every socket."""
        self.is_open = False
        for member in self.members:
            member.drop()

    async def _connect(self, member: Member) -> None:
        own = f"127.0.0.{2 + member.number // _SOCKETS_PER_ADDRESS}"
        try:
            await asyncio.get_running_loop().create_connection(
                lambda: member, "127.0.0.1", self._port, local_addr=(own, 0)
            )
        except OSError:
            if self.is_open:
                member.come_back()


@asynccontextmanager
async def crowded(port: int, token: str, **options: object) -> AsyncIterator[Crowd]:
    """Be a crowd for the time of a block. Options: `rooms`, that members are spread over, and `reconnects_s`."""
    async with asyncio.TaskGroup() as group:
        crowd = Crowd(group, port, token, **options)
        beats = group.create_task(_beat(crowd), name="heartbeats")
        try:
            yield crowd
        finally:
            crowd.close()
            beats.cancel()


async def _beat(crowd: Crowd) -> None:
    """Let every member beat every 25 seconds, spread over that time."""
    loop, place, begun_at_s, done = asyncio.get_running_loop(), 0, asyncio.get_running_loop().time(), 0
    while True:
        await asyncio.sleep(0.1)
        due = int((loop.time() - begun_at_s) / STOCK_HEARTBEAT_S * len(crowd.members)) - done
        for _ in range(max(0, min(due, len(crowd.members)))):
            crowd.members[place % len(crowd.members)].beat()
            place, done = place + 1, done + 1


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Give the median and the 99th percentile."""
    ranked = sorted(values)
    return ranked[len(ranked) // 2], ranked[min(len(ranked) - 1, int(len(ranked) * 0.99))]
