"""What is told becomes metrics whose labels stay few whatever is told."""

import pytest

from rowcast.core.telemetry import listening, tell
from rowcast.observe.metrics import SPECS, Metrics
from rowcast.observe.status import DeliveryCount, EventCounts, Slot, Status


def _series(metrics: Metrics) -> dict[str, float]:
    lines = metrics.exposition().decode().splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_a_settled_delivery_is_counted_and_timed() -> None:
    metrics = Metrics()

    with listening(metrics.hear):
        tell("delivery.settled", sink="webhooks", status="waiting", reason="http_503", attempt=3, duration_s=0.2)

    series = _series(metrics)
    assert series['rowcast_delivery_attempts_total{reason="http_5xx",sink="webhooks",status="waiting"}'] == 1
    assert series['rowcast_delivery_duration_seconds_bucket{le="0.1",sink="webhooks"}'] == 0
    assert series['rowcast_delivery_duration_seconds_bucket{le="0.25",sink="webhooks"}'] == 1
    assert series['rowcast_told_total{name="delivery.settled",reason="http_5xx"}'] == 1


def test_a_counter_adds_the_fact_it_is_fed_with() -> None:
    metrics = Metrics()

    metrics.hear("delivery.lost", {"sink": "jobs", "count": 3})
    metrics.hear("delivery.lost", {"sink": "jobs", "count": 2})

    assert _series(metrics)['rowcast_deliveries_lost_total{sink="jobs"}'] == 5


@pytest.mark.parametrize("count", [None, "many", True, -1, float("nan"), float("inf")])
def test_a_fact_that_is_no_amount_adds_nothing(count: object) -> None:
    metrics = Metrics()

    metrics.hear("delivery.lost", {"sink": "jobs", "count": count})  # type: ignore[dict-item]

    assert 'rowcast_deliveries_lost_total{sink="jobs"}' not in _series(metrics)


def test_a_thousand_tenants_in_a_label_make_few_series() -> None:
    metrics = Metrics()

    for number in range(1000):
        metrics.hear(f"name.{number}", {"reason": f"tenant{number}"})
        metrics.hear(
            "delivery.settled", {"sink": f"sink{number}", "status": "x", "reason": f"r{number}", "duration_s": 1}
        )

    assert len(_series(metrics)) < 2_500
    assert 'rowcast_told_total{name="other",reason="other"}' in _series(metrics)


def test_a_name_that_nobody_foresaw_is_counted() -> None:
    metrics = Metrics()

    metrics.hear("something.new", {})

    assert _series(metrics)['rowcast_told_total{name="something.new",reason=""}'] == 1


def test_two_processes_worth_of_metrics_live_beside_each_other() -> None:
    first, second = Metrics(), Metrics()

    first.hear("delivery.replayed", {"count": 1})

    assert _series(second)["rowcast_deliveries_replayed_total"] == 0


_STATUS = Status(
    events=EventCounts(pending=4, published=3, failed=2, dead=1, oldest_pending_seconds=7.5),
    deliveries=(DeliveryCount("webhooks", "waiting", 5, 2.5), DeliveryCount("jobs", "dead", 6)),
    slots=(Slot("rowcast", True, "reserved", 10, 20, None),),
    open_gaps=1,
)


def test_a_reading_of_the_database_sets_the_gauges() -> None:
    metrics = Metrics()

    metrics.show(_STATUS)

    series = _series(metrics)
    assert [series[f'rowcast_events{{status="{name}"}}'] for name in ("pending", "published", "failed", "dead")] == [
        4,
        3,
        2,
        1,
    ]
    assert series["rowcast_oldest_pending_seconds"] == 7.5
    assert series['rowcast_deliveries{sink="jobs",status="dead"}'] == 6
    assert series['rowcast_delivery_overdue_seconds{sink="webhooks"}'] == 2.5
    assert series['rowcast_slot_retained_bytes{slot="rowcast"}'] == 20
    assert series["rowcast_open_gaps"] == 1


def test_what_the_next_reading_does_not_have_goes_away() -> None:
    metrics = Metrics()
    metrics.show(_STATUS)

    metrics.show(Status())

    assert [name for name in _series(metrics) if "deliveries{" in name or "slot" in name] == []


def test_no_metric_has_a_label_for_a_tenant_a_topic_or_an_id() -> None:
    labels = {label for spec in SPECS for label in spec.labels}

    assert labels <= {"sink", "status", "reason", "feed", "scheme"}
