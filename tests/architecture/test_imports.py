"""The import rules have teeth: every edge that pyproject.toml forbids is planted once, and seen."""

import ast
import os
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from .tree import ROOT, SRC, at, dotted, expect_none, module_file, modules, settings, syntax

CONTRACTS: dict[str, dict[str, Any]] = {each["id"]: each for each in settings()["tool"]["importlinter"]["contracts"]}
FORBIDDING = sorted(name for name, contract in CONTRACTS.items() if contract["type"] == "forbidden")

# The modules that decide, as the floor plan names them. A module whose docstring says "Pure." joins them.
PLANNED_PURE = """
    capture.pgoutput router.rule router.plan router.condition delivery.attempt delivery.rate_limit delivery.breaker
    realtime.messages realtime.protocol realtime.session realtime.presence realtime.change_filter realtime.limits
    webhooks.signature webhooks.transform egress.guard notifications.preferences notifications.dedup
    notifications.escalation connectors.mapping jobs.schedule
""".split()


def plant(src: Path, importer: str, imported: str) -> None:
    """Write one import at the end of a module, made where it is not there."""
    place = src.joinpath(*importer.split("."))
    file = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
    with file.open("a", encoding="utf-8") as opened:
        opened.write(f"\nimport {imported}\n")


def lint(src: Path, contract: str) -> tuple[int, str]:
    """Run one contract over a copy of the tree."""
    program = "import sys; from importlinter.cli import lint_imports_command as lint; sys.exit(lint())"
    options = ["--no-logo", "--no-cache", "--contract", contract, "--config", str(ROOT / "pyproject.toml")]
    done = subprocess.run(
        [sys.executable, "-c", program, *options],
        cwd=src,
        env={**os.environ, "PYTHONPATH": str(src), "COLUMNS": "1000", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def is_told(said: str, importer: str, imported: str) -> bool:
    """Tell whether import-linter names this edge."""
    return f"{importer} is not allowed to import {imported}:" in said


@pytest.fixture
def src(tmp_path: Path) -> Path:
    """A copy of the package, to plant violations in."""
    shutil.copytree(SRC, tmp_path / "src" / "rowcast", ignore=shutil.ignore_patterns("__pycache__", "static"))
    return tmp_path / "src"


def expanded(pattern: str) -> list[str]:
    """Give the modules that a name with `*` stands for, as import-linter reads it."""
    if "*" not in pattern:
        return [pattern]
    fits = re.compile(re.escape(pattern).replace(r"\*", "[^.]+") + "$")
    return [name for name in map(dotted, modules()) if fits.match(name)]


@pytest.mark.parametrize("contract", FORBIDDING)
def test_every_forbidden_import_is_caught(contract: str, src: Path) -> None:
    sources = CONTRACTS[contract]["source_modules"]
    forbidden = [name for pattern in CONTRACTS[contract]["forbidden_modules"] for name in expanded(pattern)]
    planted = {(source, forbidden[0]) for source in sources} | {(sources[0], each) for each in forbidden}
    for importer, imported in planted:
        plant(src, importer, imported)

    code, said = lint(src, contract)

    assert code == 1, said
    expect_none(
        f"{contract}: `{importer}` imports `{imported}` and nobody says so; correct the contract in pyproject.toml"
        for importer, imported in planted
        if not is_told(said, importer, imported)
    )


def test_every_floor_refuses_the_floor_above_and_its_neighbours(src: Path) -> None:
    layers = [[f"rowcast.{room}" for room in layer.split(" | ")] for layer in CONTRACTS["floors"]["layers"]]
    planted = [(below[0], above[0]) for above, below in pairwise(layers)]
    planted += [(layer[index], layer[index - 1]) for layer in layers for index in range(len(layer)) if len(layer) > 1]
    for importer, imported in planted:
        plant(src, importer, imported)

    code, said = lint(src, "floors")

    assert code == 1, said
    expect_none(f"{edge}: allowed by the floors" for edge in planted if not is_told(said, *edge))


def test_a_room_that_stands_on_no_floor_is_refused(src: Path) -> None:
    (src / "rowcast" / "attic").mkdir()
    (src / "rowcast" / "attic" / "__init__.py").touch()

    code, said = lint(src, "floors")

    assert code == 1
    assert "rowcast.attic" in said


def test_a_pack_that_imports_another_is_caught(src: Path) -> None:
    plant(src, "rowcast.packs.one", "rowcast.packs.two")
    plant(src, "rowcast.packs.two", "json")

    code, said = lint(src, "pack-strangers")

    assert code == 1
    assert is_told(said, "rowcast.packs.one", "rowcast.packs.two"), said


def test_a_ring_of_two_modules_is_caught(src: Path) -> None:
    plant(src, "rowcast.core.left", "rowcast.core.right")
    plant(src, "rowcast.core.right", "rowcast.core.left")

    code, said = lint(src, "no-rings")

    assert code == 1
    assert "left" in said
    assert "right" in said


def test_every_kind_of_contract_has_a_planted_violation() -> None:
    by_hand = {"floors", "pack-strangers", "no-rings"}

    assert CONTRACTS.keys() == by_hand | set(FORBIDDING), "plant a violation of the new contract in this file"


def test_every_module_that_decides_is_held_to_purity() -> None:
    listed = set(CONTRACTS["pure"]["source_modules"])
    planned = {f"rowcast.{name}" for name in PLANNED_PURE if module_file(f"rowcast.{name}")}
    says_so = {dotted(path) for path in modules() if re.search(r"\bPure[.:,]", ast.get_docstring(syntax(path)) or "")}
    expect_none(
        f"pyproject.toml: add `{name}` to source_modules of the contract `pure`, or it is not pure and must not say so"
        for name in planned | says_so
        if name not in listed and not name.startswith("rowcast.core.")
    )


def test_nothing_of_the_standard_library_goes_round_the_one_door_out() -> None:
    # Packages are forbidden by the contract `one-door-out`, which does not know modules such as these.
    clients = {"urllib.request", "http.client", "ftplib", "smtplib"}
    expect_none(
        f"{at(path, node.lineno)}: requests leave by `egress.client` only"
        for path in modules()
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.Import | ast.ImportFrom) and clients & imported_names(node)
    )


def imported_names(node: ast.Import | ast.ImportFrom) -> set[str]:
    """Give the dotted names that a statement may import."""
    if isinstance(node, ast.Import):
        return {each.name for each in node.names}
    return {str(node.module), *(f"{node.module}.{each.name}" for each in node.names)}


def test_a_rooms_init_is_empty() -> None:
    # The two front doors give names: rowcast itself, and rowcast.testing for other people's tests.
    rooms = [path for path in modules() if path.name == "__init__.py" and path.parent not in (SRC, SRC / "testing")]
    expect_none(
        f"{at(path)}: a room's __init__ is empty; import from the module that defines the name"
        for path in rooms
        if syntax(path).body
    )
