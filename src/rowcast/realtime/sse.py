"""One topic as a stream of server-sent events, for clients without WebSocket. Each event's data is a text frame.

Source: the event stream format of the HTML standard.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime

import msgspec

from rowcast.core.codec import encode_json
from rowcast.core.telemetry import tell
from rowcast.realtime.channel_log import Missed
from rowcast.realtime.ear import broadcast_id
from rowcast.realtime.messages import Broadcast, TopicKey
from rowcast.realtime.protocol import WIRE_PREFIX, Version, encode_broadcast
from rowcast.realtime.recover_cursor import Position

_KNOWN_IDS = 4096
_AT_ONCE = 64


class StreamLimits(msgspec.Struct, frozen=True):
    """Bounds of one stream: what may wait for a client that does not read, and the longest silence."""

    queued: int = 2048
    queued_bytes: int = 8 * 1024 * 1024
    heartbeat_s: float = 15.0
    look_s: float = 1.0


class Place(msgspec.Struct, frozen=True):
    """Where a client stands, as it says when it comes back: everything below was received. `at_s` is when that was."""

    position: Position
    at_s: int

    def __str__(self) -> str:
        """Give the form of `Last-Event-ID`."""
        return f"{self.position.from_seq}.{self.position.from_transaction}.{self.at_s}"


def read_place(text: str, *, now: datetime) -> Place | None:
    """Give the place that a `Last-Event-ID` names; None for one that is not ours."""
    words = text.split(".")
    if len(words) != 3 or not all(word.isascii() and word.isdigit() and len(word) < 19 for word in words):
        return None
    seq, transaction, at_s = map(int, words)
    return Place(Position(seq, transaction), min(at_s, int(now.timestamp())))


class Stream:
    """Hears a topic and keeps what one client has not been given yet. Too much of it ends the stream."""

    __slots__ = ("_bytes", "_known", "_limits", "_queue", "_wake", "is_held", "is_over", "key")

    version: Version = 1

    def __init__(self, key: TopicKey, limits: StreamLimits) -> None:
        """Hold what comes until `release`."""
        self.key = key
        self.is_held = True
        self.is_over = False
        self._limits = limits
        self._queue: deque[tuple[str, bytes]] = deque()
        self._bytes = 0
        self._known: frozenset[str] = frozenset()
        self._wake = asyncio.Event()

    def hear(self, broadcasts: Sequence[Broadcast], frames: Sequence[bytes]) -> None:
        """Take broadcasts; bytes are passed over, as text frames cannot hold them."""
        for broadcast in broadcasts:
            name = broadcast_id(broadcast)
            if not name or name not in self._known:
                self._put(name, broadcast)

    def release(self, missed: Missed | None) -> None:
        """Give what was missed first, then what came meanwhile, each once."""
        held, self._queue, self._bytes = self._queue, deque(), 0
        for broadcast in missed.broadcasts if missed is not None else ():
            self._put(broadcast_id(broadcast), broadcast, is_bounded=False)
        told = [name for name, _ in self._queue if name]
        self._known = frozenset(told[-_KNOWN_IDS:])
        self._queue.extend((name, data) for name, data in held if not name or name not in self._known)
        self._bytes = sum(len(data) for _, data in self._queue)
        self.is_held = False
        self._wake.set()

    async def next(self) -> tuple[list[str], bytes]:
        """Give the ids and the text of events that wait, a few at a time; nothing when nothing came for a while."""
        try:
            async with asyncio.timeout(self._limits.look_s):
                await self._wake.wait()
        except TimeoutError:
            return [], b""
        taken = [self._queue.popleft() for _ in range(min(_AT_ONCE, len(self._queue)))]
        text = b"".join(data for _, data in taken)
        self._bytes -= len(text)
        if not self._queue:
            self._wake.clear()
        return [name for name, _ in taken if name], text

    def _put(self, name: str, broadcast: Broadcast, *, is_bounded: bool = True) -> None:
        found = encode_broadcast(broadcast, self.version)
        if found is None or self.is_over:
            return
        data = event_text(found[1])
        limits = self._limits
        if is_bounded and (len(self._queue) >= limits.queued or self._bytes + len(data) > limits.queued_bytes):
            tell("stream.cut", reason="slow")
            self.is_over = True
            self._queue.clear()
        else:
            self._queue.append((name, data))
            self._bytes += len(data)
        self._wake.set()


def event_text(data: bytes) -> bytes:
    """Give one event. Line ends can stand in JSON only between its words, and would end the event's line."""
    return b"data: " + data.replace(b"\r", b" ").replace(b"\n", b" ") + b"\n\n"


def place_text(place: str) -> bytes:
    """Give what tells a client where it stands, and that the stream lives; its page hears nothing of it."""
    return b": heartbeat\nid: %b\n\n" % place.encode()


def system_text(topic: str, status: str, text: str) -> bytes:
    """Give a `system` message, in the form that sockets of version 1.0.0 get."""
    payload = {"extension": "system", "status": status, "message": text, "channel": topic}
    frame = {"ref": None, "event": "system", "topic": WIRE_PREFIX + topic, "payload": payload}
    return event_text(encode_json(frame))
