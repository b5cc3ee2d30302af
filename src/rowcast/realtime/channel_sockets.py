"""What one socket's channels take part in: topics of the hub, changed rows, and the log of what has arrived."""

from collections.abc import Callable
from typing import Protocol

from msgspec import Raw

from rowcast.core.telemetry import tell
from rowcast.realtime.arrivals import Arrivals
from rowcast.realtime.ear import ChannelChanges, Ear, Writer
from rowcast.realtime.effects import (
    Answer,
    Ask,
    Effect,
    Follow,
    Release,
    ReleaseChanges,
    ShowPresences,
    Subscribe,
    Track,
    Unfollow,
    Unsubscribe,
    Untrack,
)
from rowcast.realtime.fan_out import BROADCASTS, PRESENCES, Receiver
from rowcast.realtime.frames import PING, TEXT, encode_message
from rowcast.realtime.hub import Hub
from rowcast.realtime.messages import Frame, Ref, TopicKey
from rowcast.realtime.protocol import WIRE_PREFIX, encode_frame

_PING_AFTER_S = 1.0


class Socket(Writer, Receiver, Protocol):
    """A socket as its channels see it."""


class SocketChannels:
    """Does what a session wants done beyond writing to its own client."""

    __slots__ = ("_arrivals", "_changes", "_ears", "_hub", "_is_ping_due", "_socket")

    def __init__(self, socket: Socket, hub: Hub) -> None:
        """Serve `socket`; what only some sockets need is made when they need it."""
        self._socket = socket
        self._hub = hub
        self._ears: dict[TopicKey, Ear] | None = None
        self._changes: dict[int, ChannelChanges] | None = None
        self._arrivals: Arrivals[Ear] | None = None
        self._is_ping_due = False

    def do(self, effect: Effect) -> None:
        """Carry out an effect."""
        match effect:
            case Subscribe():
                self._subscribe(effect)
            case Unsubscribe(key):
                ear = self._ears.pop(key, None) if self._ears else None
                self._hub.unsubscribe(key, self._socket, *((ear,) if ear else ()))
            case Release(key, join_ref, missed):
                if self._ears and key in self._ears:
                    self._ears[key].release(missed, join_ref)
            case ReleaseChanges(number):
                if self._changes and number in self._changes:
                    self._changes[number].release()
            case Unfollow(number):
                self._unfollow(number)
            case _:
                self._show(effect)

    def ask(self, ask: Ask, then: Callable[[Answer], None]) -> None:
        """Find something out and give the answer to `then`."""
        if isinstance(ask.question, Follow):
            self._hub.follow(ask.question, self._receiver(ask.question), then)
        else:
            self._hub.ask(ask.question, then)

    def pump(self) -> None:
        """Write what waits, now that the client reads again."""
        for ear in tuple(self._ears.values()) if self._ears else ():
            ear.pump()

    def note_sent(self, ear: Ear, broadcast_id: str) -> None:
        """Take note of what a session was sent; every few of them a PING follows, at most a second later."""
        log = self._hub.outside.log
        if log is None or ear.session is None:
            return
        log.sent(ear.key, ear.session, broadcast_id)
        if self._arrivals is None:
            self._arrivals = Arrivals()
        if self._arrivals.note(ear, broadcast_id):
            self._ping()
        elif not self._is_ping_due:
            self._is_ping_due = True
            self._hub.wheel.call_at(self._hub.clock.monotonic_s() + _PING_AFTER_S, self._ping_late)

    @property
    def changes_told(self) -> int:
        """Give how many changed rows the channels of now have been told."""
        return sum(receiver.told for receiver in self._changes.values()) if self._changes else 0

    def hear_pong(self, payload: bytes) -> None:
        """Take note of what has arrived."""
        log = self._hub.outside.log
        if log is None or self._arrivals is None:
            return
        for ear, broadcast_id in self._arrivals.pong(payload).items():
            if ear.session is not None:
                log.acknowledged(ear.key, ear.session, broadcast_id)

    def _subscribe(self, wanted: Subscribe) -> None:
        tell("channel.joined", is_private=wanted.key.is_private)
        hears = PRESENCES if wanted.hears_presences else 0
        if wanted.is_held and wanted.hears_broadcasts:
            if self._ears is None:
                self._ears = {}
            ear = self._ears[wanted.key] = Ear(self._socket, wanted.key, wanted.session)
            self._hub.listen(wanted.key, ear)
        elif wanted.hears_broadcasts:
            hears |= BROADCASTS
        if hears:
            self._hub.subscribe(wanted.key, self._socket, hears)

    def _show(self, effect: Effect) -> None:
        match effect:
            case Track(key, name, payload):
                self._hub.presences.track(key, self._socket.number, name, payload)
            case Untrack(key, is_at_once):
                self._hub.presences.untrack(key, self._socket.number, is_at_once=is_at_once)
            case ShowPresences(key, join_ref):
                self._show_presences(key, join_ref)

    def _show_presences(self, key: TopicKey, join_ref: Ref) -> None:
        payload = Raw(self._hub.presences.state(key))
        shown = Frame(join_ref, None, WIRE_PREFIX + key.topic, "presence_state", payload)
        self._socket.write_shared(encode_message(TEXT, encode_frame(shown, self._socket.version)))

    def _receiver(self, question: Follow) -> ChannelChanges:
        if self._changes is None:
            self._changes = {}
        found = self._changes.get(question.number)
        if found is None:
            found = ChannelChanges(self._socket, self._hub.change_frames, question)
            self._changes[question.number] = found
        return found

    def _unfollow(self, number: int) -> None:
        receiver = self._changes.pop(number, None) if self._changes else None
        if receiver is not None:
            receiver.is_over = True
            self._hub.unfollow(receiver)

    def _ping_late(self) -> None:
        self._is_ping_due = False
        self._ping()

    def _ping(self) -> None:
        # Without an ear the channels have left, or the socket is gone.
        payload = self._arrivals.ping() if self._arrivals is not None and self._ears else None
        if payload is not None:
            self._socket.write_shared(encode_message(PING, payload))
