from rowcast.observe.health import Health
from rowcast.server.vitals import Vitals, judge_fact
from rowcast.testing.fake_clock import FakeClock


def states(health: Health) -> dict[str, str]:
    return {component.name: component.status for component in health.readiness().components}


def test_an_interrupted_relay_is_degraded_until_its_feed_is_open_again(clock: FakeClock) -> None:
    health = Health(clock=clock)
    vitals = Vitals(health=health, clock=clock)
    vitals.expect(has_relay=True, has_runner=False)

    vitals.hear("relay.interrupted", {"failures": 3, "error": "store.unavailable"})
    interrupted = health.readiness()
    vitals.hear("feed.opened", {"feed": "wal"})

    assert [(component.status, component.reason) for component in interrupted.components] == [
        ("degraded", "interrupted: store.unavailable")
    ]
    assert states(health) == {"relay": "ok"}


def test_a_relay_that_stands_by_is_well_and_says_so() -> None:
    judged = judge_fact("feed.waiting", {"feed": "wal", "slot": "rowcast_1"})

    assert judged is not None
    assert judged[:2] == ("relay", "ok")
    assert "another node" in judged[2]


def test_deliveries_that_cannot_be_claimed_are_degraded_and_heal_by_silence(clock: FakeClock) -> None:
    health = Health(clock=clock)
    vitals = Vitals(health=health, clock=clock)
    vitals.expect(has_relay=False, has_runner=True)

    vitals.hear("delivery.claim_failed", {"sink": "webhooks", "reason": "store.timeout"})
    clock.tick(9)
    vitals.look()
    early = states(health)
    clock.tick(2)
    vitals.look()

    assert early == {"delivery": "degraded"}
    assert states(health) == {"delivery": "ok"}


def test_a_bus_that_is_apart_is_degraded_and_the_process_still_ready(clock: FakeClock) -> None:
    health, connected = Health(clock=clock), [False]
    vitals = Vitals(health=health, clock=clock, is_bus_connected=lambda: connected[0])

    vitals.look()
    apart, is_ready = states(health), health.readiness().is_ready
    connected[0] = True
    vitals.look()

    assert (apart, is_ready) == ({"bus": "degraded"}, True)
    assert states(health) == {"bus": "ok"}


def test_what_says_nothing_of_a_component_is_not_judged() -> None:
    assert judge_fact("delivery.settled", {}) is None
