"""When to try again."""

import msgspec


class RetryPolicy(msgspec.Struct, frozen=True):
    """How often and how far apart: `base_s` doubles with each attempt up to `cap_s`.

    `jitter` is the share of the wait that is random, 0 to 1.
    """

    max_attempts: int = 10
    base_s: float = 5.0
    cap_s: float = 86_400.0
    jitter: float = 0.2


def backoff_s(attempt: int, policy: RetryPolicy) -> float:
    """Give the wait in seconds after `attempt` attempts (counted from 1), without jitter.

    Returns:
        Seconds, never above `policy.cap_s`.
    """
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
