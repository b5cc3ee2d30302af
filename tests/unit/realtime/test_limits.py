"""How much is too much, and what then."""

from hypothesis import given
from hypothesis import strategies as st

from rowcast.realtime.limits import Bucket, Excess, Meter, Meters, RealtimeLimits


@given(st.lists(st.floats(0, 3), max_size=200), st.integers(1, 20), st.integers(1, 20))
def test_a_bucket_gives_never_more_than_it_held_and_was_filled_with(
    waits: list[float], rate: int, capacity: int
) -> None:
    bucket, now_s, taken = Bucket(rate, capacity), 1000.0, 0
    for wait_s in waits:
        now_s += wait_s
        taken += bucket.take(now_s)

    assert taken <= capacity + rate * sum(waits) + 1e-6


def test_a_bucket_without_a_rate_is_no_limit() -> None:
    assert all(Bucket(0.0, 0.0).take(0.0) for _ in range(1000))


def test_a_clock_that_steps_back_fills_nothing_and_blocks_nobody_for_long() -> None:
    bucket = Bucket(1.0, 2.0)

    assert [bucket.take(now_s) for now_s in (5000.0, 5000.0, 10.0, 11.0, 11.0)] == [True, True, False, True, False]


def test_excess_is_warned_of_once_then_dropped_and_closed_only_when_it_goes_on() -> None:
    excess = Excess()
    verdicts = [excess.judge(tenth / 10) for tenth in range(102)]

    assert verdicts[0] == "warn"
    assert set(verdicts[1:100]) == {"drop"}
    assert verdicts[100] == "close"


def test_excess_that_pauses_begins_anew() -> None:
    excess = Excess()
    for second in range(5):
        excess.judge(second / 10)

    assert excess.judge(20.0) == "warn"


def test_a_few_excesses_over_a_long_time_close_nothing() -> None:
    excess = Excess()

    assert "close" not in {excess.judge(float(second)) for second in range(49)}


def test_users_of_a_tenant_and_connections_of_a_user_are_counted() -> None:
    meter = Meter(RealtimeLimits(users=3, connections_per_user=2))

    assert [meter.connect(user) for user in ("ann", "ann", "ann", None, "bob")] == [True, True, False, True, False]
    meter.disconnect("ann")
    assert meter.connect("bob")
    assert (meter.users, meter.connections) == (3, {"ann": 1, "bob": 1})


def test_joins_events_and_presences_have_a_bucket_each() -> None:
    meter = Meter(RealtimeLimits(joins_per_s=0.1, events_per_s=0.2, presences_per_s=0.3))

    assert [[take(0.0) for _ in range(4)].count(True) for take in (meter.join, meter.event, meter.presence)] == [
        1,
        2,
        3,
    ]


def test_asking_whether_a_join_would_be_taken_takes_nothing() -> None:
    meter = Meter(RealtimeLimits(joins_per_s=0.1))

    assert [meter.may_join(0.0) for _ in range(3)] == [True] * 3
    assert meter.join(0.0)
    assert not meter.may_join(0.0)


def test_every_tenant_has_its_own_meter_and_an_idle_one_is_forgotten() -> None:
    meters = Meters(RealtimeLimits(users=1))
    acme = meters.of("acme")
    acme.connect(None)
    globex = meters.of("globex")
    meters.sweep()

    assert meters.of("acme") is acme
    assert meters.of("globex") is not globex
