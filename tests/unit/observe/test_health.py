"""Ready means that every component said so lately; alive means that the process turns."""

from rowcast.observe.health import Component, Health, Liveness
from rowcast.observe.status import Slot
from rowcast.observe.watch import judge_slots
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


def _slot(*, is_active: bool = True, wal_status: str = "reserved", safe_bytes: int | None = None) -> Slot:
    return Slot("rowcast", is_active, wal_status, 0, 0, safe_bytes)


def test_slots_are_judged_by_what_they_would_lose() -> None:
    assert judge_slots([])[0] == "ok"
    assert judge_slots([_slot()])[0] == "ok"
    assert judge_slots([_slot(is_active=False)])[0] == "degraded"
    assert judge_slots([_slot(safe_bytes=1024)])[0] == "degraded"
    assert judge_slots([_slot(), _slot(wal_status="lost", is_active=False)])[0] == "down"
