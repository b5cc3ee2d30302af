"""One word for one thing: names that say nothing are refused, and so is text that only makes sense on one machine."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from .tree import at, committed_files, expect_none, line_of, modules, syntax

# Words that name a drawer instead of a thing, and abbreviations that a newcomer must decode.
EMPTY_WORDS = frozenset(
    """
    manager mgr helper helpers util utils common misc stuff svc cfg ctx evt msg dlq qm qb cb fn func obj req resp
""".split()
)
# The tenant has one name in code, wire, metrics and pages.
OTHER_WORDS = {"org": "tenant", "organization": "tenant", "organisation": "tenant", "deadletter": "dead_letter"}
DRAWERS = frozenset("base types models utils helpers common misc data info tools".split())
VAGUE_VERBS = frozenset("handle process manage perform".split())
# Names that other people's contracts prescribe: asyncio's protocols and uvicorn call these.
PRESCRIBED = frozenset({"data_received", "handle_websocket_upgrade"})

# Put together from pieces, so that this file does not hold what it looks for.
HOSTS = [".".join(words) for words in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"), ("npmjs", "com"))]
FOLDERS = ["/" + name + "/" for name in ("work", "root", "home")]
TEXT_SUFFIXES = frozenset(
    ".py .md .sql .toml .lock .yml .yaml .json .js .mjs .ts .tsx .html .css .sh .txt .cfg .ini .svg".split()
)


def words_of(name: str) -> list[str]:
    """Give the words of an identifier, in lower case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().strip("_").split("_")


def names_in(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Give every name that a module gives to something, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name, node.lineno


def test_no_name_is_empty_of_meaning() -> None:
    expect_none(
        f"{at(path, line)}: `{name}`: say what it is instead of `{word}`"
        for path in modules()
        for name, line in names_in(syntax(path))
        for word in EMPTY_WORDS.intersection(words_of(name))
    )


def test_one_thing_has_one_word() -> None:
    expect_none(
        f"{at(path, line)}: `{name}`: the glossary's word is `{OTHER_WORDS[word]}`"
        for path in modules()
        for name, line in names_in(syntax(path))
        for word in OTHER_WORDS.keys() & set(words_of(name))
    )


def test_no_module_is_a_drawer() -> None:
    expect_none(
        f"{at(path)}: a module is named after its one idea; what two rooms need has a name and lives in core"
        for path in modules()
        if path.stem in DRAWERS
    )


def test_every_function_is_named_by_a_verb_that_says_something() -> None:
    expect_none(
        f"{at(path, node.lineno)}: `{node.name}`: say what it does instead of `{words_of(node.name)[0]}`"
        for path in modules()
        for node in ast.walk(syntax(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name not in PRESCRIBED
        and words_of(node.name)[0] in VAGUE_VERBS
    )


def texts() -> Iterator[tuple[Path, str]]:
    """Give every committed text file."""
    for path in committed_files():
        if path.suffix in TEXT_SUFFIXES or path.name in ("Makefile", "run", "LICENSE"):
            yield path, path.read_text("utf-8")


def test_nothing_committed_belongs_to_one_machine() -> None:
    pattern = re.compile(
        "|".join([*map(re.escape, HOSTS), *(rf"(?<![\w.]){re.escape(folder)}\w" for folder in FOLDERS)])
    )
    expect_none(
        f"{at(path, line_of(text, found.start()))}: `{found.group()}` names a package host or a folder of one machine"
        for path, text in texts()
        for found in pattern.finditer(text)
    )


def test_nothing_is_left_for_later() -> None:
    pattern = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b(?!.*#\d+)")
    expect_none(
        f"{at(path, line_of(text, found.start()))}: finish it, or write an issue and name its number"
        for path, text in texts()
        if "static" not in path.parts
        for found in pattern.finditer(text)
    )
