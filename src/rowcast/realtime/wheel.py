"""One timer for all connections: each is looked at once in a turn of the wheel. No task and no timer of their own."""

import heapq
import itertools
from collections.abc import Callable
from typing import Protocol

_DELAYED_LIMIT = 10_000


class Watched(Protocol):
    """Something with deadlines of its own."""

    def look(self, now_s: float) -> None:
        """Look at the deadlines; `now_s` is on the clock's monotonic scale."""
        ...


class Wheel:
    """Looks at everything it watches once in `slots` ticks, and calls back what was put off."""

    __slots__ = ("_delayed", "_numbers", "_position", "_slots", "_turn")

    def __init__(self, slots: int = 8) -> None:
        """With one tick a second, `slots` is how many seconds late a deadline may be noticed."""
        self._slots: list[set[Watched]] = [set() for _ in range(slots)]
        self._turn = itertools.cycle(range(slots))
        self._position = 0
        self._numbers = itertools.count()
        self._delayed: list[tuple[float, int, Callable[[], None]]] = []

    def add(self, watched: Watched) -> int:
        """Watch something and give its slot, which `remove` wants back."""
        slot = next(self._turn)
        self._slots[slot].add(watched)
        return slot

    def remove(self, watched: Watched, slot: int) -> None:
        """Watch it no longer."""
        self._slots[slot].discard(watched)

    def call_at(self, due_s: float, callback: Callable[[], None]) -> None:
        """Call back at the first tick after `due_s`; at once when too much waits already."""
        if len(self._delayed) >= _DELAYED_LIMIT:
            callback()
            return
        heapq.heappush(self._delayed, (due_s, next(self._numbers), callback))

    def tick(self, now_s: float) -> None:
        """Do what is due; called once a second."""
        while self._delayed and self._delayed[0][0] <= now_s:
            heapq.heappop(self._delayed)[2]()
        for watched in tuple(self._slots[self._position]):
            watched.look(now_s)
        self._position = (self._position + 1) % len(self._slots)
