"""Rate limits: the generic cell rate algorithm in whole microseconds, so that no rounding ever lets one more through.

The database keeps the state and takes permits in batches (`rowcast.admit`); this is the same arithmetic, and the
suite holds the two together.
"""

from typing import NamedTuple

import msgspec

_MINUTE_US = 60_000_000


class Limits(msgspec.Struct, frozen=True):
    """What one key may do, over all workers. 0 means no limit.

    Never more than `rate_per_minute` attempts begin in any 60 seconds, at most `burst` of them at once (a fifth of the
    rate is the most that counts), and at most `concurrency` run at the same time.
    """

    rate_per_minute: int = 0
    burst: int = 1
    concurrency: int = 0

    @property
    def is_open(self) -> bool:
        """Tell whether nothing is limited."""
        return self.rate_per_minute <= 0 and self.concurrency <= 0


class Grant(NamedTuple):
    """How many may run now, the state after them, and when the next may run."""

    granted: int
    arrives_us: int
    next_us: int


def burst_size(limits: Limits) -> int:
    """Give how many may begin at once: at least one, never more than a fifth of a minute's worth.

    Every permit of a burst is one less for the rest of the minute; with more, a key that is always busy would crawl.
    """
    return max(1, min(limits.burst, limits.rate_per_minute // 5))


def spacing_us(limits: Limits) -> int:
    """Give the steady distance of two attempts in microseconds, rounded up; 0 where the rate is not limited.

    A burst is paid for by the wider spacing of the rest: with N a minute and B at once, N - B + 1 fill a minute.
    """
    if limits.rate_per_minute <= 0:
        return 0
    spread = limits.rate_per_minute - burst_size(limits) + 1
    return -(-_MINUTE_US // spread)


def grant(arrives_us: int, now_us: int, *, wanted: int, limits: Limits) -> Grant:
    """Give what `wanted` attempts at `now_us` are granted.

    Args:
        arrives_us: The state: the theoretical arrival time of the next permit. Anything in the past is a rested key.
        now_us: Microseconds on the scale of the state.
        wanted: How many would like to run now.
        limits: Rate and burst of the key; the rate must be limited.
    """
    step_us, burst = spacing_us(limits), burst_size(limits)
    start_us = max(arrives_us, now_us)
    granted = max(0, min(wanted, (now_us + burst * step_us - start_us) // step_us))
    after_us = start_us + granted * step_us
    return Grant(granted, after_us, max(now_us, after_us - (burst - 1) * step_us))
