"""How much comes in: rates by source, and failures told once a minute."""

from rowcast.webhooks.incoming_meters import FAILURES_TOLD, Meters


def test_a_source_that_sends_too_much_waits_and_another_does_not() -> None:
    meters = Meters(rate_per_minute=60)

    waits = [meters.wait_s("src_1", now_s=100.0) for _ in range(61)]

    assert waits[:12] == [0.0] * 12
    assert all(wait > 0 for wait in waits[12:])
    assert meters.wait_s("src_2", now_s=100.0) == 0.0
    assert meters.wait_s("src_1", now_s=100.01 + waits[-1]) == 0.0


def test_never_more_than_the_rate_is_taken_in_any_minute() -> None:
    meters = Meters(rate_per_minute=60)
    taken = [second for second in range(300) for _ in range(5) if not meters.wait_s("src_1", now_s=float(second))]

    assert max(sum(start <= second < start + 60 for second in taken) for start in range(240)) <= 60
    assert len(taken) > 200


def test_who_fails_often_is_told_once_a_minute() -> None:
    meters = Meters(rate_per_minute=60)

    told = [meters.is_failing("src_1", now_s=60.0) for _ in range(3 * FAILURES_TOLD)]
    later = [meters.is_failing("src_1", now_s=120.0) for _ in range(FAILURES_TOLD)]

    assert (told.index(True) + 1, sum(told)) == (FAILURES_TOLD, 1)
    assert later == [False] * (FAILURES_TOLD - 1) + [True]


def test_sources_of_long_ago_are_forgotten() -> None:
    meters = Meters(rate_per_minute=5)
    for number in range(10_001):
        meters.wait_s(f"src_{number}", now_s=0.0)

    assert meters.wait_s("src_0", now_s=0.0) == 0.0
    assert meters.wait_s("src_10000", now_s=0.0) > 0.0
