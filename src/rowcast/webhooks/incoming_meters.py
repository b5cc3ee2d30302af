"""How much comes in for each source of this process, and how often it is not genuine. Pure."""

from collections import OrderedDict
from typing import TypeVar

from rowcast.delivery.rate_limit import Limits, grant

T = TypeVar("T")
FAILURES_TOLD = 10
_MINUTE_S = 60.0
_SOURCES_LIMIT = 10_000
_MICROSECONDS = 1_000_000


class Meters:
    """Counts by source. Of the sources that were heard of longest ago nothing is known any more."""

    __slots__ = ("_arrivals", "_failures", "_limits")

    def __init__(self, *, rate_per_minute: int) -> None:
        """Let so many genuine deliveries of one source through, a fifth of them at once."""
        self._limits = Limits(rate_per_minute=rate_per_minute, burst=rate_per_minute)
        self._arrivals: OrderedDict[str, int] = OrderedDict()
        self._failures: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def wait_s(self, source_id: str, *, now_s: float) -> float:
        """Count one delivery and give 0, or give after how many seconds there is room for it."""
        now_us = int(now_s * _MICROSECONDS)
        given = grant(self._arrivals.get(source_id, 0), now_us, wanted=1, limits=self._limits)
        _keep(self._arrivals, source_id, given.arrives_us)
        return 0.0 if given.granted else max(given.next_us - now_us, 1) / _MICROSECONDS

    def is_failing(self, source_id: str, *, now_s: float) -> bool:
        """Count one failure and tell whether it is the tenth of this minute, once a minute."""
        minute = int(now_s // _MINUTE_S)
        before, count = self._failures.get(source_id, (minute, 0))
        count = count + 1 if before == minute else 1
        _keep(self._failures, source_id, (minute, count))
        return count == FAILURES_TOLD


def _keep(kept: OrderedDict[str, T], source_id: str, value: T) -> None:
    kept[source_id] = value
    kept.move_to_end(source_id)
    if len(kept) > _SOURCES_LIMIT:
        kept.popitem(last=False)
