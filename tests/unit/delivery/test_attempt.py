from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.delivery import Delivery
from rowcast.core.outcome import Delivered, Rejected, Retry
from rowcast.core.retry import RetryPolicy, scheduled
from rowcast.delivery.attempt import decide, fingerprint, normalised, storable, wait_before_next_s

_POLICY = RetryPolicy(max_attempts=4, base_s=5.0, cap_s=100.0, jitter=0.2)
_NOISE = st.floats(0.0, 1.0)


def _delivery(attempt: int = 1, max_attempts: int = 0) -> Delivery:
    return Delivery(
        1, "acme", "webhooks", "ep_1", attempt, 1, datetime(2026, 1, 1, tzinfo=UTC), max_attempts=max_attempts
    )


def test_a_delivered_attempt_settles_the_delivery_for_good() -> None:
    assert decide(_delivery(), Delivered("200"), _POLICY, noise=0.5) == ("delivered", 0.0, None, None)


@given(attempt=st.integers(1, 3), noise=_NOISE)
def test_a_retry_waits_for_the_doubled_backoff_spread_by_the_noise(attempt: int, noise: float) -> None:
    settled = decide(_delivery(attempt), Retry("http_503"), _POLICY, noise=noise)

    backoff_s = 5.0 * 2 ** (attempt - 1)
    assert settled.status == "waiting"
    assert settled.wait_s == pytest.approx(backoff_s * (0.8 + 0.4 * noise))


def test_the_last_attempt_that_wants_a_retry_makes_a_dead_letter() -> None:
    settled = decide(_delivery(attempt=4), Retry("http_503", excerpt="busy"), _POLICY, noise=0.5)

    assert settled.status == "dead"
    assert settled.error == "http_503: busy"
    assert settled.fingerprint == fingerprint("webhooks", "http_503", "busy")


def test_a_delivery_that_names_its_own_number_of_attempts_is_held_to_that() -> None:
    assert decide(_delivery(attempt=1, max_attempts=1), Retry("x"), _POLICY, noise=0.5).status == "dead"
    assert decide(_delivery(attempt=7, max_attempts=8), Retry("x"), _POLICY, noise=0.5).status == "waiting"


def test_a_rejected_attempt_makes_a_dead_letter_at_once() -> None:
    assert decide(_delivery(attempt=1), Rejected("http_410"), _POLICY, noise=0.5).status == "dead"


def test_retry_after_wins_over_a_shorter_backoff() -> None:
    assert wait_before_next_s(1, 60.0, _POLICY, noise=0.5) == 60.0


def test_retry_after_does_not_shorten_the_backoff() -> None:
    assert wait_before_next_s(4, 1.0, _POLICY, noise=0.5) == 40.0


@pytest.mark.parametrize("after_s", [1e9, float("inf"), 315_360_000.0])
def test_retry_after_is_capped(after_s: float) -> None:
    assert wait_before_next_s(1, after_s, _POLICY, noise=0.5) == 100.0


@pytest.mark.parametrize("after_s", [-5.0, float("nan"), float("-inf")])
def test_retry_after_that_is_no_wait_is_ignored(after_s: float) -> None:
    assert wait_before_next_s(1, after_s, _POLICY, noise=0.5) == 5.0


@given(attempt=st.integers(-5, 10**9), after_s=st.none() | st.floats(), noise=_NOISE, jitter=_NOISE)
def test_the_wait_is_always_a_number_from_zero_to_the_cap(
    attempt: int, after_s: float | None, noise: float, jitter: float
) -> None:
    policy = RetryPolicy(base_s=1.0, cap_s=50.0, jitter=jitter)

    assert 0.0 <= wait_before_next_s(attempt, after_s, policy, noise=noise) <= 50.0


@given(first=st.uuids(), second=st.uuids(), numbers=st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)))
def test_failures_that_differ_in_ids_and_numbers_only_have_one_fingerprint(
    first: object, second: object, numbers: tuple[int, int]
) -> None:
    pairs = zip((first, second), numbers, strict=True)
    texts = [f"row {uid} took {number} ms,  request req_9f{number}ab" for uid, number in pairs]

    assert fingerprint("jobs", "crash", texts[0]) == fingerprint("jobs", "crash", texts[1])


def test_sink_reason_and_words_each_change_the_fingerprint() -> None:
    words = {
        fingerprint("jobs", "http_503", "no route"),
        fingerprint("webhooks", "http_503", "no route"),
        fingerprint("jobs", "http_504", "no route"),
        fingerprint("jobs", "http_503", "no host"),
    }

    assert len(words) == 4


def test_the_fingerprint_is_stable_between_versions_of_the_program() -> None:
    assert fingerprint("webhooks", "timeout", "") == "adbb5b4e646b9898"


def test_words_without_digits_are_kept_by_the_normalisation() -> None:
    assert normalised("Connection  refused\nby peer") == "Connection refused by peer"


@given(st.text(), st.integers(0, 50))
def test_storable_text_has_no_nul_and_no_lone_surrogate_and_keeps_the_limit(text: str, limit: int) -> None:
    kept = storable(text, limit)

    assert "\x00" not in kept
    assert len(kept) <= limit
    assert kept.encode("utf-8").decode("utf-8") == kept


def test_storable_replaces_a_lone_surrogate() -> None:
    assert storable("a\ud800b") == "a?b"


def test_the_outcomes_own_policy_wins_over_that_of_the_sink() -> None:
    own = Retry("http_503", policy=scheduled((7.0, 9.0), jitter=0.0))

    assert decide(_delivery(attempt=2), own, _POLICY, noise=0.5).wait_s == 9.0
    assert decide(_delivery(attempt=3), own, _POLICY, noise=0.5).status == "dead"


def test_what_its_target_does_not_take_is_cancelled_and_is_no_dead_letter() -> None:
    settled = decide(_delivery(), Rejected("endpoint_disabled", is_cancelled=True), _POLICY, noise=0.5)

    assert settled == ("cancelled", 0.0, "endpoint_disabled", None)
