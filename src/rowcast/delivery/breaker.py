"""The breaker of one key: closed, open until a moment, or half open while a single probe runs. Values only.

Each process keeps its own breakers; a node that comes back learns within a few attempts what the others know.
"""

import msgspec


class BreakerPolicy(msgspec.Struct, frozen=True):
    """When it opens and for how long.

    `failures` in a row open it for `open_s`, doubled by each failed probe up to `cap_s`.
    """

    failures: int = 5
    open_s: float = 15.0
    cap_s: float = 600.0
    jitter: float = 0.1


class Breaker(msgspec.Struct, frozen=True):
    """The state of one key. Times are monotonic seconds of this process."""

    failures: int = 0
    openings: int = 0
    probe_at_s: float = 0.0
    is_probing: bool = False

    @property
    def is_open(self) -> bool:
        """Tell whether ordinary deliveries are held back."""
        return self.openings > 0


CLOSED = Breaker()
"""Where every key begins, and where any answer of the target leads back to."""


class Permit(msgspec.Struct, frozen=True):
    """What a delivery of the key may do: run, or wait. `breaker` is the state after asking."""

    breaker: Breaker
    may_run: bool
    wait_s: float = 0.0


def ask(breaker: Breaker, policy: BreakerPolicy, *, now_s: float, place: int = 0) -> Permit:
    """Give what the next delivery of a key may do.

    Args:
        breaker: The state before.
        policy: Of the sink.
        now_s: Monotonic seconds.
        place: How many of the key were told to wait just before: the first is due as the next probe, the rest one
            opening later, so that a backlog is not moved again for each probe.
    """
    if not breaker.is_open:
        return Permit(breaker, may_run=True)
    if not breaker.is_probing and now_s >= breaker.probe_at_s:
        return Permit(msgspec.structs.replace(breaker, is_probing=True), may_run=True)
    wait_s = max(0.0, breaker.probe_at_s - now_s)
    if place > 0 or breaker.is_probing:
        wait_s += opening_s(breaker, policy)
    return Permit(breaker, may_run=False, wait_s=wait_s)


def after_failure(breaker: Breaker, policy: BreakerPolicy, *, now_s: float, noise: float) -> Breaker:
    """Give the state after the target did not answer as it should.

    A failure of an attempt that began before the breaker opened changes nothing while it is open.
    """
    failures = breaker.failures + 1
    if breaker.is_open and not breaker.is_probing:
        return breaker
    if not breaker.is_open and failures < policy.failures:
        return msgspec.structs.replace(breaker, failures=failures)
    opened = Breaker(failures=failures, openings=breaker.openings + 1)
    wait_s = opening_s(opened, policy) * (1.0 + policy.jitter * (2.0 * noise - 1.0))
    return msgspec.structs.replace(opened, probe_at_s=now_s + wait_s)


def probe_given_up(breaker: Breaker) -> Breaker:
    """Give the state when a probe was allowed but never made: the next delivery may be the probe."""
    return msgspec.structs.replace(breaker, is_probing=False)


def opening_s(breaker: Breaker, policy: BreakerPolicy) -> float:
    """Give how long the present opening lasts, without jitter."""
    return float(min(policy.cap_s, policy.open_s * 2 ** min(max(breaker.openings, 1) - 1, 30)))
