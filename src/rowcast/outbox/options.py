"""What a relay may be told by whoever builds it."""

from collections.abc import Callable
from dataclasses import dataclass

from rowcast.core.clock import Clock, SystemClock
from rowcast.core.failpoint import Failpoint, no_failpoint
from rowcast.core.retry import RetryPolicy
from rowcast.outbox.claim_feed import ClaimFeed


def _middle() -> float:
    return 0.5


@dataclass(frozen=True, slots=True)
class RelayOptions:
    """How failed events are retried, who drains where no relay runs, and what tests set: failpoints, clock, randomness."""

    retry: RetryPolicy = RetryPolicy(max_attempts=10, base_s=1.0, cap_s=3600.0)
    spare_feed: Callable[[], ClaimFeed] | None = None
    drain_timeout_s: float = 30.0
    low_bound_every_s: float = 5.0
    failpoint: Failpoint = no_failpoint
    clock: Clock = SystemClock()
    noise: Callable[[], float] = _middle
