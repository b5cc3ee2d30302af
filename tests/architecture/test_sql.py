"""SQL lies in files: every named query is used, every used name exists, every tenant table is guarded."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from rowcast.store.sql import load_queries, parse_queries

from .tree import MIGRATIONS, SRC, at, called_name, expect_none, line_of, modules, syntax, without_comments

QUERY_FILES = tuple(sorted(SRC.rglob("queries*.sql")))
ROOMS = tuple(sorted({file.parent for file in QUERY_FILES}))


def dotted_room(room: Path) -> str:
    """Give a room's folder as a dotted name."""
    return "rowcast." + ".".join(room.relative_to(SRC).parts)


def is_queries(node: ast.expr) -> bool:
    """Tell whether an expression is a room's queries: `load_queries(...)`, `queries`, `self._queries`, `QUERIES`."""
    match node:
        case ast.Call():
            return called_name(node) == "load_queries"
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name.lower().strip("_").endswith("queries")
    return False


def used_names(folder: Path) -> Iterator[tuple[str, Path, int]]:
    """Give the query names that a room's modules ask for, each with its place."""
    for path in modules():
        if path.is_relative_to(folder):
            for node in ast.walk(syntax(path)):
                match node:
                    case ast.Subscript(value=value, slice=ast.Constant(value=str(name))) if is_queries(value):
                        yield name, path, node.lineno


def texts_in(folder: Path) -> set[str]:
    """Give every literal text in a room's modules: a name may be chosen from a table."""
    return {
        node.value
        for path in modules()
        if path.is_relative_to(folder)
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_named_query_is_used() -> None:
    expect_none(
        f"{at(file, line_of(text, text.index(f'-- name: {name}')))}: `{name}` is used nowhere in the room; take it out"
        for file in QUERY_FILES
        for text in [file.read_text("utf-8")]
        for name in parse_queries(text).keys() - texts_in(file.parent)
    )


def test_every_used_query_exists() -> None:
    expect_none(
        f"{at(path, line)}: there is no query `{name}` in {room.relative_to(SRC)}"
        for room in ROOMS
        for name, path, line in used_names(room)
        if name not in load_queries(dotted_room(room))
    )


def test_only_a_room_with_queries_loads_queries() -> None:
    rooms = {dotted_room(room) for room in ROOMS}
    expect_none(
        f"{at(path, node.lineno)}: {node.args[0].value} has no queries.sql"
        for path in modules()
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.Call)
        and called_name(node) == "load_queries"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value not in rooms
    )


def test_every_query_says_what_it_does() -> None:
    expect_none(
        f"{at(file, line_of(text, found.start()))}: `{found.group(1)}` needs one comment line below its name"
        for file in QUERY_FILES
        for text in [file.read_text("utf-8")]
        for found in re.finditer(r"^-- name: (\w+)\s*\n(?!-- \S)", text, re.MULTILINE)
    )


def test_no_query_asks_a_table_for_every_column() -> None:
    expect_none(
        f"{at(file, line_of(text, found.start()))}: name the columns: a new one must not slip through"
        for file in QUERY_FILES
        for text in [without_comments(file.read_text("utf-8"))]
        for found in re.finditer(r"(?<!lateral \()\bselect\s+(?:\w+\.)?\*\s+from\s+\w+\.\w+", text, re.IGNORECASE)
    )


def migrations() -> dict[Path, str]:
    """Give the migrations without their comments."""
    return {path: without_comments(path.read_text("utf-8")).lower() for path in sorted(MIGRATIONS.glob("*.sql"))}


def tenant_tables() -> Iterator[tuple[str, Path, int]]:
    """Give every table with a column `tenant_id`, with its place."""
    for path, text in migrations().items():
        for found in re.finditer(
            r"create table (?:if not exists )?(rowcast\.\w+) \((.*?)^\)", text, re.DOTALL | re.MULTILINE
        ):
            if re.search(r"^\s*tenant_id\b", found.group(2), re.MULTILINE):
                yield found.group(1), path, line_of(text, found.start())


def test_every_tenant_table_is_guarded_by_row_level_security() -> None:
    everything = "\n".join(migrations().values())
    needed = {
        "`alter table {} enable row level security`": r"alter table (?:only )?{} enable row level security",
        "`alter table {} force row level security`": r"alter table (?:only )?{} force row level security",
        "a policy on {} that reads rowcast.current_tenant()": r"create policy \w+ on {}\s[^;]*current_tenant\(\)",
    }
    tables = list(tenant_tables())

    assert len(tables) >= 4
    expect_none(
        f"{at(path, line)}: {table} holds tenants' rows; add {words.format(table)}"
        for table, path, line in tables
        for words, pattern in needed.items()
        if not re.search(pattern.format(re.escape(table)), everything)
    )


def test_every_function_with_the_owners_rights_pins_its_search_path() -> None:
    expect_none(
        f"{at(path, line_of(text, found.start()))}: {found.group(1)} is security definer; add `set search_path = pg_catalog, pg_temp`"
        for path, text in migrations().items()
        for found in re.finditer(r"create (?:or replace )?function (rowcast\.\w+)(.*?)\bas \$", text, re.DOTALL)
        if "security definer" in found.group(2) and "set search_path = pg_catalog, pg_temp" not in found.group(2)
    )
