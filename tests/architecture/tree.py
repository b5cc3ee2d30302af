"""The tree as the architecture tests see it: files, syntax trees, and one way to say what is wrong where."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "rowcast"
MIGRATIONS = SRC / "store" / "migrations"

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def modules() -> tuple[Path, ...]:
    """Give every Python file of the package."""
    return tuple(sorted(SRC.rglob("*.py")))


@cache
def syntax(path: Path) -> ast.Module:
    """Give the syntax tree of a file."""
    return ast.parse(path.read_text("utf-8"), filename=str(path))


@cache
def settings() -> dict[str, Any]:
    """Give pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


@cache
def committed_files() -> tuple[Path, ...]:
    """Give what git keeps, or what lies in the folders of an unpacked source archive."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return tuple(path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file())
    return tuple(path for folder in ("src", "tests", "docs") for path in (ROOT / folder).rglob("*") if path.is_file())


def dotted(path: Path) -> str:
    """Give a file's module name: `rowcast.outbox.relay`."""
    words = path.relative_to(SRC.parent).with_suffix("").parts
    return ".".join(words[:-1] if words[-1] == "__init__" else words)


def module_file(name: str) -> Path | None:
    """Give the file of a module or package, or None where there is none."""
    place = SRC.parent.joinpath(*name.split("."))
    return next((found for found in (place.with_suffix(".py"), place / "__init__.py") if found.is_file()), None)


def functions(tree: ast.Module) -> Iterator[Function]:
    """Give every function and method."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def called_name(call: ast.Call) -> str:
    """Give the last word of what is called: `c` of `a.b.c(...)`."""
    match call.func:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
    return ""


def text_of(node: ast.AST | None) -> str | None:
    """Give a literal text, with `{...}` where an f-string puts a value, or None where it is no text."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=pieces):
            return "".join(text_of(piece) or "{...}" for piece in pieces)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            pair = text_of(left), text_of(right)
            return None if None in pair else "".join(piece or "" for piece in pair)
    return None


def at(path: Path, line: int = 1) -> str:
    """Give a place as editors read it."""
    return f"{path.relative_to(ROOT)}:{line}"


def line_of(text: str, position: int) -> int:
    """Give the line, counted from 1, of a position in a text."""
    return text.count("\n", 0, position) + 1


def without_comments(sql: str) -> str:
    """Give SQL with its comments blanked, every character in its place."""
    return re.sub(r"--[^\n]*", lambda found: " " * len(found.group()), sql)


def expect_none(found: Iterable[str]) -> None:
    """Fail with every violation: its place, what is wrong and what to do."""
    listed = sorted(set(found))
    if listed:
        pytest.fail(f"{len(listed)} to correct:\n" + "\n".join(f"  {line}" for line in listed), pytrace=False)
