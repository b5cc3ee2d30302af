"""Every error code in the sources: where it is raised, as which class, with which sentence."""

import ast
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from rowcast.core import errors

from .tree import MIGRATIONS, at, called_name, line_of, modules, syntax, text_of, without_comments

CODE = re.compile(r"[a-z]+(?:\.[a-z0-9_]+)+")
# How a SQL function refuses: `raise exception 'input.tenant: ...' using errcode = 'RC400'`.
SQL_REFUSAL = re.compile(r"raise exception '([a-z]+\.[a-z0-9_]+): ((?:[^']|'')*)'[^;]*?errcode = '(RC\d+)'", re.DOTALL)
SQL_CLASSES = {
    "RC400": "InvalidInputError",
    "RC403": "PermissionDeniedError",
    "RC404": "NotFoundError",
    "RC409": "ConflictError",
    "RC413": "PayloadTooLargeError",
    "RC500": "ConfigError",
}


@dataclass(frozen=True)
class Use:
    """One place that gives a code. `class_name` is empty where only the running program knows it."""

    code: str
    place: str
    class_name: str
    sentence: str


def is_error_class(name: str) -> bool:
    """Tell whether a name is a class of the family."""
    found = getattr(errors, name, None)
    return isinstance(found, type) and issubclass(found, errors.RowcastError)


def _of_class(path: Path, node: ast.ClassDef) -> list[Use]:
    for statement in node.body:
        match statement:
            case (
                ast.Assign(targets=[ast.Name(id="code")], value=ast.Constant(value=str(code)))
                | ast.AnnAssign(target=ast.Name(id="code"), value=ast.Constant(value=str(code)))
            ) if is_error_class(node.name):
                return [Use(code, at(path, statement.lineno), node.name, ast.get_docstring(node) or "")]
    return []


def _of_call(path: Path, node: ast.Call) -> list[Use]:
    given = {keyword.arg: text_of(keyword.value) for keyword in node.keywords}
    code = given.get("code")
    if code is None or not CODE.fullmatch(code):
        return []
    name = called_name(node) if is_error_class(called_name(node)) else ""
    return [Use(code, at(path, node.lineno), name, text_of(node.args[0]) or "" if node.args else "")]


def _of_table(path: Path, node: ast.Assign) -> list[Use]:
    """Codes of a table such as `_HTTP_CODES = {404: "input.not_found"}`."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=ast.Dict(values=values)) if name.endswith("_CODES"):
            codes = [text_of(value) or "" for value in values]
            return [Use(code, at(path, node.lineno), "", "") for code in codes if CODE.fullmatch(code)]
    return []


def _in_module(path: Path) -> list[Use]:
    found: list[Use] = []
    for node in ast.walk(syntax(path)):
        match node:
            case ast.ClassDef():
                found += _of_class(path, node)
            case ast.Call():
                found += _of_call(path, node)
            case ast.Assign():
                found += _of_table(path, node)
    return found


def _in_migration(path: Path) -> list[Use]:
    text = without_comments(path.read_text("utf-8"))
    return [
        Use(found.group(1), at(path, line_of(text, found.start())), SQL_CLASSES[found.group(3)], found.group(2))
        for found in SQL_REFUSAL.finditer(text)
    ]


@cache
def uses() -> dict[str, tuple[Use, ...]]:
    """Give every code with the places that give it."""
    found: defaultdict[str, list[Use]] = defaultdict(list)
    for path in modules():
        for use in _in_module(path):
            found[use.code].append(use)
    for path in sorted(MIGRATIONS.glob("*.sql")):
        for use in _in_migration(path):
            found[use.code].append(use)
    return {code: tuple(found[code]) for code in sorted(found)}


def class_of(code: str) -> str:
    """Give the class that carries a code, or an empty text where the sources do not say."""
    return next((use.class_name for use in uses()[code] if use.class_name), "")


def http_status(code: str) -> int | None:
    """Give the HTTP status that a code answers with, or None where it never reaches an HTTP caller."""
    found = getattr(errors, class_of(code), None)
    return getattr(found, "http_status", None)
