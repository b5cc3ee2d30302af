"""The operators beyond the public cases."""

from typing import Any

import pytest

from rowcast.router.condition import evaluate
from rowcast.router.operators import compile_condition

UPDATE = {
    "occurred_at": "2026-06-19T12:00:00+00:00",
    "payload": {
        "operation": "UPDATE",
        "record": {"status": "shipped", "total": 10, "note": None},
        "old_record": {"status": "confirmed", "total": 10},
    },
}
ORDER = {
    "occurred_at": "2026-06-19T12:00:00+00:00",
    "payload": {
        "sku": "WED-17",
        "country": "CH",
        "count": 3,
        "wedding_at": "2026-06-20T10:00:00+02:00",
        "lines": [{"sku": "a", "tags": ["x"]}, {"sku": "b", "tags": []}],
    },
}


def holds(tree: Any, values: Any) -> Any:
    return evaluate(compile_condition(tree), values)


@pytest.mark.parametrize(
    ("tree", "expected"),
    [
        ({"rowcast.starts_with": [{"var": "payload.sku"}, "WED-"]}, True),
        ({"rowcast.starts_with": [{"var": "payload.sku"}, "wed-"]}, False),
        ({"rowcast.starts_with": [{"var": "payload.count"}, "3"]}, False),
        ({"rowcast.ends_with": [{"var": "payload.sku"}, "17"]}, True),
        ({"rowcast.ends_with": [{"var": "payload.none"}, ""]}, False),
        ({"rowcast.matches": [{"var": "payload.sku"}, "^WED-[0-9]+$"]}, True),
        ({"rowcast.matches": [{"var": "payload.sku"}, "ED"]}, True),
        ({"rowcast.matches": [{"var": "payload.sku"}, "^ED"]}, False),
        ({"rowcast.matches": [{"var": "payload.count"}, "3"]}, False),
        ({"rowcast.matches": ["\ud800", "."]}, False),
        ({"rowcast.within": [{"var": "payload.wedding_at"}, "24h"]}, True),
        ({"rowcast.within": [{"var": "payload.wedding_at"}, "12h"]}, False),
        ({"rowcast.within": [{"var": "payload.wedding_at"}, "1h", "2026-06-20T09:00:00Z"]}, True),
        ({"rowcast.within": [{"var": "payload.none"}, "24h"]}, False),
        ({"rowcast.on_day": [{"var": "occurred_at"}, "friday", "Europe/Berlin"]}, True),
        ({"rowcast.on_day": [{"var": "occurred_at"}, {"var": "payload.wedding_at"}, "Europe/Berlin"]}, False),
        ({"in": [{"var": "payload.country"}, ["DE", "CH"]]}, True),
        ({"in": [{"var": "payload.count"}, ["3"]]}, False),
        ({"in": [{"var": "payload.count"}, [3, "x"]]}, True),
        ({"in": [True, [1]]}, False),
        ({"in": [1, "123"]}, False),
        ({"in": ["a", None]}, False),
        ({"missing": [["payload.sku", "payload.gone"]]}, ["payload.gone"]),
        ({"some": [{"var": "payload.lines"}, {"some": [{"var": "tags"}, {"==": [{"var": ""}, "x"]}]}]}, True),
        ({"some": [{"var": "payload.sku"}, True]}, False),
        ({"all": [{"var": "payload.sku"}, True]}, False),
        ({"none": [{"var": "payload.sku"}, True]}, True),
        ({"<": [{"var": "payload.gone"}, 5]}, False),
        ({">": [5, {"var": "payload.gone"}]}, False),
    ],
)
def test_operator_gives_its_answer(tree: Any, expected: Any) -> None:
    assert holds(tree, ORDER) == expected


def test_changed_sees_a_column_that_an_update_set_to_something_else() -> None:
    assert holds({"rowcast.changed": "status"}, UPDATE)
    assert holds({"rowcast.changed": ["total", "status"]}, UPDATE)
    assert not holds({"rowcast.changed": "total"}, UPDATE)
    assert not holds({"rowcast.changed": "note"}, UPDATE)


@pytest.mark.parametrize("operation", ["INSERT", "DELETE", None])
def test_changed_does_not_hold_for_a_row_that_came_or_went(operation: str | None) -> None:
    assert not holds({"rowcast.changed": "status"}, {"payload": {**UPDATE["payload"], "operation": operation}})  # type: ignore[dict-item]


def test_changed_looks_at_the_event_also_inside_an_iterator() -> None:
    assert holds({"some": [[1], {"rowcast.changed": "status"}]}, UPDATE)
