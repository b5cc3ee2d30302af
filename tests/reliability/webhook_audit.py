"""The comparison at the end of a run with webhooks: what was committed and recorded against what arrived. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Word = tuple[str, str, str]
"""What an attempt is recorded as: outcome, reason and code."""

FINE: Word = ("delivered", "", "200")
LOST: Word = ("lost", "lease_expired", "")
OWN: Word = ("retry", "store_unavailable", "")
"""Nothing was posted: our own database was away."""


@dataclass(frozen=True)
class Leg:
    """One delivery as the database has it at the end. `words` are its attempts in order."""

    tenant: str
    message_id: str
    number: int
    status: str
    words: tuple[Word, ...]


@dataclass(frozen=True)
class Expectation:
    """How a tenant's messages may end, and how their attempts may be recorded beside `delivered` and `lost`.

    `is_counted`: each post is an attempt of its own; not so where libcurl tries once more by itself.
    """

    words: frozenset[Word] = frozenset()
    ends: frozenset[str] = frozenset({"delivered"})
    is_counted: bool = True


@dataclass
class Findings:
    """Counts of each anomaly, with a few samples."""

    counts: Counter[str] = field(default_factory=Counter)
    samples: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    def add(self, anomaly: str, sample: object) -> None:
        """Count one."""
        self.counts[anomaly] += 1
        if len(self.samples[anomaly]) < 5:
            self.samples[anomaly].append(str(sample))


@dataclass(frozen=True)
class Books:
    """What there is to compare: committed messages by tenant, their legs, who arrived how often, and who was taken."""

    committed: Mapping[str, str]
    legs: Sequence[Leg]
    arrived: Mapping[tuple[str, str], int]
    taken: frozenset[str]


def compare(books: Books, expectations: Mapping[str, Expectation]) -> Findings:
    """Give every anomaly."""
    findings = Findings()
    _check_owed(findings, books)
    _check_arrivals(findings, books)
    for leg in books.legs:
        _check_leg(findings, leg, books, expectations[leg.tenant])
    return findings


def _check_owed(findings: Findings, books: Books) -> None:
    legs = Counter(leg.message_id for leg in books.legs)
    for message_id, tenant in books.committed.items():
        if legs[message_id] != 1:
            findings.add("LOST" if not legs[message_id] else "TWICE", (tenant, message_id))


def _check_arrivals(findings: Findings, books: Books) -> None:
    for tenant, message_id in books.arrived:
        owner = books.committed.get(message_id)
        if owner is None:
            findings.add("PHANTOM", (tenant, message_id))
        elif owner != tenant:
            findings.add("CROSS-TENANT", (tenant, message_id, owner))


def _check_leg(findings: Findings, leg: Leg, books: Books, expected: Expectation) -> None:
    if leg.status not in expected.ends:
        findings.add("ENDED", leg)
    if leg.status == "delivered" and leg.message_id not in books.taken:
        findings.add("INVENTED", leg)
    for word in leg.words:
        if word not in expected.words | {FINE, LOST, OWN}:
            findings.add("MISTAKEN", leg)
    if leg.status == "delivered" and FINE not in leg.words:
        findings.add("UNRECORDED", leg)
    if expected.is_counted and books.arrived.get((leg.tenant, leg.message_id), 0) > len(leg.words):
        findings.add("UNRECORDED", leg)


def seen_words(legs: Iterable[Leg]) -> dict[str, set[Word]]:
    """Give how the attempts of each tenant were recorded."""
    seen: dict[str, set[Word]] = defaultdict(set)
    for leg in legs:
        seen[leg.tenant].update(leg.words)
    return seen
