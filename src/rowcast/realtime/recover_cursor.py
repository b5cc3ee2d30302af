"""How far one session has come on one topic, as far as the client's side of the socket has proved it. Pure.

A cursor says: everything of the topic below its two marks was received, and of what is above, what is in `received`.
A mark moves over something only when that was acknowledged, or is none of the topic's. So whatever a node, the bus or
a socket has lost lies above the mark and is found again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

RECEIVED_LIMIT = 10_000
IN_FLIGHT_LIMIT = 10_000


class Settled(msgspec.Struct, frozen=True):
    """Something that nothing can appear before any more: its number and its id. Messages share numbers.

    `is_told` says that it went out for certain: who has not heard it will not hear it by waiting.
    """

    number: int
    id: str
    is_told: bool = False


class Position(msgspec.Struct, frozen=True):
    """A cursor as it is kept."""

    from_seq: int
    from_transaction: int = 0
    received: tuple[str, ...] = ()


@dataclass(slots=True)
class Mark:
    """How far one source was received: events by their `seq`, messages of the database by their transaction.

    `waits_for` is what holds it; until that is acknowledged nothing has to be looked up for it.
    """

    number: int
    waits_for: str | None = None
    is_told: bool = False


@dataclass(slots=True)
class Cursor:
    """One session on one topic. `in_flight` was written to the socket, oldest first, and not acknowledged yet.

    One that is not `is_kept` lives in this process only: its client says itself where it stands when it comes back.
    """

    events: Mark
    messages: Mark
    received: dict[str, None] = field(default_factory=dict)
    in_flight: dict[str, None] = field(default_factory=dict)
    is_changed: bool = False
    is_kept: bool = True
    heard_at_s: float = 0.0
    written_at_s: float = 0.0

    @classmethod
    def at(cls, kept: Position) -> "Cursor":
        """Give a cursor that begins where one was kept."""
        return cls(Mark(kept.from_seq), Mark(kept.from_transaction), dict.fromkeys(kept.received))

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

    def is_held(self, mark: Mark) -> bool:
        """Tell whether what a mark waits for is still not received."""
        return mark.waits_for is not None and mark.waits_for not in self.received

    def gap(self) -> str | None:
        """Give the event that went out and is neither received nor on its way: this node has lost it."""
        name = self.events.waits_for
        is_lost = self.events.is_told and name not in self.in_flight and name not in self.received
        return name if is_lost else None

    def advance(self, mark: Mark, settled: Sequence[Settled], *, bound: int) -> None:
        """Move a mark over what the topic was told below `bound`, up to the first that was not received.

        Args:
            mark: `events` or `messages`.
            settled: All of it from the mark on, in order.
            bound: The number below which nothing can appear any more.
        """
        due = [each for each in settled if each.number >= mark.number]
        missing = next((each for each in due if each.id not in self.received), None)
        mark.waits_for, mark.is_told = (None, False) if missing is None else (missing.id, missing.is_told)
        mark.number = max(mark.number, bound) if missing is None else missing.number
        for each in due:
            if each.number < mark.number and each.id in self.received:
                del self.received[each.id]
                self.is_changed = True

    def resume(self, kept: Position) -> None:
        """Begin again on a new socket, from here or from what was kept, whichever is further; both are true."""
        self.events = Mark(max(self.events.number, kept.from_seq))
        self.messages = Mark(max(self.messages.number, kept.from_transaction))
        self.received |= dict.fromkeys(kept.received)
        self.in_flight.clear()

    def look_again(self) -> None:
        """Look up what holds the marks, although it has not come: it may have become a dead letter."""
        self.events.waits_for = self.messages.waits_for = None

    def position(self) -> Position:
        """Give what is to be kept."""
        return Position(self.events.number, self.messages.number, tuple(self.received))


def _up_to(sent: Iterable[str], last: str) -> Iterable[str]:
    for each in sent:
        yield each
        if each == last:
            return
