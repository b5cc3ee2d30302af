"""What one attempt comes to: delivered, another try later, or a dead letter. Decided here, done elsewhere."""

import hashlib
import math
import re
from typing import Literal, NamedTuple

from rowcast.core.delivery import Delivery
from rowcast.core.outcome import EXCERPT_LIMIT_CHARS, Delivered, Rejected, Retry
from rowcast.core.retry import RetryPolicy, backoff_s, jittered_s

Status = Literal["delivered", "waiting", "dead", "cancelled"]
Result = Delivered | Retry | Rejected
"""What an attempt that was made came to."""

WORD_LIMIT_CHARS = 128
"""Longest reason and code that a row keeps."""
_MESSAGE_LIMIT_CHARS = 200
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
# A word that mixes letters and digits, 6 or more of them: a request id, a hash, a short code.
_MIXED = re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[A-Za-z])[\w-]{6,}\b")
_DIGITS = re.compile(r"\d+")
_BLANKS = re.compile(r"\s+")


class Settled(NamedTuple):
    """The next state of a delivery. `wait_s` counts from the database's now, so no machine's clock can shift it."""

    status: Status
    wait_s: float = 0.0
    error: str | None = None
    fingerprint: str | None = None


def decide(delivery: Delivery, outcome: Result, policy: RetryPolicy, *, noise: float) -> Settled:
    """Give the next state of `delivery` after an attempt came to `outcome`.

    Args:
        delivery: Its own `max_attempts`, when not 0, wins over the policy's.
        outcome: What the sink said.
        policy: The sink's waits and its greatest number of attempts; the outcome's own wins over it.
        noise: A random number from 0 to 1, made by the caller.
    """
    match outcome:
        case Delivered():
            return Settled("delivered")
        case Retry() if not is_last(delivery, outcome.policy or policy):
            return _later(delivery, outcome, outcome.policy or policy, noise)
        case Rejected(is_cancelled=True):
            return Settled("cancelled", 0.0, _error(outcome))
        case Retry() | Rejected():
            return _dead(delivery, outcome)


def is_last(delivery: Delivery, policy: RetryPolicy) -> bool:
    """Tell whether no attempt follows this one."""
    return delivery.attempt >= (delivery.max_attempts or policy.max_attempts)


def wait_before_next_s(attempt: int, after_s: float | None, policy: RetryPolicy, *, noise: float) -> float:
    """Give the wait after `attempt` attempts: the jittered backoff, or what the target asked for where that is longer.

    Returns:
        Seconds, never above `policy.cap_s`. A wish that is negative or no number is ignored.
    """
    wait_s = jittered_s(backoff_s(attempt, policy), policy, noise)
    wished_s = after_s if after_s is not None and not math.isnan(after_s) else 0.0
    return min(policy.cap_s, max(wait_s, wished_s, 0.0))


def fingerprint(sink: str, reason: str, message: str) -> str:
    """Give the word under which failures of one kind gather: ids and numbers in the message do not count."""
    text = "\x1f".join((sink, reason, normalised(message)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def normalised(message: str) -> str:
    """Give a message without what differs each time: UUIDs, mixed ids and numbers become `#`, blanks one blank."""
    text = _MIXED.sub("#", _UUID.sub("#", message))
    return _BLANKS.sub(" ", _DIGITS.sub("#", text)).strip()[:_MESSAGE_LIMIT_CHARS]


def storable(text: str, limit_chars: int = EXCERPT_LIMIT_CHARS) -> str:
    """Give `text` as PostgreSQL can keep it: no NUL, no lone surrogate, not above the limit."""
    return text[:limit_chars].replace("\x00", "\ufffd").encode("utf-8", "replace").decode("utf-8")


def _later(delivery: Delivery, outcome: Retry, policy: RetryPolicy, noise: float) -> Settled:
    wait_s = wait_before_next_s(delivery.attempt, outcome.after_s, policy, noise=noise)
    return Settled("waiting", wait_s, _error(outcome))


def _dead(delivery: Delivery, outcome: Retry | Rejected) -> Settled:
    return Settled("dead", 0.0, _error(outcome), fingerprint(delivery.sink, outcome.reason, outcome.excerpt))


def _error(outcome: Retry | Rejected) -> str:
    text = f"{outcome.reason}: {outcome.excerpt}" if outcome.excerpt else outcome.reason
    return storable(text)
