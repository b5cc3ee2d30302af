import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.retry import RetryPolicy, backoff_s, jittered_s, scheduled

POLICIES = st.builds(
    RetryPolicy,
    base_s=st.floats(0.001, 3600),
    cap_s=st.floats(1, 1_000_000),
    jitter=st.floats(0, 1),
)


@given(st.integers(-5, 10**9), POLICIES)
def test_the_wait_never_passes_the_cap_and_never_falls(attempt: int, policy: RetryPolicy) -> None:
    assert 0 < backoff_s(attempt, policy) <= backoff_s(attempt + 1, policy) <= policy.cap_s


@pytest.mark.parametrize(
    ("attempt", "wait_s"), [(1, 5), (2, 10), (3, 20), (10, 2560), (15, 81_920), (16, 86_400), (99, 86_400)]
)
def test_the_wait_doubles_from_five_seconds_to_a_day(attempt: int, wait_s: float) -> None:
    assert backoff_s(attempt, RetryPolicy()) == wait_s


@given(st.floats(0, 1_000_000), POLICIES, st.floats(0, 1))
def test_jitter_keeps_the_wait_within_its_share(wait_s: float, policy: RetryPolicy, noise: float) -> None:
    spread_s = jittered_s(wait_s, policy, noise)

    assert wait_s * (1 - policy.jitter) - 1e-6 <= spread_s <= wait_s * (1 + policy.jitter) + 1e-6


def test_noise_in_the_middle_changes_nothing() -> None:
    assert jittered_s(10.0, RetryPolicy(), 0.5) == 10.0


def test_a_list_of_waits_is_kept_to_and_one_attempt_more_than_there_are_waits() -> None:
    policy = scheduled((5, 300, 200_000))

    assert [backoff_s(attempt, policy) for attempt in (1, 2, 3, 9)] == [5, 300, 200_000, 200_000]
    assert (policy.max_attempts, policy.cap_s) == (4, 200_000)
    assert (scheduled(()).max_attempts, scheduled((1,)).cap_s) == (1, 86_400)
