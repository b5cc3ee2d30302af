"""One idea per file, one thought per function. Statements, branches and parameters are counted by ruff (pyproject.toml)."""

import ast

from .tree import SRC, Function, at, committed_files, expect_none, functions, modules, syntax

FILE_LINES = 400
BODY_LINES = 40
SQL_CHARACTERS = 160


def body_lines(function: Function) -> int:
    """Give the lines between the docstring and the end of a function."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or body[-1].lineno) - body[0].lineno + 1 if body else 0


def test_no_file_is_longer_than_its_idea() -> None:
    files = (*modules(), *SRC.rglob("queries*.sql"))
    lengths = {path: len(path.read_text("utf-8").splitlines()) for path in files}
    expect_none(
        f"{at(path, lines)}: {lines} lines, {FILE_LINES} are allowed; it holds two ideas: name the second and move it out"
        for path, lines in lengths.items()
        if lines > FILE_LINES
    )


def test_no_function_needs_scrolling() -> None:
    expect_none(
        f"{at(path, each.lineno)}: `{each.name}` has {body_lines(each)} lines, {BODY_LINES} are allowed; name a part of it"
        for path in modules()
        for each in functions(syntax(path))
        if body_lines(each) > BODY_LINES
    )


def test_no_line_of_sql_is_too_long_to_read() -> None:
    expect_none(
        f"{at(path, number)}: {len(line)} characters, {SQL_CHARACTERS} are allowed; break the line"
        for path in committed_files()
        if path.suffix == ".sql"
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if len(line) > SQL_CHARACTERS
    )
