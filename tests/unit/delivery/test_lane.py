import math
from datetime import UTC, datetime, timedelta

from rowcast.core.delivery import Delivery
from rowcast.core.outcome import Delivered, Rejected, Retry
from rowcast.delivery.breaker import BreakerPolicy
from rowcast.delivery.lane import OWN_FAULT, Flight, Lane, SinkOptions
from rowcast.delivery.ledger import Claim
from rowcast.testing.recording_sink import RecordingSink

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _delivery(number: int, tenant_id: str = "acme", key: str = "ep_1") -> Delivery:
    return Delivery(number, tenant_id, "webhooks", key, 1, 1, _NOW, key=key)


def _lane(**options: object) -> Lane:
    return Lane(RecordingSink("webhooks"), SinkOptions(**options))  # type: ignore[arg-type]


def _begin(lane: Lane, *deliveries: Delivery) -> list[Flight]:
    flights = [Flight(delivery, 0.0, 10.0) for delivery in deliveries]
    for flight in flights:
        lane.begin(flight)
    return flights


def test_a_lane_that_is_not_pressed_claims_the_oldest_first() -> None:
    share = _lane(concurrency=10).share(0.0)

    assert share.after_tenant is None
    assert share.tenant_room == 7


def test_a_pressed_lane_claims_every_second_time_by_turns_without_the_tenant_of_the_backlog() -> None:
    lane = _lane(concurrency=100)
    oldest = lane.share(0.0)
    lane.claimed(Claim((_delivery(1, "hot"), _delivery(2, "hot"), _delivery(3)), is_more_due=True), oldest, 0.0)

    turns, again = lane.share(0.0), lane.share(0.0)

    assert (turns.after_tenant, turns.full_tenants) == ("", ("hot",))
    assert again.after_tenant is None


def test_a_tenant_with_all_it_may_have_in_flight_is_left_out_of_every_claim() -> None:
    lane = _lane(concurrency=4, tenant_share=0.5)
    _begin(lane, _delivery(1, "hot"), _delivery(2, "hot"))

    assert [lane.share(0.0).full_tenants for _ in range(3)] == [("hot",)] * 3


def test_a_tenant_never_gets_more_room_than_its_share_leaves() -> None:
    lane = _lane(concurrency=4, tenant_share=0.75)
    _begin(lane, _delivery(1, "hot"), _delivery(2, "hot"))

    assert lane.share(0.0).tenant_room == 1


def test_an_ended_attempt_leaves_no_trace() -> None:
    lane = _lane()
    for flight in _begin(lane, _delivery(1), _delivery(2, "other")):
        lane.end(flight)

    assert (lane.flights, lane.tenants, lane.room) == ({}, {}, 256)


def test_the_next_turn_begins_after_the_tenant_served_last() -> None:
    lane = _lane()
    lane.is_pressed = True
    turns = lane.share(0.0)

    rest_s = lane.claimed(Claim((_delivery(1),), next_tenant="m"), turns, 0.0)

    assert rest_s == 0.0
    assert lane.next_tenant == "m"
    assert lane.share(0.0).after_tenant is None
    assert lane.share(0.0).after_tenant == "m"


def test_a_lane_rests_until_an_attempt_ends_when_only_full_tenants_are_due() -> None:
    lane = _lane(concurrency=4, tenant_share=0.5)
    _begin(lane, _delivery(1, "hot"), _delivery(2, "hot"))
    turns = lane.share(0.0)

    assert lane.claimed(Claim(()), turns, 0.0) == math.inf
    assert lane.is_pressed


def test_a_claim_under_load_looks_past_dead_rows_for_a_second_only() -> None:
    lane = _lane(concurrency=100)
    lane.claimed(Claim((_delivery(1),), is_more_due=True, oldest_at=_NOW), lane.share(0.0), 0.0)

    lane.share(0.5)
    bounded = lane.share(0.5)
    lane.share(1.5)
    unbounded = lane.share(1.5)

    assert (bounded.low_at, unbounded.low_at) == (_NOW, None)


def test_retries_open_the_breaker_of_their_key_only() -> None:
    lane = _lane(breaker=BreakerPolicy(failures=2, open_s=10.0, jitter=0.0))
    for number in range(2):
        lane.learn(_delivery(number), Retry("timeout"), now_s=0.0, noise=0.5)

    runs, holds = lane.permitted([_delivery(3), _delivery(4, key="ep_2"), _delivery(5)], 1.0)

    assert [delivery.id for delivery in runs] == [4]
    assert [(hold.delivery.id, hold.wait_s, hold.held) for hold in holds] == [(3, 9.0, "breaker"), (5, 19.0, "breaker")]


def test_the_same_key_of_another_tenant_has_a_breaker_of_its_own() -> None:
    lane = _lane(breaker=BreakerPolicy(failures=1))
    lane.learn(_delivery(1), Retry("timeout"), now_s=0.0, noise=0.5)

    assert lane.permitted([_delivery(2, "other")], 1.0)[0]


def test_an_answer_closes_the_breaker_even_when_it_is_a_refusal() -> None:
    lane = _lane(breaker=BreakerPolicy(failures=1))
    for outcome in (Rejected("http_400"), Delivered()):
        lane.learn(_delivery(1), Retry("timeout"), now_s=0.0, noise=0.5)

        assert lane.learn(_delivery(2), outcome, now_s=1.0, noise=0.5)
        assert lane.breakers == {}


def test_a_lane_without_a_breaker_policy_never_holds_anything_back() -> None:
    lane = _lane()
    for number in range(100):
        lane.learn(_delivery(number), Retry("timeout"), now_s=0.0, noise=0.5)

    assert lane.permitted([_delivery(1)], 0.0) == ([_delivery(1)], [])


def test_keys_in_trouble_are_remembered_within_a_bound() -> None:
    lane = _lane(breaker=BreakerPolicy(failures=1))
    for number in range(20_010):
        lane.learn(_delivery(number, key=f"ep_{number}"), Retry("timeout"), now_s=0.0, noise=0.5)

    assert len(lane.breakers) == 20_000
    assert ("acme", "ep_20009") in lane.breakers


def test_a_fault_of_our_own_opens_no_breaker() -> None:
    lane = _lane(breaker=BreakerPolicy(failures=1))

    lane.learn(_delivery(1), Retry(OWN_FAULT), now_s=0.0, noise=0.5)

    assert lane.permitted([_delivery(2)], 0.0) == ([_delivery(2)], [])


def test_a_probe_that_our_own_fault_prevented_is_made_by_the_next_delivery() -> None:
    lane = _lane(breaker=BreakerPolicy(failures=1, open_s=1.0, jitter=0.0))
    lane.learn(_delivery(1), Retry("http_503"), now_s=0.0, noise=0.5)
    lane.permitted([_delivery(1)], 1.0)

    lane.learn(_delivery(1), Retry(OWN_FAULT), now_s=1.0, noise=0.5)

    assert lane.permitted([_delivery(2)], 1.0) == ([_delivery(2)], [])


def test_where_nothing_is_left_claims_look_at_what_came_since_and_once_a_second_at_everything() -> None:
    lane = _lane()
    first = lane.share(0.0)
    lane.claimed(Claim((_delivery(1),), oldest_at=_NOW, looked_at=_NOW), first, 0.0)

    soon, later = lane.share(0.9), lane.share(1.1)

    assert first.low_at is None
    assert soon.low_at == _NOW - timedelta(seconds=2)
    assert later.low_at is None
