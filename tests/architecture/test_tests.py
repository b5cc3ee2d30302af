"""Every module has its test where one looks for it: tests/unit/<room>/test_<module>.py or tests/integration/<room>/..."""

import ast
from pathlib import Path

from .tree import ROOT, SRC, at, dotted, expect_none, functions, modules, syntax

# Modules whose test has another place, and which: a suite that several implementations share, or the whole system.
# An entry that has become untrue fails below.
ELSEWHERE = {
    "__main__.py": "tests/acceptance/conftest.py",
    "bus/bus.py": "tests/contract/test_bus.py",
    "bus/memory.py": "tests/contract/test_bus.py",
}


def places_for(module: Path) -> list[Path]:
    """Give the places where a module's test may stand."""
    inside = module.relative_to(SRC)
    name = f"test_{inside.stem}.py"
    # One package inside a room (`observe/dashboard`) may have its tests beside the room's.
    folders = {inside.parent, Path(*inside.parts[:1]) if len(inside.parts) > 1 else inside.parent}
    return [ROOT / "tests" / kind / folder / name for kind in ("unit", "integration") for folder in folders]


def is_only_words(module: Path) -> bool:
    """Tell whether a module holds no behaviour: constants, types and contracts without a single statement to run."""
    return not any(
        not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Constant)
        for function in functions(syntax(module))
        for statement in function.body
    )


def has_test(module: Path) -> bool:
    """Tell whether the module's test is there."""
    return any(place.is_file() for place in places_for(module))


def test_every_module_has_its_test() -> None:
    expect_none(
        f"{at(module)}: no test; write {places_for(module)[0].relative_to(ROOT)} (or the same under tests/integration)"
        for module in modules()
        if module.name != "__init__.py"
        and str(module.relative_to(SRC)) not in ELSEWHERE
        and not is_only_words(module)
        and not has_test(module)
    )


def is_about(test: Path, module: Path) -> bool:
    """Tell whether a test file is there and names what the module is for."""
    names = (dotted(module), "rowcast_cluster", '"-m", "rowcast"')
    return test.is_file() and any(name in test.read_text("utf-8") for name in names)


def test_every_exception_is_still_needed() -> None:
    expect_none(
        f"tests/architecture/test_tests.py: take `{name}` out of ELSEWHERE: it is gone, has its test, or {test} is not about it"
        for name, test in ELSEWHERE.items()
        if not (SRC / name).is_file() or has_test(SRC / name) or not is_about(ROOT / test, SRC / name)
    )


def test_every_unit_test_stands_beside_its_module() -> None:
    expect_none(
        f"{at(test)}: there is no module {test.parent.name}/{test.stem.removeprefix('test_')}; "
        "name the test after the module it is about, or move it to tests/integration or tests/property"
        for test in (ROOT / "tests" / "unit").rglob("test_*.py")
        if not any(test in places_for(module) for module in modules())
    )


def test_every_test_says_what_it_shows() -> None:
    expect_none(
        f"{at(path, each.lineno)}: `{each.name}` is no sentence; say subject, verb and condition"
        for path in (ROOT / "tests").rglob("test_*.py")
        for each in functions(ast.parse(path.read_text("utf-8")))
        if each.name.startswith("test_") and each.name.count("_") < 3
    )
