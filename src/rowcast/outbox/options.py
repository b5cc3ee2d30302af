"""What a relay may be told by whoever builds it."""

from collections.abc import Callable

import msgspec

from rowcast.core.clock import Clock, SystemClock
from rowcast.core.failpoint import Failpoint, no_failpoint
from rowcast.core.retry import RetryPolicy
from rowcast.outbox.claim_feed import ClaimFeed

_BUSY_EVENTS = 6
_GATHER_EACH_S, _GATHER_MOST_S = 0.001, 0.02


class RelayOptions(msgspec.Struct, frozen=True):
    """How failed events are retried, who drains where no relay runs, and what tests set.

    `spare_feed` makes a claim feed for the time of one drain; without it a drain only waits for running relays. From
    `backlog_events` in one batch on, the next batch is taken without a pause.
    """

    retry: RetryPolicy = RetryPolicy(max_attempts=10, base_s=1.0, cap_s=3600.0)
    spare_feed: Callable[[], ClaimFeed] | None = None
    backlog_events: int = 250
    drain_timeout_s: float = 30.0
    low_bound_every_s: float = 5.0
    failpoint: Failpoint = no_failpoint
    clock: Clock = SystemClock()
    noise: Callable[[], float] = lambda: 0.5

    def gather_s(self, events: int) -> float:
        """Give how long the next batch is waited for after one of so many events.

        Each batch costs its round trips, however small it is, and on a busy machine the application pays for them.
        Behind a few events nobody is busy; in a backlog the next batch is full anyway.
        """
        is_busy = _BUSY_EVENTS <= events < self.backlog_events
        return min(events * _GATHER_EACH_S, _GATHER_MOST_S) if is_busy else 0.0
