"""The comparison at the end of a ledger run: what was committed against what arrived. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Fate = Literal["committed", "aborted"]
TOLD = "relay"
"""The sink that stands for the relays themselves: what they told, in the order in which they told it."""


@dataclass(frozen=True)
class Written:
    """One transaction of a producer, after unknown ends were settled by reading the table."""

    tenant: str
    key: str
    seq: int
    mark: str
    fate: Fate
    way: str = ""


@dataclass(frozen=True)
class Arrived:
    """One event that a sink saw.

    `tenant` is whose endpoint, socket or job it was, `claimed_tenant` what the event says. `mark` is the producer's own
    name of the write, `event_id` the one by which a receiver may drop duplicates.
    """

    sink: str
    tenant: str
    claimed_tenant: str
    key: str
    seq: int
    mark: str
    event_id: str
    at: float = 0.0
    node: int = 0


@dataclass
class Report:
    """Counts of each anomaly, with a few samples of each."""

    counts: dict[str, int] = field(default_factory=dict)
    samples: dict[str, list[str]] = field(default_factory=dict)
    duplicates: dict[str, int] = field(default_factory=dict)
    late: int = 0
    committed: dict[str, int] = field(default_factory=dict)
    aborted: int = 0
    arrived: dict[str, int] = field(default_factory=dict)

    def add(self, anomaly: str, sample: object, count: int = 1) -> None:
        """Count an anomaly and keep it as a sample."""
        self.counts[anomaly] = self.of(anomaly) + count
        samples = self.samples.setdefault(anomaly, [])
        if len(samples) < 5:
            samples.append(str(sample))

    def of(self, anomaly: str) -> int:
        """Give how often an anomaly was seen."""
        return self.counts.get(anomaly, 0)


@dataclass(frozen=True)
class Expected:
    """What the sinks owe.

    Args:
        durable_sinks: Must see every committed event.
        ordered_sinks: Must see the events of a key in order (first deliveries).
        recorded: (sink, mark) pairs that have an attempt row.
        dead: (sink, mark) pairs in the dead letter.
        duplicates: The most duplicates of a sink: what may have been in flight, at each crash.
    """

    durable_sinks: frozenset[str]
    ordered_sinks: frozenset[str]
    recorded: frozenset[tuple[str, str]]
    dead: frozenset[tuple[str, str]] = frozenset()
    duplicates: Mapping[str, int] = field(default_factory=dict)


def compare(written: Iterable[Written], arrived: Iterable[Arrived], expected: Expected) -> Report:
    """Give every anomaly. `arrived` is in order of arrival at each sink."""
    report, items = Report(), list(arrived)
    by_mark = {item.mark: item for item in written}
    report.committed = dict(Counter(item.way for item in by_mark.values() if item.fate == "committed"))
    report.aborted = sum(item.fate == "aborted" for item in by_mark.values())
    seen = _first_arrivals(report, items, by_mark)
    for sink in expected.ordered_sinks:
        _check_order(report, seen[sink].values(), _missed(sink, items))
    for sink in expected.durable_sinks:
        _check_durable(report, sink, seen[sink], by_mark, expected)
    for sink, count in report.duplicates.items():
        bound = expected.duplicates.get(sink)
        if bound is not None and count > bound:
            report.add("DUPLICATE", f"{count} at {sink}, {bound} at most", count - bound)
    return report


def _first_arrivals(
    report: Report, items: list[Arrived], by_mark: Mapping[str, Written]
) -> dict[str, dict[str, Arrived]]:
    """Check each arrival by itself and give the first one of each mark at each sink, in order."""
    seen: dict[str, dict[str, Arrived]] = defaultdict(dict)
    names: dict[str, str] = {}
    for item in items:
        _check_one(report, item, by_mark)
        if names.setdefault(item.mark, item.event_id) != item.event_id:
            report.add("RENAMED", (item, names[item.mark]))
        if item.mark in seen[item.sink]:
            report.duplicates[item.sink] = report.duplicates.get(item.sink, 0) + 1
        else:
            seen[item.sink][item.mark] = item
    report.arrived = {sink: len(marks) for sink, marks in seen.items()}
    return seen


def _check_one(report: Report, item: Arrived, by_mark: Mapping[str, Written]) -> None:
    origin = by_mark.get(item.mark)
    if origin is None:
        report.add("PHANTOM", item)
        return
    if origin.fate == "aborted":
        report.add("ABORTED", item)
    if (origin.key, origin.seq) != (item.key, item.seq):
        report.add("PHANTOM", item)
    if not item.tenant == item.claimed_tenant == origin.tenant:
        report.add("CROSS-TENANT", item)


def _missed(sink: str, items: list[Arrived]) -> frozenset[str]:
    """Give what the relays told more often than it arrived: its first arrival may be a later telling."""
    told = Counter(item.mark for item in items if item.sink == TOLD)
    came = Counter(item.mark for item in items if item.sink == sink)
    return (
        frozenset(mark for mark, count in told.items() if count > max(came[mark], 1)) if sink != TOLD else frozenset()
    )


def _check_order(report: Report, first: Iterable[Arrived], missed: frozenset[str]) -> None:
    """A mark whose first telling a socket missed comes late there; whether it was told in order is seen at the relay."""
    newest: dict[tuple[str, str], int] = {}
    for item in first:
        place = (item.tenant, item.key)
        if item.seq < newest.get(place, -1):
            if item.mark in missed:
                report.late += 1
            else:
                report.add("INVERSION", (item, newest[place]))
        newest[place] = max(newest.get(place, -1), item.seq)


def _check_durable(
    report: Report, sink: str, seen: Mapping[str, Arrived], by_mark: Mapping[str, Written], expected: Expected
) -> None:
    for mark, item in by_mark.items():
        if mark in seen:
            if (sink, mark) not in expected.recorded:
                report.add("UNRECORDED", seen[mark])
        elif item.fate == "committed" and (sink, mark) not in expected.dead:
            report.add("LOST", (sink, item))
