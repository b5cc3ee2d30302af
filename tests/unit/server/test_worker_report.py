"""What a worker answers for all: the sum, unless it stops or hears nothing."""

from rowcast.observe.health import Health
from rowcast.observe.metrics import Metrics
from rowcast.server.worker_report import SummedHealth, SummedMetrics, own_report, sum_reports
from rowcast.testing.fake_clock import FakeClock


def total(clock: FakeClock, *, is_well: bool = True) -> object:
    server = Health(clock=clock)
    server.report("relay", "ok" if is_well else "down")
    return sum_reports([own_report(server, Metrics()), own_report(Health(clock=clock), Metrics())])


def test_a_worker_is_not_ready_before_it_has_heard_of_the_others() -> None:
    health = SummedHealth(clock=FakeClock())

    assert not health.readiness().is_ready
    assert [component.name for component in health.readiness().components] == ["supervisor"]


def test_a_worker_answers_with_the_sum() -> None:
    clock = FakeClock()
    health = SummedHealth(clock=clock)
    health.take(total(clock))
    assert health.readiness().is_ready

    health.take(total(clock, is_well=False))

    assert [(one.name, one.status) for one in health.readiness().components] == [("relay", "down")]


def test_a_sum_that_is_old_counts_no_longer() -> None:
    clock = FakeClock()
    health = SummedHealth(clock=clock)
    health.take(total(clock))
    clock.tick(11)

    assert not health.readiness().is_ready


def test_a_worker_that_stops_says_so_whatever_the_sum_is() -> None:
    clock = FakeClock()
    health = SummedHealth(clock=clock)
    health.take(total(clock))
    health.stop()

    assert health.readiness().status == "stopping"


def test_metrics_are_the_sum_and_what_is_reported_is_only_its_own() -> None:
    mine, other = SummedMetrics(), Metrics()
    for metrics in (mine, other):
        metrics.hear("socket.opened", {})
    mine.take(sum_reports([own_report(Health(clock=FakeClock()), one) for one in (other, other, other)]))

    assert b'name="socket.opened",reason=""} 3.0' in mine.exposition()
    assert b'name="socket.opened",reason=""} 1.0' in mine.own_exposition()
