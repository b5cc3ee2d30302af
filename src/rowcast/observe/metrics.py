"""What is told, as metrics in Prometheus' text form. Labels are small closed sets: never a tenant, a topic or an id."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from math import inf
from typing import Any, Literal

import msgspec
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from rowcast.core.telemetry import Value
from rowcast.observe.status import Status
from rowcast.observe.words import LabelWords

_FAST_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_NAMES_LIMIT = 256


class Spec(msgspec.Struct, frozen=True):
    """One metric fed by one told name: which facts are its labels, and which fact is added or observed.

    A counter without `fact` counts the times; one whose fact is missing adds nothing.
    """

    told: str
    metric: str
    kind: Literal["counter", "histogram"]
    about: str
    labels: tuple[str, ...] = ()
    fact: str = ""


SPECS = (
    Spec(
        "delivery.settled", "rowcast_delivery_attempts", "counter", "Attempts that ended.", ("sink", "status", "reason")
    ),
    Spec(
        "delivery.settled",
        "rowcast_delivery_duration_seconds",
        "histogram",
        "How long one attempt took.",
        ("sink",),
        "duration_s",
    ),
    Spec(
        "delivery.held",
        "rowcast_deliveries_held",
        "counter",
        "Put back by a limit or a breaker.",
        ("sink", "reason"),
        "count",
    ),
    Spec(
        "delivery.lost",
        "rowcast_deliveries_lost",
        "counter",
        "Attempts whose worker never came back.",
        ("sink",),
        "count",
    ),
    Spec("delivery.replayed", "rowcast_deliveries_replayed", "counter", "Deliveries owed once more.", (), "count"),
    Spec("relay.batch_settled", "rowcast_events_published", "counter", "Events published.", ("feed",), "published"),
    Spec("relay.batch_settled", "rowcast_events_failed", "counter", "Events not routed yet.", ("feed",), "failed"),
    Spec("relay.batch_settled", "rowcast_events_skipped", "counter", "Events settled before.", ("feed",), "skipped"),
    Spec("relay.batch_settled", "rowcast_deliveries_added", "counter", "Deliveries owed.", ("feed",), "deliveries"),
    Spec("changes.measured", "rowcast_changes_lag_seconds", "histogram", "Age of the row read last.", (), "lag_s"),
    Spec("changes.told", "rowcast_changes_rows", "counter", "Changed rows that were looked at.", (), "rows"),
    Spec("changes.gap", "rowcast_changes_gaps", "counter", "Stretches in which changes may be missing."),
    Spec("incoming.taken", "rowcast_incoming_events", "counter", "Events that senders told.", ("scheme",), "events"),
    Spec("incoming.taken", "rowcast_incoming_repeated", "counter", "Deliveries taken before.", ("scheme",), "repeated"),
    Spec("incoming.refused", "rowcast_incoming_refused", "counter", "Deliveries refused.", ("scheme", "reason")),
    Spec("broadcast.sent", "rowcast_frames_sent", "counter", "Frames handed to the hub's sockets.", (), "frames"),
)


class Metrics:
    """The metrics of this process, in a registry of their own."""

    def __init__(self, *, specs: Iterable[Spec] = SPECS) -> None:
        """Make every metric; nothing listens yet: `listening(metrics.hear)`."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        told = Counter("rowcast_told", "Everything that was told.", ("name", "reason"), registry=self.registry)
        # Finding a labelled series takes a lock and a tuple each time; there are few, so they are kept.
        self._told: Callable[..., Counter] = cache(told.labels)
        self._names = LabelWords(_NAMES_LIMIT)
        self._reasons = LabelWords()
        self._fed: dict[str, list[_Fed]] = {}
        for spec in specs:
            self._fed.setdefault(spec.told, []).append(_Fed(spec, self.registry))
        self._gauges = _Gauges(self.registry)

    def hear(self, name: str, facts: Mapping[str, Value]) -> None:
        """Listen to `core/telemetry`: count it, and feed the metrics of that name."""
        reason = facts.get("reason") or facts.get("code") or facts.get("error")
        self._told(self._names.word(name), self._reasons.word(reason)).inc()
        for fed in self._fed.get(name, ()):
            fed.take(facts)

    def show(self, status: Status) -> None:
        """Set the gauges from a reading of the database."""
        self._gauges.show(status)

    def exposition(self) -> bytes:
        """Give the text for /metrics."""
        return generate_latest(self.registry)


class _Fed:
    """A metric and how a told name feeds it."""

    __slots__ = ("_labels", "_series", "_spec")

    def __init__(self, spec: Spec, registry: CollectorRegistry) -> None:
        self._spec = spec
        self._labels = tuple((name, LabelWords()) for name in spec.labels)
        metric: Counter | Histogram = (
            Counter(spec.metric, spec.about, spec.labels, registry=registry)
            if spec.kind == "counter"
            else Histogram(spec.metric, spec.about, spec.labels, registry=registry, buckets=_FAST_BUCKETS_S)
        )
        self._series: Callable[..., Any] = cache(metric.labels) if spec.labels else lambda: metric

    def take(self, facts: Mapping[str, Value]) -> None:
        amount = facts.get(self._spec.fact, 0) if self._spec.fact else 1
        if isinstance(amount, bool) or not isinstance(amount, int | float) or not 0 <= amount < inf:
            return
        metric = self._series(*(words.word(facts.get(name, "")) for name, words in self._labels))
        if isinstance(metric, Counter):
            metric.inc(amount)
        else:
            metric.observe(amount)


class _Gauges:
    """What a reading of the database shows. A series that a reading does not have any more goes away."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def gauge(name: str, about: str, *labels: str) -> Gauge:
            return Gauge(name, about, labels, registry=registry)

        self._events = gauge("rowcast_events", "Events by status; dead ones counted to 10,000.", "status")
        self._oldest = gauge("rowcast_oldest_pending_seconds", "Age of the oldest pending event.")
        self._deliveries = gauge("rowcast_deliveries", "Deliveries by status, counted to 10,000.", "sink", "status")
        self._overdue = gauge("rowcast_delivery_overdue_seconds", "How long the first due delivery waits.", "sink")
        self._active = gauge("rowcast_slot_active", "Whether somebody reads the replication slot.", "slot")
        self._lag = gauge("rowcast_slot_lag_bytes", "Log that the slot's reader has not confirmed.", "slot")
        self._retained = gauge("rowcast_slot_retained_bytes", "Log that the server keeps for the slot.", "slot")
        self._gaps = gauge("rowcast_open_gaps", "Lost stretches of the log that are not healed yet.")
        self._sinks, self._slots = LabelWords(), LabelWords()

    def show(self, status: Status) -> None:
        events = status.events
        for name in ("pending", "published", "failed", "dead"):
            self._events.labels(name).set(getattr(events, name))
        self._oldest.set(events.oldest_pending_seconds)
        self._gaps.set(status.open_gaps)
        self._show_deliveries(status)
        self._show_slots(status)

    def _show_deliveries(self, status: Status) -> None:
        for gauge in (self._deliveries, self._overdue):
            gauge.clear()
        for count in status.deliveries:
            sink = self._sinks.word(count.sink)
            self._deliveries.labels(sink, count.status).set(count.deliveries)
            if count.status == "waiting":
                self._overdue.labels(sink).set(count.overdue_seconds)

    def _show_slots(self, status: Status) -> None:
        for gauge in (self._active, self._lag, self._retained):
            gauge.clear()
        for slot in status.slots:
            name = self._slots.word(slot.name)
            self._active.labels(name).set(slot.is_active)
            self._lag.labels(name).set(slot.lag_bytes)
            self._retained.labels(name).set(slot.retained_bytes)
