"""What the publisher decides, without a database."""

import uuid
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.delivery import Owed
from rowcast.core.envelope import Envelope
from rowcast.core.retry import RetryPolicy
from rowcast.outbox.feed import Routed
from rowcast.outbox.publisher import Counts, state_of, storable, to_be_routed

POLICY = RetryPolicy(max_attempts=3, base_s=10.0, cap_s=100.0, jitter=0.0)


def event(number: int = 1) -> Envelope:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    return Envelope(
        uuid.UUID(int=number), "acme", "order", "o1", "orders.placed", 1, at, msgspec.Raw(b"{}"), seq=number
    )


def test_a_routed_event_is_published_and_owes_what_the_handler_said() -> None:
    state = state_of(Routed(event(), durable=(Owed("jobs", "note"),)), attempts=0, policy=POLICY, noise=0.5)

    assert (state.status, state.error, state.wait_s, state.owed) == ("published", None, None, (Owed("jobs", "note"),))


@pytest.mark.parametrize(
    ("attempts", "status", "wait_s"), [(0, "failed", 10.0), (1, "failed", 20.0), (2, "dead", None), (9, "dead", None)]
)
def test_an_event_that_cannot_be_routed_is_tried_again_later_and_dead_after_the_last_attempt(
    attempts: int, status: str, wait_s: float | None
) -> None:
    state = state_of(
        Routed(event(), durable=(Owed("jobs", "note"),), error="no"), attempts=attempts, policy=POLICY, noise=0.5
    )

    assert (state.status, state.wait_s, state.error, state.owed) == (status, wait_s, "no", ())


@given(st.text())
def test_any_error_text_can_be_stored(text: str) -> None:
    kept = storable(text)

    assert "\x00" not in kept
    assert len(kept) <= 1000
    kept.encode()


def test_a_lone_surrogate_is_replaced() -> None:
    assert storable("a\ud800b") == "a?b"


@pytest.mark.parametrize(("status", "is_due", "is_routed"), [
    ("published", False, False), ("dead", False, False), ("failed", False, False), ("failed", True, True),
])  # fmt: skip
def test_only_what_is_pending_or_due_again_is_routed(status: str, is_due: bool, is_routed: bool) -> None:
    first, second = event(1), event(2)
    states = {first.id: {"status": status, "is_due": is_due, "attempts": 1}}

    assert to_be_routed([first, second], states) == ([first, second] if is_routed else [second])


def test_an_event_that_stands_in_a_batch_twice_is_routed_once() -> None:
    assert to_be_routed([event(1), event(2), event(1)], {}) == [event(1), event(2)]


def test_counts_add_up() -> None:
    assert Counts(1, 2, 3) + Counts(10, 20, 30) == Counts(11, 22, 33)
