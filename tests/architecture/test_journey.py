"""The journey names rooms and modules as they are: `room/module` or `room/module.name` in docs/journey.md."""

import ast
import re

from .tree import ROOT, SRC, expect_none, line_of, module_file, syntax

JOURNEY = ROOT / "docs" / "journey.md"
REFERENCE = re.compile(r"`([a-z_]+(?:/[a-z_]+)+)(?:\.(\w+))?(?:\.(\w+))?(?:\(\))?`")


def defined(body: list[ast.stmt]) -> dict[str, ast.stmt]:
    """Give what a module or class defines, by name."""
    found: dict[str, ast.stmt] = {}
    for node in body:
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found[name] = node
            case ast.AnnAssign(target=ast.Name(id=name)):
                found[name] = node
            case ast.Assign(targets=[ast.Name(id=name)]):
                found[name] = node
    return found


def problem(place: str, name: str | None, member: str | None) -> str | None:
    """Give what is wrong with a reference, or None."""
    file = module_file("rowcast." + place.replace("/", "."))
    if file is None:
        return f"there is no {place}" if not (SRC / place).is_dir() else None
    if name is None:
        return None
    node = defined(syntax(file).body).get(name)
    if node is None:
        return f"{place} defines no {name}"
    if member is not None and not (isinstance(node, ast.ClassDef) and member in defined(node.body)):
        return f"{name} in {place} has no {member}"
    return None


def test_every_name_on_the_journey_exists() -> None:
    text = JOURNEY.read_text("utf-8")
    found = list(REFERENCE.finditer(text))

    assert len(found) >= 20, "the journey names the modules an event passes"
    expect_none(
        f"docs/journey.md:{line_of(text, each.start())}: {wrong}; write the name that is there now"
        for each in found
        if (wrong := problem(*each.groups()))
    )


def test_the_journey_passes_every_room_of_the_road() -> None:
    text = JOURNEY.read_text("utf-8")
    road = ("capture", "outbox", "router", "delivery", "realtime", "webhooks", "jobs", "egress", "bus", "observe")

    expect_none(
        f"docs/journey.md: says nothing of the room `{room}`"
        for room in road
        if not re.search(rf"`{room}/[a-z_]+", text)
    )
