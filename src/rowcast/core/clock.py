"""The contract for time, and the one module that may read the machine's clock."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """What time it is. Passed in everywhere, so that a test can set it."""

    def now(self) -> datetime:
        """Give the wall-clock time, aware UTC."""
        ...

    def monotonic_s(self) -> float:
        """Give seconds on a scale that never steps back; only differences mean anything."""
        ...


class SystemClock:
    """The machine's clock."""

    __slots__ = ()

    def now(self) -> datetime:
        """Give the wall-clock time, aware UTC."""
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        """Give seconds on a scale that never steps back; only differences mean anything."""
        return time.monotonic()


_CONTRACT: Clock = SystemClock()
