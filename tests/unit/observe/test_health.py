"""Ready means that every component said so lately; alive means that the process turns."""

from rowcast.observe.health import Component, Health, Liveness
from rowcast.testing.fake_clock import FakeClock


def test_a_component_is_down_until_it_reports(clock: FakeClock) -> None:
    health = Health(clock=clock)
    health.expect("database")
    assert health.readiness().components == (Component("database", "down", "starting"),)
    assert not health.readiness().is_ready

    health.report("database", "ok")

    assert health.readiness().is_ready


def test_one_that_is_down_makes_all_of_it_down_and_says_why(clock: FakeClock) -> None:
    health = Health(clock=clock)
    health.report("bus", "degraded", "two nodes are not heard")
    assert (health.readiness().is_ready, health.readiness().status) == (True, "degraded")

    health.report("database", "down", "refused")

    readiness = health.readiness()
    assert (readiness.is_ready, readiness.status) == (False, "down")
    assert readiness.components[1] == Component("database", "down", "refused")


def test_silence_for_longer_than_allowed_counts_as_down(clock: FakeClock) -> None:
    health = Health(clock=clock)
    health.expect("relay", within_s=5.0)
    health.report("relay", "ok")
    clock.tick(5.0)
    assert health.readiness().is_ready

    clock.tick(0.1)

    assert health.readiness().components == (Component("relay", "down", "nothing heard for 5 s"),)
    health.report("relay", "ok")
    assert health.readiness().is_ready


def test_a_component_that_is_forgotten_does_not_count(clock: FakeClock) -> None:
    health = Health(clock=clock)
    health.report("slot", "down", "lost")

    health.forget("slot")

    assert health.readiness().is_ready


def test_a_process_that_stops_is_alive_and_not_ready(clock: FakeClock) -> None:
    health = Health(clock=clock)
    health.report("database", "ok")

    health.stop()

    assert (health.readiness().is_ready, health.readiness().status) == (False, "stopping")
    assert health.liveness() == Liveness("ok")
