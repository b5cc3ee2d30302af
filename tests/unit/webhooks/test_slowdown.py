from rowcast.delivery.rate_limit import Limits
from rowcast.egress.reply import EgressFailure, Reply
from rowcast.webhooks.slowdown import Slowdown, is_overloaded, limits_while, slowed

LIMITS = Limits(rate_per_minute=100, burst=100, concurrency=25)


def test_answers_that_ask_for_less_are_three() -> None:
    assert [status for status in range(400, 600) if is_overloaded(Reply(status, {}, b""))] == [429, 502, 504]
    assert not is_overloaded(EgressFailure("timeout", status=502))


def test_each_of_them_halves_the_rate_down_to_a_sixteenth_and_one_runs_at_a_time() -> None:
    state: Slowdown | None = None
    rates = []
    for _ in range(6):
        state = slowed(state, now_s=0.0, asked_s=None)
        limits = limits_while(state, LIMITS, now_s=59.0)
        rates.append((limits.rate_per_minute, limits.burst, limits.concurrency))

    assert rates == [(50, 1, 1), (25, 1, 1), (12, 1, 1), (6, 1, 1), (6, 1, 1), (6, 1, 1)]


def test_after_a_minute_it_goes_at_its_own_rate_again_and_begins_anew() -> None:
    state = slowed(slowed(None, now_s=0.0, asked_s=None), now_s=0.0, asked_s=None)

    assert limits_while(state, LIMITS, now_s=60.0) == LIMITS
    assert slowed(state, now_s=60.0, asked_s=None).halvings == 1


def test_what_it_asked_for_is_kept_to_for_an_hour_at_most_and_never_shortened() -> None:
    assert slowed(None, now_s=0.0, asked_s=300.0).until_s == 300.0
    assert slowed(None, now_s=0.0, asked_s=86_400.0).until_s == 3600.0
    assert slowed(slowed(None, now_s=0.0, asked_s=300.0), now_s=1.0, asked_s=None).until_s == 300.0


def test_nobody_is_slowed_to_nothing() -> None:
    state = Slowdown(4, 60.0)

    assert limits_while(state, Limits(rate_per_minute=1), now_s=0.0).rate_per_minute == 1
    assert limits_while(None, LIMITS, now_s=0.0) == LIMITS
