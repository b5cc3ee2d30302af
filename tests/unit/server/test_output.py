import json
from datetime import UTC, datetime

import pytest

from rowcast.core import errors
from rowcast.server.output import (
    ExitCode,
    cell,
    exit_code,
    plain_lines,
    print_json,
    print_pairs,
    print_refusal,
    print_rows,
    show_pairs,
    show_rows,
)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), ExitCode.CONFIG),
        (errors.NotFoundError("x"), ExitCode.NOT_FOUND),
        (errors.StoreUnavailableError("x"), ExitCode.UNREACHABLE),
        (errors.PermissionDeniedError("x"), ExitCode.DENIED),
        (errors.InvalidInputError("x"), ExitCode.REFUSED),
        (errors.UsageError("x"), ExitCode.CONFIG),
    ],
)
def test_each_kind_of_error_has_its_exit_code(error: errors.RowcastError, code: ExitCode) -> None:
    assert exit_code(error) is code


def test_a_cell_cannot_move_the_cursor() -> None:
    assert cell("a\x1b[2Jb\r\nc") == "a·[2Jb··c"


def test_a_long_cell_is_cut() -> None:
    assert len(cell("x" * 500)) == 60


def test_a_time_is_shown_to_the_millisecond() -> None:
    assert cell(datetime(2026, 1, 2, 3, 4, 5, 678900, UTC)) == "2026-01-02T03:04:05.678+00:00"


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"at": datetime(2026, 1, 1, tzinfo=UTC), "rows": [1]})

    assert json.loads(capsys.readouterr().out) == {"at": "2026-01-01T00:00:00Z", "rows": [1]}


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([], ["id"], empty="No events [yet].")

    assert capsys.readouterr().out == "No events [yet].\n"


def test_markup_in_a_value_is_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([{"id": "[red]x[/red]"}], ["id"], empty="")

    assert "[red]x[/red]" in capsys.readouterr().out


def test_pairs_are_aligned(capsys: pytest.CaptureFixture[str]) -> None:
    print_pairs({"a": 1, "long": 2})

    assert capsys.readouterr().out == "a     1\nlong  2\n"


def test_without_a_terminal_every_value_is_whole_and_each_row_one_line() -> None:
    rows = [{"id": "x" * 200, "note": "a"}, {"id": "y", "note": "b\nc"}]

    assert plain_lines(rows, ("id", "note")) == [f"{'id':<200}  note", f"{'x' * 200}  a", f"{'y':<200}  b·c"]


def test_a_refusal_is_words_for_people_and_json_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    print_refusal("config.x", "Set it.", is_json=False)
    people = capsys.readouterr()
    print_refusal("config.x", "Set it.", is_json=True)
    programs = capsys.readouterr()

    assert (people.out, people.err) == ("", "rowcast: Set it.\n         (config.x)\n")
    assert json.loads(programs.out) == {"error": {"code": "config.x", "detail": "Set it."}}


def test_rows_and_pairs_are_json_where_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows([{"id": 1, "hidden": 2}], ("id",), empty="", is_json=True)
    assert json.loads(capsys.readouterr().out) == {"data": [{"id": 1, "hidden": 2}]}

    show_pairs({"id": 1}, is_json=True)
    assert json.loads(capsys.readouterr().out) == {"id": 1}
