"""The checker itself: each anomaly is shown to it once, and it must see it."""

from dataclasses import replace

import pytest

from tests.reliability.ledger_check import Arrived, Written, compare

ONE = Written("red", "k", 1, "e1", "committed")
TWO = Written("red", "k", 2, "e2", "committed")
UNDONE = Written("red", "k", 3, "e3", "aborted")


def arrived(origin: Written, sink: str = "webhooks") -> Arrived:
    return Arrived(sink, origin.tenant, origin.tenant, origin.key, origin.seq, origin.event_id, 0.0)


def anomalies(written: list[Written], seen: list[Arrived], *, is_recorded: bool = True) -> dict[str, int]:
    attempts = frozenset((item.sink, item.event_id) for item in seen) if is_recorded else frozenset()
    report = compare(
        written, seen, durable_sinks=frozenset({"webhooks"}), ordered_sinks=frozenset({"realtime"}), attempts=attempts
    )
    return dict(report.counts)


def test_a_clean_run_has_no_anomaly() -> None:
    assert anomalies([ONE, TWO, UNDONE], [arrived(ONE), arrived(TWO), arrived(TWO)]) == {}


@pytest.mark.parametrize(
    ("written", "seen", "anomaly"),
    [
        ([ONE, TWO], [arrived(ONE)], "LOST"),
        ([ONE], [arrived(ONE), arrived(TWO)], "PHANTOM"),
        ([ONE], [replace(arrived(ONE), seq=9)], "PHANTOM"),
        ([ONE, UNDONE], [arrived(ONE), arrived(UNDONE)], "ABORTED"),
        ([ONE], [replace(arrived(ONE), tenant="blue")], "CROSS-TENANT"),
        ([ONE], [replace(arrived(ONE), claimed_tenant="blue")], "CROSS-TENANT"),
        ([ONE, TWO], [arrived(ONE), arrived(TWO), arrived(TWO, "realtime"), arrived(ONE, "realtime")], "INVERSION"),
    ],
)
def test_each_anomaly_is_seen(written: list[Written], seen: list[Arrived], anomaly: str) -> None:
    assert anomalies(written, seen) == {anomaly: 1}


def test_a_delivery_without_an_attempt_row_is_unrecorded() -> None:
    assert anomalies([ONE], [arrived(ONE)], is_recorded=False) == {"UNRECORDED": 1}


def test_a_duplicate_is_counted_apart_and_is_no_inversion() -> None:
    seen = [arrived(ONE, "realtime"), arrived(TWO, "realtime"), arrived(ONE, "realtime"), arrived(ONE), arrived(TWO)]

    assert anomalies([ONE, TWO], seen) == {}
