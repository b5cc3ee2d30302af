"""What a command prints: a table for people, JSON for programs, and one exit code for each kind of end."""

import enum
from collections.abc import Mapping, Sequence
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
)

_CELL_CHARS = 60


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


def exit_code(error: RowcastError) -> ExitCode:
    """Give the exit code that tells a kind of error."""
    match error:
        case ConfigError():
            return ExitCode.CONFIG
        case NotFoundError():
            return ExitCode.NOT_FOUND
        case StoreError():
            return ExitCode.UNREACHABLE
        case AuthenticationError() | PermissionDeniedError():
            return ExitCode.DENIED
        case _:
            return ExitCode.REFUSED


def print_json(value: object) -> None:
    """Print one JSON document, indented, and nothing else."""
    print(msgspec.json.format(msgspec.json.encode(value, enc_hook=str), indent=2).decode())


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, empty: str) -> None:
    """Print rows as a table; where there are none, the sentence `empty`."""
    console = Console()
    if not rows:
        console.print(empty, markup=False)
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), overflow="fold", no_wrap=column in ("id", "event_id"))
    for row in rows:
        table.add_row(*(cell(row.get(column)) for column in columns))
    console.print(table, markup=False)


def print_pairs(pairs: Mapping[str, object]) -> None:
    """Print names and values in two aligned columns."""
    width = max((len(name) for name in pairs), default=0)
    for name, value in pairs.items():
        print(f"{name:<{width}}  {cell(value, limit=10_000)}")


def cell(value: object, *, limit: int = _CELL_CHARS) -> str:
    """Give a value as the text of one cell, without anything that moves a terminal's cursor."""
    if value is None:
        return ""
    text = value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else _text(value)
    clean = "".join(character if character.isprintable() else "·" for character in text)
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def _text(value: object) -> str:
    if isinstance(value, msgspec.Raw):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, (dict, list, tuple)):
        return msgspec.json.encode(value, enc_hook=str).decode()
    return str(value)
