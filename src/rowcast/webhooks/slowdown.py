"""Slower for a while: what an endpoint that says 429, 502 or 504 is spared. Pure.

Each such answer halves its rate, down to a sixteenth, and lets one attempt run at a time, for a minute or as long as it
asked for. When that time is over it goes at its own rate again. Each process keeps its own, as it does with breakers.
"""

import msgspec

from rowcast.delivery.rate_limit import Limits
from rowcast.egress.reply import Answer, Reply

SLOW_STATUSES = frozenset({429, 502, 504})
SLOW_S = 60.0
SLOWEST_S = 3600.0
_MOST_HALVINGS = 4


class Slowdown(msgspec.Struct, frozen=True):
    """How often its rate is halved, until when (monotonic seconds of this process)."""

    halvings: int = 0
    until_s: float = 0.0


def is_overloaded(answer: Answer) -> bool:
    """Tell whether an answer asks for less."""
    return isinstance(answer, Reply) and answer.status in SLOW_STATUSES


def slowed(before: Slowdown | None, *, now_s: float, asked_s: float | None) -> Slowdown:
    """Give the state after an answer that asks for less.

    Args:
        before: None, or the state before; one that is over counts as none.
        now_s: Monotonic seconds.
        asked_s: What its `Retry-After` says, if anything; a minute at least, an hour at most.
    """
    halvings = before.halvings if before is not None and now_s < before.until_s else 0
    length_s = min(SLOWEST_S, max(SLOW_S, asked_s or 0.0))
    until_s = max(now_s + length_s, before.until_s if before is not None else 0.0)
    return Slowdown(min(halvings + 1, _MOST_HALVINGS), until_s)


def limits_while(slowdown: Slowdown | None, limits: Limits, *, now_s: float) -> Limits:
    """Give the limits that hold now."""
    if slowdown is None or now_s >= slowdown.until_s:
        return limits
    rate = max(1, limits.rate_per_minute >> slowdown.halvings)
    return Limits(rate_per_minute=rate, burst=1, concurrency=1)
