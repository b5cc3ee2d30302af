import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.delivery.breaker import (
    CLOSED,
    Breaker,
    BreakerPolicy,
    after_failure,
    ask,
    opening_s,
    probe_given_up,
)

_POLICY = BreakerPolicy(failures=3, open_s=10.0, cap_s=60.0, jitter=0.0)


def _failed(breaker: Breaker, times: int, now_s: float = 0.0) -> Breaker:
    for _ in range(times):
        breaker = after_failure(breaker, _POLICY, now_s=now_s, noise=0.5)
    return breaker


def test_a_closed_breaker_lets_everything_run() -> None:
    assert ask(_failed(CLOSED, 2), _POLICY, now_s=0.0).may_run


def test_it_opens_after_as_many_failures_in_a_row_as_the_policy_says() -> None:
    permit = ask(_failed(CLOSED, 3), _POLICY, now_s=4.0)

    assert not permit.may_run
    assert permit.wait_s == 6.0


def test_only_the_first_held_delivery_is_due_as_the_next_probe() -> None:
    breaker = _failed(CLOSED, 3)

    assert ask(breaker, _POLICY, now_s=4.0, place=1).wait_s == 16.0


def test_exactly_one_probe_runs_at_a_time() -> None:
    first = ask(_failed(CLOSED, 3), _POLICY, now_s=10.0)
    second = ask(first.breaker, _POLICY, now_s=10.0)

    assert first.may_run
    assert not second.may_run
    assert second.wait_s == 10.0


def test_a_probe_that_was_given_up_leaves_its_place_to_the_next() -> None:
    first = ask(_failed(CLOSED, 3), _POLICY, now_s=10.0)

    assert ask(probe_given_up(first.breaker), _POLICY, now_s=10.0).may_run


def test_a_failed_probe_opens_it_for_twice_as_long() -> None:
    probing = ask(_failed(CLOSED, 3), _POLICY, now_s=10.0).breaker
    reopened = after_failure(probing, _POLICY, now_s=12.0, noise=0.5)

    assert ask(reopened, _POLICY, now_s=12.0).wait_s == 20.0
    assert ask(reopened, _POLICY, now_s=32.0).may_run


def test_a_late_failure_of_an_older_attempt_does_not_prolong_the_opening() -> None:
    opened = _failed(CLOSED, 3)

    assert after_failure(opened, _POLICY, now_s=9.0, noise=0.5) == opened


@given(noise=st.floats(0, 1))
def test_the_opening_is_spread_by_the_noise_within_the_jitter(noise: float) -> None:
    policy = BreakerPolicy(failures=1, open_s=10.0, jitter=0.1)

    opened = after_failure(CLOSED, policy, now_s=100.0, noise=noise)

    assert 109.0 <= opened.probe_at_s <= 111.0


@given(openings=st.integers(1, 10_000))
def test_an_opening_never_lasts_longer_than_the_cap(openings: int) -> None:
    assert opening_s(Breaker(openings=openings), _POLICY) <= 60.0


@given(st.lists(st.sampled_from(["fail", "succeed", "ask"]), max_size=80), st.lists(st.floats(0, 30), max_size=80))
def test_between_two_moments_of_an_opening_at_most_one_delivery_runs(acts: list[str], pauses: list[float]) -> None:
    breaker, now_s, running_probes = CLOSED, 0.0, 0
    for act, pause in zip(acts, pauses, strict=False):
        now_s += pause
        was_open = breaker.is_open
        if act == "ask":
            permit = ask(breaker, _POLICY, now_s=now_s)
            running_probes += permit.may_run and was_open
            breaker = permit.breaker
        elif act == "fail" and (not was_open or breaker.is_probing):
            breaker, running_probes = after_failure(breaker, _POLICY, now_s=now_s, noise=0.5), 0
        elif act == "succeed" and (not was_open or breaker.is_probing):
            breaker, running_probes = CLOSED, 0

        assert running_probes <= 1


@pytest.mark.parametrize("failures", [1, 2])
def test_a_success_between_failures_begins_the_count_anew(failures: int) -> None:
    assert not _failed(CLOSED, failures).is_open
