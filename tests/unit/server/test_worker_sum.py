"""Many processes shown as one."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from rowcast.observe.health import Component, Readiness
from rowcast.server.worker_sum import sum_metrics, sum_readiness


def exposition(orders: int, seconds: float, label: str = "a b") -> bytes:
    registry = CollectorRegistry()
    Counter("orders", "Orders.", ("kind",), registry=registry).labels(label).inc(orders)
    Histogram("wait_seconds", "Waits.", registry=registry, buckets=(1, 10)).observe(seconds)
    Gauge("process_start_time_seconds", "Start.", registry=registry).set(1000 + orders)
    return generate_latest(registry)


def values(text: bytes) -> dict[tuple[str, str], float]:
    return {
        (sample.name, ",".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


def test_the_same_series_of_two_processes_are_added_and_others_stay() -> None:
    found = values(sum_metrics([exposition(2, 0.5), exposition(3, 5.0), exposition(4, 5.0, "other")]))

    assert found["orders_total", "a b"] == 5
    assert found["orders_total", "other"] == 4
    assert found["wait_seconds_bucket", "1.0"] == 1
    assert found["wait_seconds_count", ""] == 3
    assert found["wait_seconds_sum", ""] == 10.5


def test_of_times_the_earliest_counts() -> None:
    assert values(sum_metrics([exposition(2, 1), exposition(1, 1)]))["process_start_time_seconds", ""] == 1001


def test_the_sum_of_one_is_itself() -> None:
    one = exposition(2, 1)

    assert values(sum_metrics([one])) == values(one)


def test_each_component_is_as_the_worst_process_says() -> None:
    one = Readiness(True, "ok", (Component("bus", "ok"), Component("relay", "ok")))
    other = Readiness(True, "degraded", (Component("bus", "degraded", "away"),))

    found = sum_readiness([one, other])

    assert found == Readiness(True, "degraded", (Component("bus", "degraded", "away"), Component("relay", "ok")))


def test_one_component_that_is_down_makes_all_not_ready() -> None:
    down = Readiness(False, "down", (Component("workers", "down", "0 of 2 are up"),))

    assert not sum_readiness([Readiness(True, "ok", ()), down]).is_ready
