"""How far one session has come on one topic, as far as the client's side of the socket has proved it. Pure.

A cursor says: every event of the topic below `from_seq` was received, and of those above the ones in `received`.
It moves over an event only when that event was acknowledged, or was settled and is none of the topic's. So whatever
a node, the bus or a socket has lost lies behind the cursor and is found again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

RECEIVED_LIMIT = 10_000
IN_FLIGHT_LIMIT = 10_000


class Settled(msgspec.Struct, frozen=True):
    """One event that nobody will relay any more: its number and its id."""

    seq: int
    id: str


class Position(msgspec.Struct, frozen=True):
    """A cursor as it is kept."""

    from_seq: int
    received: tuple[str, ...] = ()


@dataclass(slots=True)
class Cursor:
    """One session on one topic. `in_flight` was written to the socket, oldest first, and not acknowledged yet.

    `waits_for` is the event that holds the cursor; until it is acknowledged nothing has to be looked up for it.
    """

    from_seq: int
    received: dict[str, None] = field(default_factory=dict)
    in_flight: dict[str, None] = field(default_factory=dict)
    waits_for: str | None = None
    is_changed: bool = False
    heard_at_s: float = 0.0
    written_at_s: float = 0.0

    def send(self, broadcast_id: str) -> None:
        """Take note of a broadcast on its way. One that was received before counts as not received again."""
        self.received.pop(broadcast_id, None)
        # To the end, even if it is there: what a dead socket was sent before must not count with what follows it.
        self.in_flight.pop(broadcast_id, None)
        self.in_flight[broadcast_id] = None
        if len(self.in_flight) > IN_FLIGHT_LIMIT:
            # Nobody will count it as received: it is told twice at worst.
            del self.in_flight[next(iter(self.in_flight))]

    def acknowledge(self, broadcast_id: str) -> None:
        """Count everything that was sent up to a broadcast as received; one never sent changes nothing."""
        if broadcast_id not in self.in_flight:
            return
        for sent in list(_up_to(self.in_flight, broadcast_id)):
            del self.in_flight[sent]
            self.received[sent] = None
        while len(self.received) > RECEIVED_LIMIT:
            # Forgetting what was received costs a duplicate, never a loss.
            del self.received[next(iter(self.received))]
        self.is_changed = True

    def is_held(self) -> bool:
        """Tell whether the event it waits for is still not received."""
        return self.waits_for is not None and self.waits_for not in self.received

    def advance(self, settled: Sequence[Settled], *, low_seq: int) -> None:
        """Move over the topic's settled events below `low_seq`, up to the first that was not received."""
        self.waits_for = None
        for event in settled:
            if event.seq < self.from_seq:
                continue
            if event.id not in self.received:
                self.from_seq, self.waits_for = event.seq, event.id
                return
            del self.received[event.id]
            self.from_seq, self.is_changed = event.seq + 1, True
        self.from_seq = max(self.from_seq, low_seq)

    def resume(self, kept: Position) -> None:
        """Begin again on a new socket, from here or from what was kept, whichever is further; both are true."""
        self.from_seq = max(self.from_seq, kept.from_seq)
        self.received |= dict.fromkeys(kept.received)
        self.in_flight.clear()
        self.waits_for = None

    def position(self) -> Position:
        """Give what is to be kept."""
        return Position(self.from_seq, tuple(self.received))


def _up_to(sent: Iterable[str], last: str) -> Iterable[str]:
    for each in sent:
        yield each
        if each == last:
            return
