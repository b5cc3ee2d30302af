"""What a command prints: a table for people, JSON for programs, and one exit code for each kind of end."""

import enum
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from rowcast.core.errors import (
    AuthenticationError,
    ConfigError,
    NotFoundError,
    PermissionDeniedError,
    RowcastError,
    StoreError,
    UsageError,
)

_CELL_CHARS = 60
_ID_COLUMNS = frozenset({"id", "eventId", "sampleId", "fingerprint", "check", "verdict"})


class ExitCode(enum.IntEnum):
    """How a command ended. Documented in docs/reference/cli.md."""

    OK = 0
    REFUSED = 1
    USAGE = 2
    CONFIG = 3
    NOT_FOUND = 4
    UNREACHABLE = 5
    DENIED = 6
    DRIFT = 7
    CRASHED = 70
    INTERRUPTED = 130


def exit_code(error: RowcastError) -> ExitCode:
    """Give the exit code that tells a kind of error."""
    match error:
        case ConfigError() | UsageError():
            return ExitCode.CONFIG
        case NotFoundError():
            return ExitCode.NOT_FOUND
        case StoreError():
            return ExitCode.UNREACHABLE
        case AuthenticationError() | PermissionDeniedError():
            return ExitCode.DENIED
        case _:
            return ExitCode.REFUSED


def print_refusal(code: str, sentence: str, *, is_json: bool) -> None:
    """Print why a command was refused: on standard error for people, as the one JSON document for programs."""
    if is_json:
        print_json({"error": {"code": code, "detail": sentence}})
    else:
        print(f"rowcast: {sentence}\n         ({code})", file=sys.stderr)


def print_json(value: object) -> None:
    """Print one JSON document, indented, and nothing else."""
    text = msgspec.json.encode(value, enc_hook=str)
    # Anybody who may emit can nest a payload deeper than this Python reads; then in one line, as it was written.
    with suppress(RecursionError):
        text = msgspec.json.format(text, indent=2)
    print(text.decode())


def show_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, empty: str, is_json: bool) -> None:
    """Print rows as `{"data": [...]}` for programs, or some of their columns for people."""
    if is_json:
        print_json({"data": rows})
    else:
        print_rows(rows, columns, empty=empty)


def show_pairs(pairs: Mapping[str, object], *, is_json: bool) -> None:
    """Print one thing: a JSON document for programs, names and values for people."""
    if is_json:
        print_json(pairs)
    else:
        print_pairs(pairs)


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, empty: str) -> None:
    """Print rows as a table; where there are none, the sentence `empty`.

    A terminal gets cells that fit its width; a file or a pipe gets every value whole, one line a row.
    """
    console = Console()
    if not rows:
        print(empty)
    elif console.is_terminal:
        console.print(_table(rows, columns), markup=False)
    else:
        print("\n".join(plain_lines(rows, columns)))


def plain_lines(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> list[str]:
    """Give the lines of a table whose cells are as wide as they need to be."""
    titles = [column.replace("_", " ") for column in columns]
    cells = [titles, *([cell(row.get(column), limit=None) for column in columns] for row in rows)]
    widths = [max(len(line[place]) for line in cells) for place in range(len(columns))]
    return ["  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip() for line in cells]


def print_pairs(pairs: Mapping[str, object]) -> None:
    """Print names and values in two aligned columns."""
    width = max((len(name) for name in pairs), default=0)
    for name, value in pairs.items():
        print(f"{name:<{width}}  {cell(value, limit=None)}".rstrip())


def cell(value: object, *, limit: int | None = _CELL_CHARS) -> str:
    """Give a value as the text of one cell, without anything that moves a terminal's cursor."""
    if value is None:
        return ""
    text = value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else _text(value)
    clean = "".join(character if character.isprintable() else "·" for character in text)
    return clean if limit is None or len(clean) <= limit else clean[: limit - 1] + "…"


def _table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold", no_wrap=column in _ID_COLUMNS)
    for row in rows:
        table.add_row(*(cell(row.get(column)) for column in columns))
    return table


def _text(value: object) -> str:
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, (dict, list, tuple)):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value)
