"""Which other nodes want row changes, and what a node that has no slot hears of them. Pure."""

from collections import deque
from typing import Literal

from rowcast.capture.change_packet import Lead, Piece
from rowcast.core.row_change import RowChanges

FORGET_S = 6.0
"""A node that has not said for so long that it wants changes is gone, and so is a reader that is silent."""

Heard = Literal["nothing", "live", "gap", "full"]
"""`gap`: something is missing, and from here on all is there; `full`: what comes from now on is missing."""


class Wishes:
    """What the reader knows of the other nodes."""

    __slots__ = ("_said_at_s",)

    def __init__(self) -> None:
        """Begin with nobody."""
        self._said_at_s: dict[str, float] = {}

    def note(self, node: str, *, now_s: float) -> bool:
        """Note that a node wants changes; True where that is news."""
        is_new = node not in self._said_at_s
        self._said_at_s[node] = now_s
        return is_new

    def current(self, *, now_s: float) -> tuple[str, ...]:
        """Give the nodes that want changes now."""
        self._said_at_s = {node: at_s for node, at_s in self._said_at_s.items() if at_s > now_s - FORGET_S}
        return tuple(self._said_at_s)


class Listening:
    """What a node without a slot has heard and not told its subscribers yet; at most `limit_bytes` of it."""

    __slots__ = ("_epoch", "_heard_at_s", "_is_full", "_limit_bytes", "_next", "_node", "_queue", "_queued_bytes")

    def __init__(self, node: str, *, limit_bytes: int) -> None:
        """Begin without a reader."""
        self._node = node
        self._limit_bytes = limit_bytes
        self._queue: deque[tuple[RowChanges, int]] = deque()
        self._queued_bytes = 0
        self._is_full = False
        self.forget()

    def forget(self) -> None:
        """Begin anew, as if no reader was ever heard; what waits is still told."""
        self._epoch: str | None = None
        self._next = 0
        self._heard_at_s = 0.0

    def is_silent(self, *, now_s: float) -> bool:
        """Tell whether the reader that told us changes has not been heard for too long."""
        return self._epoch is not None and now_s - self._heard_at_s > FORGET_S

    def note_lead(self, lead: Lead, *, now_s: float) -> Heard:
        """Take what a reader says of itself: are we live now, and was something missed before?"""
        if self._node not in lead.listeners:
            return "nothing"
        self._heard_at_s = now_s
        is_gap = self._epoch is not None and (self._epoch != lead.epoch or self._next != lead.number)
        self._epoch, self._next = lead.epoch, lead.number
        return "gap" if is_gap else "live"

    def note_piece(self, piece: Piece, *, size_bytes: int, now_s: float) -> Heard:
        """Take changes; `full` when there is no room for them, until half of what waits is told."""
        if self._epoch is None:
            return "nothing"
        self._heard_at_s = now_s
        is_gap = (self._epoch, self._next) != (piece.epoch, piece.number)
        self._epoch, self._next = piece.epoch, piece.number + 1
        if self._queued_bytes + size_bytes > (self._limit_bytes // 2 if self._is_full else self._limit_bytes):
            self._is_full = True
            return "full"
        self._is_full = False
        self._queue.append((piece.changes, size_bytes))
        self._queued_bytes += size_bytes
        return "gap" if is_gap else "live"

    def next_changes(self) -> RowChanges | None:
        """Give the oldest changes that wait."""
        if not self._queue:
            return None
        changes, size_bytes = self._queue.popleft()
        self._queued_bytes -= size_bytes
        return changes
