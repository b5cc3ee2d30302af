"""The average of the last minute, for each tenant."""

from rowcast.server.rolling_rate import Rate, RollingRates


def test_the_average_counts_the_last_minute_only() -> None:
    rates = RollingRates(limit_per_s=2)
    rates.add("acme", 60, now_s=100.0)
    rates.add("acme", 60, now_s=101.0)
    rates.add("acme", 30, now_s=130.0)

    assert rates.of("acme", now_s=131.0).average == 2.5
    assert rates.of("acme", now_s=165.0).average == 0.5
    assert rates.of("acme", now_s=1000.0).average == 0.0
    assert rates.of("globex", now_s=131.0).average == 0.0


def test_a_rate_says_what_there_is_room_for() -> None:
    assert not Rate(2.0, 2.0).is_over
    assert Rate(2.1, 2.0).is_over
    assert Rate(1.0, 2.0).has_room_for(1)
    assert not Rate(1.0, 2.0).has_room_for(2)


def test_no_limit_is_never_over() -> None:
    assert not Rate(10_000.0, 0.0).is_over
    assert Rate(10_000.0, 0.0).has_room_for(10_000)


def test_the_headers_tell_the_caller() -> None:
    assert Rate(1.25, 100.0).headers == {
        "x-rate-rolling": "1.25", "x-rate-limit": "100", "x-rate-limit-remaining": "99",
    }  # fmt: skip


def test_tenants_that_are_counted_are_bounded() -> None:
    rates = RollingRates(limit_per_s=2)
    for number in range(10_001):
        rates.add(f"t{number}", 60, now_s=0.0)

    assert rates.of("t0", now_s=0.0).average == 0.0
    assert rates.of("t1", now_s=0.0).average == 1.0
