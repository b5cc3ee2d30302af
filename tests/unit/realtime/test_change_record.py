"""The JSON of one changed row."""

import json
from typing import Any

import pytest

from rowcast.core.row_change import ChangedColumn, ChangedRow, ChangedTable
from rowcast.realtime.change_record import RECORD_LIMIT_BYTES, RecordWriter, commit_time
from tests.unit.realtime.change_rows import TABLE, TYPES

ALL = frozenset({"id", "status"})


def write(row: ChangedRow, **values: Any) -> dict[str, Any]:
    writer = RecordWriter(values.pop("table", TABLE), TYPES, **{"key": ("id",), "readable": ALL, **values})
    found: dict[str, Any] = json.loads(writer.write(row, commit_time(0)))
    return found


def test_the_fields_are_those_of_the_stock_server() -> None:
    assert write(ChangedRow("UPDATE", 0, 0, [b"7", b'a"b'])) == {
        "schema": "public",
        "table": "orders",
        "commit_timestamp": "2000-01-01T00:00:00.000Z",
        "type": "UPDATE",
        "columns": [{"name": "id", "type": "int8"}, {"name": "status", "type": "text"}],
        "record": {"id": 7, "status": 'a"b'},
        "old_record": {"id": 7},
        "errors": None,
    }


def test_an_insert_has_no_old_record_and_a_delete_no_record() -> None:
    assert "old_record" not in write(ChangedRow("INSERT", 0, 0, [b"7", None]))
    assert "record" not in write(ChangedRow("DELETE", 0, 0, None, [b"7", None]))


def test_the_whole_old_row_is_told_where_the_log_has_it() -> None:
    old = [b"7", b"new"]

    assert write(ChangedRow("UPDATE", 0, 0, [b"7", b"paid"], old, True))["old_record"] == {"id": 7, "status": "new"}
    assert write(ChangedRow("DELETE", 0, 0, None, old, True))["old_record"] == {"id": 7, "status": "new"}
    assert write(ChangedRow("DELETE", 0, 0, None, old, True), hides_old=True)["old_record"] == {"id": 7}


def test_a_value_that_was_not_touched_is_absent_or_comes_from_the_old_row() -> None:
    assert write(ChangedRow("UPDATE", 0, 0, [b"7", False]))["record"] == {"id": 7}
    found = write(ChangedRow("UPDATE", 0, 0, [b"7", False], [b"7", b"old"], True))
    assert found["record"] == {"id": 7, "status": "old"}


def test_only_columns_that_may_be_read_and_were_asked_for_are_told() -> None:
    assert write(ChangedRow("INSERT", 0, 0, [b"7", b"x"]), readable=frozenset({"id"}))["record"] == {"id": 7}
    assert write(ChangedRow("INSERT", 0, 0, [b"7", b"x"]), select=frozenset())["record"] == {"id": 7}
    assert write(ChangedRow("INSERT", 0, 0, [b"7", b"x"]), select=frozenset({"status"}))["record"] == {
        "id": 7,
        "status": "x",
    }


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"key": ()}, "Error 400: Bad Request, no primary key"),
        ({"readable": frozenset({"status"})}, "Error 401: Unauthorized"),
    ],
)
def test_what_cannot_be_told_is_an_error_without_values(values: dict[str, Any], text: str) -> None:
    found = write(ChangedRow("INSERT", 0, 0, [b"7", b"x"]), **values)

    assert (found["columns"], found["record"], found["errors"]) == ([], {}, [text])


def test_a_large_row_is_told_with_its_small_values() -> None:
    found = write(ChangedRow("UPDATE", 0, 0, [b"7", b"x" * RECORD_LIMIT_BYTES]))

    assert found["record"] == {"id": 7}
    assert found["errors"] == ["Error 413: Payload Too Large"]


def test_a_type_that_is_not_known_is_told_as_text() -> None:
    table = ChangedTable(3, "public", "t", "d", (ChangedColumn("id", 20, True), ChangedColumn("x", 999, False)))

    found = write(ChangedRow("INSERT", 0, 0, [b"7", b"(1,2)"]), table=table, readable=frozenset({"id", "x"}))

    assert found["record"] == {"id": 7, "x": "(1,2)"}


def test_a_moment_has_milliseconds() -> None:
    assert commit_time(1_234_567) == b"2000-01-01T00:00:01.234Z"
