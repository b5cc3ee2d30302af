from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.delivery.rate_limit import Limits, burst_size, grant, spacing_us

_MINUTE_US = 60_000_000
_LIMITS = st.builds(Limits, rate_per_minute=st.integers(1, 200), burst=st.integers(1, 250))


def _granted_at(limits: Limits, steps: list[tuple[int, int]]) -> list[int]:
    """Play (pause, wanted) steps and give the moment of each permit."""
    now_us, arrives_us, moments = 1_000_000_000, 0, list[int]()
    for pause_us, wanted in steps:
        now_us += pause_us
        given_now = grant(arrives_us, now_us, wanted=wanted, limits=limits)
        arrives_us = given_now.arrives_us
        moments.extend([now_us] * given_now.granted)
    return moments


@given(limits=_LIMITS, steps=st.lists(st.tuples(st.integers(0, 20_000_000), st.integers(0, 300)), max_size=60))
def test_no_minute_ever_sees_more_than_its_rate(limits: Limits, steps: list[tuple[int, int]]) -> None:
    moments = _granted_at(limits, steps)

    for first, one_too_many in zip(moments, moments[limits.rate_per_minute :], strict=False):
        assert one_too_many - first >= _MINUTE_US


@given(limits=_LIMITS, steps=st.lists(st.tuples(st.integers(0, 5_000_000), st.integers(0, 300)), max_size=60))
def test_no_moment_sees_more_than_its_burst(limits: Limits, steps: list[tuple[int, int]]) -> None:
    moments = _granted_at(limits, [(max(1, pause), wanted) for pause, wanted in steps])

    assert all(moments.count(moment) <= burst_size(limits) for moment in set(moments))


@given(limits=_LIMITS, wanted=st.integers(0, 300), arrives_us=st.integers(0, 10**12), now_us=st.integers(0, 10**12))
def test_a_batch_is_granted_what_single_requests_would_be(
    limits: Limits, wanted: int, arrives_us: int, now_us: int
) -> None:
    batch = grant(arrives_us, now_us, wanted=wanted, limits=limits)

    state, singles = arrives_us, 0
    for _ in range(wanted):
        one = grant(state, now_us, wanted=1, limits=limits)
        state, singles = one.arrives_us, singles + one.granted
    assert (batch.granted, batch.arrives_us) == (singles, max(state, now_us))


@given(limits=_LIMITS, wanted=st.integers(1, 300), arrives_us=st.integers(0, 10**9), now_us=st.integers(0, 10**9))
def test_the_next_permit_is_granted_at_the_moment_named_and_not_before(
    limits: Limits, wanted: int, arrives_us: int, now_us: int
) -> None:
    first = grant(arrives_us, now_us, wanted=wanted, limits=limits)

    assert grant(first.arrives_us, first.next_us, wanted=1, limits=limits).granted == 1
    if first.next_us > now_us:
        assert grant(first.arrives_us, first.next_us - 1, wanted=1, limits=limits).granted == 0


def test_a_steady_key_gets_its_whole_rate() -> None:
    limits = Limits(rate_per_minute=100)

    moments = _granted_at(limits, [(600_000, 1)] * 200)

    assert len(moments) == 200
    assert {later - earlier for earlier, later in pairwise(moments)} == {600_000}


def test_a_rested_key_may_burst_but_not_beyond_its_minute() -> None:
    limits = Limits(rate_per_minute=100, burst=40)

    moments = _granted_at(limits, [(0, 500)] + [(10_000, 500)] * 5_999)

    assert moments.count(moments[0]) == 20
    assert len(moments) == 100


@pytest.mark.parametrize("limits", [Limits(), Limits(rate_per_minute=-1), Limits(concurrency=3)])
def test_no_rate_means_no_spacing(limits: Limits) -> None:
    assert spacing_us(limits) == 0


def test_a_key_that_is_always_busy_keeps_four_fifths_of_its_rate_however_large_the_burst() -> None:
    moments = _granted_at(Limits(rate_per_minute=100, burst=1_000), [(100_000, 5)] * 6_000)

    assert len(moments) > 80 * 10


def test_limits_are_open_only_when_neither_rate_nor_concurrency_is_set() -> None:
    assert Limits().is_open
    assert not Limits(rate_per_minute=1).is_open
    assert not Limits(concurrency=1).is_open
