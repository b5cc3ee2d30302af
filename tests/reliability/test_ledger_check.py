"""The checker itself: each anomaly is shown to it once, and it must see it."""

from dataclasses import replace

import pytest

from tests.reliability.ledger_check import Arrived, Expected, Report, Written, compare

ONE = Written("red", "k", 1, "m1", "committed")
TWO = Written("red", "k", 2, "m2", "committed")
UNDONE = Written("red", "k", 3, "m3", "aborted")


def arrived(origin: Written, sink: str = "webhooks") -> Arrived:
    return Arrived(sink, origin.tenant, origin.tenant, origin.key, origin.seq, origin.mark, f"id of {origin.mark}")


def report_of(written: list[Written], seen: list[Arrived], *, is_recorded: bool = True, most: int = 9) -> Report:
    expected = Expected(
        durable_sinks=frozenset({"webhooks"}),
        ordered_sinks=frozenset({"realtime", "relay"}),
        recorded=frozenset((item.sink, item.mark) for item in seen) if is_recorded else frozenset(),
        duplicates={"webhooks": most},
    )
    return compare(written, seen, expected)


def test_a_clean_run_has_no_anomaly() -> None:
    assert report_of([ONE, TWO, UNDONE], [arrived(ONE), arrived(TWO), arrived(TWO)]).counts == {}


@pytest.mark.parametrize(
    ("written", "seen", "anomaly"),
    [
        ([ONE, TWO], [arrived(ONE)], "LOST"),
        ([ONE], [arrived(ONE), arrived(TWO)], "PHANTOM"),
        ([ONE], [replace(arrived(ONE), seq=9)], "PHANTOM"),
        ([ONE, UNDONE], [arrived(ONE), arrived(UNDONE)], "ABORTED"),
        ([ONE], [replace(arrived(ONE), tenant="blue")], "CROSS-TENANT"),
        ([ONE], [replace(arrived(ONE), claimed_tenant="blue")], "CROSS-TENANT"),
        ([ONE], [arrived(ONE), replace(arrived(ONE), event_id="another")], "RENAMED"),
        ([ONE, TWO], [arrived(ONE), arrived(TWO), arrived(TWO, "realtime"), arrived(ONE, "realtime")], "INVERSION"),
        ([ONE, TWO], [arrived(ONE), arrived(TWO), arrived(TWO, "relay"), arrived(ONE, "relay")], "INVERSION"),
    ],
)
def test_each_anomaly_is_seen(written: list[Written], seen: list[Arrived], anomaly: str) -> None:
    assert report_of(written, seen).counts == {anomaly: 1}


def test_a_delivery_without_an_attempt_row_is_unrecorded() -> None:
    assert report_of([ONE], [arrived(ONE)], is_recorded=False).counts == {"UNRECORDED": 1}


def test_a_duplicate_is_counted_apart_and_is_no_inversion() -> None:
    seen = [arrived(ONE, "realtime"), arrived(TWO, "realtime"), arrived(ONE, "realtime"), arrived(ONE), arrived(TWO)]

    report = report_of([ONE, TWO], seen)

    assert (report.counts, report.duplicates) == ({}, {"realtime": 1})


def test_more_duplicates_than_crashes_explain_are_an_anomaly() -> None:
    assert report_of([ONE], [arrived(ONE)] * 5, most=2).counts == {"DUPLICATE": 2}


def test_what_a_socket_saw_late_because_it_missed_the_first_telling_is_no_inversion() -> None:
    told = [arrived(ONE, "relay"), arrived(TWO, "relay"), arrived(ONE, "relay")]
    seen = [arrived(TWO, "realtime"), arrived(ONE, "realtime")]

    report = report_of([ONE, TWO], [*told, *seen, arrived(ONE), arrived(TWO)])

    assert (report.counts, report.late) == ({}, 1)


def test_what_a_socket_saw_in_another_order_than_it_was_told_once_is_an_inversion() -> None:
    told = [arrived(ONE, "relay"), arrived(TWO, "relay")]
    seen = [arrived(TWO, "realtime"), arrived(ONE, "realtime")]

    assert report_of([ONE, TWO], [*told, *seen, arrived(ONE), arrived(TWO)]).counts == {"INVERSION": 1}
