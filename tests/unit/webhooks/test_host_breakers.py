import pytest

from rowcast.delivery.breaker import BreakerPolicy
from rowcast.egress.reply import Answer, EgressFailure, Reply
from rowcast.testing.fake_clock import FakeClock
from rowcast.webhooks.host_breakers import HostBreakers, is_unreached

REFUSED = EgressFailure("refused")
HUNG = EgressFailure("timeout", is_connected=True)


def breakers(clock: FakeClock) -> HostBreakers:
    return HostBreakers(clock=clock, noise=lambda: 0.5, policy=BreakerPolicy(failures=3, open_s=10.0, jitter=0.0))


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (EgressFailure("dns"), True),
        (REFUSED, True),
        (EgressFailure("timeout"), True),
        (HUNG, False),
        (EgressFailure("tls"), False),
        (EgressFailure("reset", is_connected=True), False),
        (EgressFailure("blocked"), False),
    ],
)
def test_only_a_host_that_nobody_reaches_counts(failure: EgressFailure, expected: bool) -> None:
    assert is_unreached(failure) is expected


def test_after_failures_in_a_row_one_attempt_at_a_time_finds_out() -> None:
    clock = FakeClock()
    hosts = breakers(clock)
    for _ in range(3):
        assert hosts.wait_s("a") is None
        hosts.learn("a", REFUSED)

    waits = (hosts.wait_s("a"), hosts.wait_s("b"))
    clock.tick(11)

    assert waits == (15.0, None)
    assert hosts.wait_s("a") is None
    assert (hosts.wait_s("a") or 0.0) > 0
    hosts.learn("a", Reply(500, {}, b""))
    assert hosts.wait_s("a") is None


@pytest.mark.parametrize("answer", [Reply(503, {}, b""), HUNG])
def test_a_url_that_fails_or_hangs_never_delays_another_at_the_same_host(answer: Answer) -> None:
    hosts = breakers(FakeClock())
    for _ in range(50):
        hosts.learn("a", answer)

    assert hosts.wait_s("a") is None


def test_an_attempt_that_was_let_through_and_not_made_lets_the_next_one_through() -> None:
    clock = FakeClock()
    hosts = breakers(clock)
    for _ in range(3):
        hosts.learn("a", REFUSED)
    clock.tick(11)

    assert hosts.wait_s("a") is None
    hosts.give_up("a")
    assert hosts.wait_s("a") is None
