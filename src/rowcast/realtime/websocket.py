"""One socket: bytes from the transport through reader and session, effects back out. No task, no timer of its own."""

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial

import msgspec

from rowcast.core.telemetry import tell
from rowcast.realtime import frames
from rowcast.realtime.audit import ActivityLog
from rowcast.realtime.audit_members import Memberships
from rowcast.realtime.channel_sockets import SocketChannels
from rowcast.realtime.ear import Ear
from rowcast.realtime.effects import (
    Answer,
    Ask,
    Disconnect,
    Effect,
    Effects,
    MayRead,
    Publish,
    Send,
    Subscribe,
    Unsubscribe,
)
from rowcast.realtime.hub import Hub
from rowcast.realtime.messages import Frame, Incoming, Malformed
from rowcast.realtime.protocol import Version, decode_binary, decode_text, encode_frame
from rowcast.realtime.session import Session

_LINGER_OFF = struct.pack("ii", 1, 0)


class SocketLimits(msgspec.Struct, frozen=True):
    """Bounds of one socket.

    `queued_bytes` and `queued_frames` wait while the client does not read; past them, or after `stalled_s`, it is cut.
    `sndbuf_bytes` keeps the kernel from hiding megabytes for each client that stands still.
    """

    frame_bytes: int = 5_000_000
    idle_s: float = 60.0
    stalled_s: float = 10.0
    without_channel_s: float = 600.0
    closing_s: float = 5.0
    queued_bytes: int = 8 * 1024 * 1024
    queued_frames: int = 2048
    sndbuf_bytes: int = 128 * 1024
    messages_per_step: int = 64
    delayed: int = 32
    join_refusal_delay_s: float | None = None


class SocketProtocol(asyncio.Protocol):
    """A WebSocket that speaks the channel protocol."""

    __slots__ = (
        "_channels",
        "_closing_since_s",
        "_delayed",
        "_heard_at_s",
        "_hub",
        "_is_deaf",
        "_is_gone",
        "_joined_at_s",
        "_limits",
        "_members",
        "_queue",
        "_queued_bytes",
        "_reader",
        "_session",
        "_stalled_since_s",
        "_transport",
        "_write",
        "number",
        "version",
        "write_shared",
    )

    def __init__(self, hub: Hub, session: Session, *, version: Version, limits: SocketLimits) -> None:
        """Serve `session`; `attach` gives the transport."""
        self.version: Version = version
        self.number = session.number
        self._hub = hub
        self._session = session
        self._limits = limits
        self._reader = frames.FrameReader(limits.frame_bytes)
        self._heard_at_s = self._joined_at_s = hub.clock.monotonic_s()
        self._stalled_since_s: float | None = None
        self._closing_since_s: float | None = None
        self._queue: deque[bytes] | None = None
        self._queued_bytes = 0
        self._delayed = 0
        self._is_deaf = False
        self._is_gone = False
        self._channels = SocketChannels(self, hub)
        self._members: Memberships | None = None
        self.write_shared: Callable[[bytes], None] = _write_nothing
        """Writes frames, or keeps them while the client does not read: the transport's own where that will do."""

    def attach(self, transport: asyncio.Transport, first_bytes: bytes) -> None:
        """Take over a transport whose upgrade was answered, and what came behind the upgrade."""
        self._transport = transport
        self._write = self.write_shared = transport.write
        _set_option(transport, socket.SO_SNDBUF, self._limits.sndbuf_bytes)
        transport.set_protocol(self)
        self._hub.add(self)
        if first_bytes:
            self.data_received(first_bytes)

    def data_received(self, data: bytes) -> None:
        """Read what the socket brought."""
        self._heard_at_s = self._hub.clock.monotonic_s()
        self._reader.feed(data)
        self._read_some()

    def eof_received(self) -> bool:
        """End: a WebSocket that is closed on one side is closed."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Leave every topic."""
        self._is_gone = True
        self.write_shared = _write_nothing
        self._leave_all()
        self._hub.remove(self)
        self._session.meter.disconnect(self._session.user)
        self._queue = None

    def pause_writing(self) -> None:
        """The client does not read fast enough: keep its frames here from now on."""
        if self._stalled_since_s is None:
            self._stalled_since_s = self._hub.clock.monotonic_s()
            self.write_shared = self._keep

    def resume_writing(self) -> None:
        """It reads again: write what was kept until it is too much again."""
        if self._is_gone:
            return
        self._stalled_since_s = None
        while self._queue and self._stalled_since_s is None:
            data = self._queue.popleft()
            self._queued_bytes -= len(data)
            self._write(data)
        if self._stalled_since_s is None:
            self.write_shared = self._write
            self._channels.pump()

    @property
    def is_stalled(self) -> bool:
        """Tell whether the client does not read fast enough at the moment, or at all."""
        return self._stalled_since_s is not None or self._is_gone

    def note_sent(self, ear: Ear, broadcast_id: str) -> None:
        """Take note of what a session was sent, so that its arrival is found out."""
        self._channels.note_sent(ear, broadcast_id)

    def look(self, now_s: float) -> None:
        """Look at the deadlines: the client's silence, its stalling, a goodbye not answered, tokens that run out."""
        limits = self._limits
        if self._is_gone:
            return
        if self._closing_since_s is not None:
            if now_s - self._closing_since_s > limits.closing_s:
                self.cut("no_goodbye")
        elif self._stalled_since_s is not None and now_s - self._stalled_since_s > limits.stalled_s:
            self.cut("slow")
        elif now_s - self._heard_at_s > limits.idle_s:
            tell("socket.closed", reason="idle")
            self._say_close(frames.NORMAL, "idle")
        elif self._session.channels:
            self._joined_at_s = now_s
            self._do(self._session.expire(now=self._hub.clock.now()))
        elif now_s - self._joined_at_s > limits.without_channel_s:
            tell("socket.closed", reason="no_channel")
            self._say_close(frames.NORMAL, "no channel")

    def shut(self, text: str, code: int) -> None:
        """Tell every channel `text`, then close the socket with `code`; clients come back and join again."""
        if self._closing_since_s is None and not self._is_gone:
            self._do(self._session.close(text))
            self._say_close(code, text)

    def cut(self, reason: str) -> None:
        """End it now; what the client has not read is thrown away, in the kernel too."""
        if self._is_gone:
            return
        tell("socket.cut", reason=reason)
        self._is_gone = True
        self.write_shared = _write_nothing
        self._leave_all()
        _set_option(self._transport, socket.SO_LINGER, _LINGER_OFF)
        self._transport.abort()

    def _keep(self, data: bytes) -> None:
        if self._is_gone:
            return
        if self._queue is None:
            self._queue = deque()
        if len(self._queue) >= self._limits.queued_frames or self._queued_bytes > self._limits.queued_bytes:
            self.cut("slow")
            return
        self._queue.append(data)
        self._queued_bytes += len(data)

    def _read_more(self) -> None:
        if not self._is_gone:
            self._transport.resume_reading()
            self._read_some()

    def _read_some(self) -> None:
        try:
            self._take_messages()
        except Exception as error:  # noqa: BLE001 - a fault of ours ends this socket and no other
            tell("socket.crashed", error=type(error).__name__)
            self._hang_up(frames.INTERNAL_FAULT, "internal error")

    def _take_messages(self) -> None:
        """Take a few messages, then let the loop look after others before the rest."""
        now = self._hub.clock.now()
        for _ in range(self._limits.messages_per_step):
            message = None if self._is_deaf else self._reader.next()
            if message is None:
                return
            self._take_message(message, now)
        self._transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._read_more)

    def _take_message(self, message: frames.Message | frames.Violation, now: datetime) -> None:
        if isinstance(message, frames.Violation):
            tell("socket.closed", reason="protocol")
            self._hang_up(message.code, message.reason)
            return
        opcode, payload = message
        if opcode == frames.CLOSE:
            self._hang_up(frames.close_answer(payload), "")
            self._transport.close()
        elif self._closing_since_s is not None:
            return
        elif opcode == frames.TEXT:
            self._receive(decode_text(payload, self.version), now)
        elif opcode == frames.BINARY:
            self._receive(decode_binary(payload, self.version), now)
        elif opcode == frames.PING:
            self.write_shared(frames.encode_message(frames.PONG, payload))
        elif opcode == frames.PONG:
            self._channels.hear_pong(payload)

    def _hang_up(self, code: int, reason: str) -> None:
        """Close and listen no more; what still comes in is thrown away, so that the peer can read why."""
        self._is_deaf = True
        self._say_close(code, reason)
        self._end_writing()

    def _end_writing(self) -> None:
        """Say that nothing more comes behind this: a server ends the connection first (RFC 6455, 7.1.1)."""
        if self._stalled_since_s is None and not self._is_gone and self._transport.can_write_eof():
            self._transport.write_eof()
            self._write = self.write_shared = _write_nothing

    def _say_close(self, code: int, reason: str) -> None:
        if self._closing_since_s is not None:
            return
        self._closing_since_s = self._hub.clock.monotonic_s()
        self._leave_all()
        self.write_shared(frames.encode_close(code, reason))

    def _leave_all(self) -> None:
        self._do(self._session.lose())

    def _receive(self, message: Incoming, now: datetime) -> None:
        if isinstance(message, Malformed):
            tell("frame.refused", reason="malformed")
            return
        if self._members is not None and isinstance(message, Frame) and message.event == "heartbeat":
            self._members.beat(self._channels.changes_told)
        self._do(self._session.receive(message, now=now))

    def _do(self, effects: Effects) -> None:
        for effect in effects:
            if self._hub.activity is not None:
                self._record(effect, self._hub.activity)
            match effect:
                case Send(frame, delay_s):
                    self._send(frame, delay_s)
                case Publish(broadcast, accepted, refused):
                    answer = accepted if self._hub.publish(broadcast) else refused
                    if answer is not None:
                        self._send(answer, 0.0)
                case Disconnect(code, text):
                    tell("socket.closed", reason="limit")
                    self._say_close(code, text)
                case Ask():
                    self._channels.ask(effect, partial(self._hear_answer, effect.number))
                case _:
                    self._channels.do(effect)

    def _record(self, effect: Effect, activity: ActivityLog) -> None:
        match effect:
            case Subscribe(key):
                channels = self._session.channels.values()
                own = next((channel.claims for channel in channels if channel.key == key), self._session.claims)
                self._recorded(activity).join(key, own)
            case Unsubscribe(key) if self._members is not None:
                is_over = self._is_gone or self._closing_since_s is not None
                self._members.leave(key, "disconnect" if is_over else "leave")
            case Ask(_, MayRead(claims, topic)):
                self._recorded(activity).ask(topic, claims)
            case Send(frame, delay_s) if delay_s:
                # Only the refusal of a join is put off.
                self._recorded(activity).refuse(frame, self._session.claims)

    def _recorded(self, activity: ActivityLog) -> Memberships:
        """Give what is recorded of this socket; made when there is something."""
        if self._members is None:
            self._members = Memberships(activity, number=self.number, topics=self._hub)
        return self._members

    def _hear_answer(self, number: int, answer: Answer) -> None:
        if self._is_gone or self._closing_since_s is not None:
            return
        try:
            self._do(self._session.answer(number, answer, now=self._hub.clock.now()))
        except Exception as error:  # noqa: BLE001 - a fault of ours ends this socket and no other
            tell("socket.crashed", error=type(error).__name__)
            self._hang_up(frames.INTERNAL_FAULT, "internal error")

    def _send(self, frame: Frame, delay_s: float) -> None:
        if delay_s and self._limits.join_refusal_delay_s is not None:
            delay_s = self._limits.join_refusal_delay_s
        data = frames.encode_message(frames.TEXT, encode_frame(frame, self.version))
        if not delay_s or self._delayed >= self._limits.delayed:
            self.write_shared(data)
            return
        self._delayed += 1
        self._hub.wheel.call_at(self._hub.clock.monotonic_s() + delay_s, partial(self._send_late, data))

    def _send_late(self, data: bytes) -> None:
        self._delayed -= 1
        if not self._is_gone and self._closing_since_s is None:
            self.write_shared(data)


def _write_nothing(data: object) -> None:
    """What a fan-out still has for a socket that has said goodbye."""


def _set_option(transport: asyncio.Transport, option: int, value: int | bytes) -> None:
    raw = transport.get_extra_info("socket")
    # A socket that is gone already needs no options.
    with suppress(OSError):
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, option, value)
