"""When to try again."""

from collections.abc import Sequence

import msgspec


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often and how far apart: `base_s` doubles with each attempt up to `cap_s`, or `waits_s` says each wait.

    `jitter` is the share of the wait that is random, 0 to 1.
    """

    max_attempts: int = 10
    base_s: float = 5.0
    cap_s: float = 86_400.0
    jitter: float = 0.2
    waits_s: tuple[float, ...] = ()


def scheduled(waits_s: Sequence[float], *, jitter: float = 0.1, least_cap_s: float = 86_400.0) -> RetryPolicy:
    """Give the policy that waits exactly so long after each attempt: one attempt more than there are waits.

    Args:
        waits_s: Seconds after the first attempt, after the second, ...; none at all means a single attempt.
        jitter: Share of each wait that is random.
        least_cap_s: What a target may ask for at least; the longest wait where that is longer.
    """
    cap_s = max(least_cap_s, *waits_s) if waits_s else least_cap_s
    return RetryPolicy(max_attempts=len(waits_s) + 1, cap_s=cap_s, jitter=jitter, waits_s=tuple(waits_s))


def backoff_s(attempt: int, policy: RetryPolicy) -> float:
    """Give the wait in seconds after `attempt` attempts (counted from 1), without jitter.

    Returns:
        Seconds, never above `policy.cap_s`.
    """
    if policy.waits_s:
        return min(policy.cap_s, policy.waits_s[min(max(attempt, 1), len(policy.waits_s)) - 1])
    # 2**60 seconds is past any cap; the bound keeps a huge attempt number from overflowing a float.
    return float(min(policy.cap_s, policy.base_s * 2 ** min(max(attempt, 1) - 1, 60)))


def jittered_s(wait_s: float, policy: RetryPolicy, noise: float) -> float:
    """Spread a wait over `wait_s * (1 - jitter) ... wait_s * (1 + jitter)`.

    Args:
        wait_s: The wait without jitter.
        policy: Its `jitter` is the share.
        noise: A random number from 0 to 1, made by the caller.
    """
    return wait_s * (1.0 + policy.jitter * (2.0 * noise - 1.0))
