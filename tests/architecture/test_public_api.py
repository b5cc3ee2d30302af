"""The front door: `rowcast.__all__`, the page docs/reference/api.md and what can be imported are one list."""

import ast
import importlib
import inspect
import re
import subprocess
import sys

from .tree import ROOT, SRC, expect_none, syntax

PAGE = ROOT / "docs" / "reference" / "api.md"

# The public API: all that is offered is here, and not all of it is there yet. A new name is a promise for years.
PLANNED = """
    Event event_type upcaster Topic Priority emit emit_many Rule rule task enqueue Notification NotificationChannel Connector Sink
    Delivery Outcome Delivered Retry Rejected verify_webhook Pack Watch channel ChannelAccess OwnedTopic DeclaredChannel RowcastError errors
""".split()


def front_door() -> list[str]:
    """Give `rowcast.__all__`, in order."""
    return list(getattr(importlib.import_module("rowcast"), "__all__", []))


def imported(name: str) -> object | None:
    """Give what a public name stands for, or None where it cannot be imported."""
    try:
        return getattr(importlib.import_module("rowcast"), name)
    except (AttributeError, ImportError):
        return None


def on_the_page() -> list[str]:
    """Give the names that the API page documents, by a heading or by mkdocstrings."""
    text = PAGE.read_text("utf-8") if PAGE.is_file() else ""
    return re.findall(r"^(?:#+ `|::: rowcast\.)(\w+)\b", text, re.MULTILINE)


def test_the_page_documents_every_public_name_and_no_other() -> None:
    offered, documented = front_door(), on_the_page()
    expect_none(f"docs/reference/api.md: add `::: rowcast.{name}`" for name in set(offered) - set(documented))
    expect_none(
        f"docs/reference/api.md: `{name}` is no public name; take it out" for name in set(documented) - set(offered)
    )
    assert len(documented) == len(set(documented))


def test_the_front_door_offers_only_what_is_planned() -> None:
    expect_none(
        f"src/rowcast/__init__.py: `{name}` is not planned; leave it inside, or add it to PLANNED with its page"
        for name in front_door()
        if name not in PLANNED
    )
    assert len(front_door()) == len(set(front_door()))


def test_every_public_name_can_be_imported_and_says_what_it_gives() -> None:
    found = {name: imported(name) for name in front_door()}

    expect_none(f"src/rowcast/__init__.py: `{name}` cannot be imported" for name in found if found[name] is None)
    expect_none(
        f"src/rowcast/__init__.py: `{name}` has no docstring of its own"
        for name, value in found.items()
        if (inspect.isclass(value) or inspect.isroutine(value)) and not value.__doc__
    )


def test_the_front_door_holds_names_and_nothing_that_happens() -> None:
    allowed = ast.Expr | ast.Import | ast.ImportFrom | ast.Assign | ast.AnnAssign | ast.If | ast.FunctionDef
    expect_none(
        f"src/rowcast/__init__.py:{node.lineno}: only names are given here; move the code into a room"
        for node in syntax(SRC / "__init__.py").body
        if not isinstance(node, allowed)
    )


def test_importing_the_package_starts_nothing_and_loads_no_driver() -> None:
    watched = ("asyncpg", "psycopg", "litestar", "pycurl", "uvicorn", "sqlalchemy", "django")
    program = f"import rowcast, sys, threading; print(*[n for n in {watched!r} if n in sys.modules], threading.active_count())"

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT).stdout

    assert said.split() == ["1"], f"importing rowcast loads or starts: {said}"
