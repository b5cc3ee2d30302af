"""A clock that stands still until a test moves it."""

from datetime import UTC, datetime, timedelta

from rowcast.core.clock import Clock

_START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeClock:
    """Starts on 2026-01-01 00:00 UTC and moves only by `tick`."""

    __slots__ = ("_elapsed_s", "_start")

    def __init__(self, start: datetime = _START) -> None:
        """Start at a moment, aware UTC."""
        self._start = start
        self._elapsed_s = 0.0

    def now(self) -> datetime:
        """Give the time the test has set, aware UTC."""
        return self._start + timedelta(seconds=self._elapsed_s)

    def monotonic_s(self) -> float:
        """Give the seconds that the test has let pass."""
        return self._elapsed_s

    def tick(self, seconds: float = 1.0) -> datetime:
        """Let time pass and give the new time."""
        self._elapsed_s += seconds
        return self.now()


_CONTRACT: Clock = FakeClock()
