"""The comparison at the end of a ledger run: what was committed against what arrived. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

Fate = Literal["committed", "aborted"]


@dataclass(frozen=True)
class Written:
    """One transaction of a producer, after unknown ends were settled by reading the table."""

    tenant: str
    key: str
    seq: int
    event_id: str
    fate: Fate


@dataclass(frozen=True)
class Arrived:
    """One event that a sink saw. `tenant` is whose endpoint, socket or job it was; `claimed_tenant` what the event says."""

    sink: str
    tenant: str
    claimed_tenant: str
    key: str
    seq: int
    event_id: str
    at: float


@dataclass
class Report:
    """Counts of each anomaly, with a few samples of each."""

    counts: dict[str, int] = field(default_factory=dict)
    samples: dict[str, list[str]] = field(default_factory=dict)
    duplicates: dict[str, int] = field(default_factory=dict)
    committed: int = 0
    aborted: int = 0
    arrived: int = 0

    def add(self, anomaly: str, sample: object) -> None:
        """Count one anomaly and keep it as a sample."""
        self.counts[anomaly] = self.of(anomaly) + 1
        samples = self.samples.setdefault(anomaly, [])
        if len(samples) < 5:
            samples.append(str(sample))

    def of(self, anomaly: str) -> int:
        """Give how often an anomaly was seen."""
        return self.counts.get(anomaly, 0)


def compare(
    written: Iterable[Written],
    arrived: Iterable[Arrived],
    *,
    durable_sinks: frozenset[str],
    ordered_sinks: frozenset[str],
    attempts: frozenset[tuple[str, str]],
    dead: frozenset[tuple[str, str]] = frozenset(),
) -> Report:
    """Give every anomaly.

    Args:
        written: What the producers did.
        arrived: What the sinks saw, in order of arrival at each.
        durable_sinks: Sinks that must see every committed event.
        ordered_sinks: Sinks that must see the events of a key in order (first deliveries).
        attempts: (sink, event id) pairs that have an attempt row.
        dead: (sink, event id) pairs in the dead letter.
    """
    report = Report()
    by_id = {item.event_id: item for item in written}
    report.committed = sum(item.fate == "committed" for item in by_id.values())
    report.aborted = len(by_id) - report.committed
    seen: dict[str, set[str]] = defaultdict(set)
    newest: dict[tuple[str, str, str], int] = {}
    for item in arrived:
        report.arrived += 1
        _check_one(report, item, by_id)
        if item.event_id in seen[item.sink]:
            report.duplicates[item.sink] = report.duplicates.get(item.sink, 0) + 1
            continue
        seen[item.sink].add(item.event_id)
        if item.sink in ordered_sinks:
            _check_order(report, item, newest)
        if item.sink in durable_sinks and (item.sink, item.event_id) not in attempts:
            report.add("UNRECORDED", item)
    _check_lost(report, by_id, seen, durable_sinks, dead)
    return report


def _check_one(report: Report, item: Arrived, by_id: Mapping[str, Written]) -> None:
    origin = by_id.get(item.event_id)
    if origin is None:
        report.add("PHANTOM", item)
        return
    if origin.fate == "aborted":
        report.add("ABORTED", item)
    if (origin.key, origin.seq) != (item.key, item.seq):
        report.add("PHANTOM", item)
    if not item.tenant == item.claimed_tenant == origin.tenant:
        report.add("CROSS-TENANT", item)


def _check_order(report: Report, item: Arrived, newest: dict[tuple[str, str, str], int]) -> None:
    place = (item.sink, item.tenant, item.key)
    if item.seq < newest.get(place, -1):
        report.add("INVERSION", (item, newest[place]))
    newest[place] = max(newest.get(place, -1), item.seq)


def _check_lost(
    report: Report,
    by_id: Mapping[str, Written],
    seen: Mapping[str, set[str]],
    durable_sinks: frozenset[str],
    dead: frozenset[tuple[str, str]],
) -> None:
    for sink in durable_sinks:
        for item in by_id.values():
            if item.fate == "committed" and item.event_id not in seen.get(sink, ()) and (sink, item.event_id) not in dead:
                report.add("LOST", (sink, item))
