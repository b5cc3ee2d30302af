"""Every error code is one family's, means one thing, and has one row on docs/reference/errors.md."""

import re
from functools import cache

from rowcast.core import errors

from .error_codes import class_of, http_status, is_error_class, uses
from .tree import ROOT, at, expect_none, modules, syntax

PAGE = ROOT / "docs" / "reference" / "errors.md"
ROW = re.compile(r"^\| `([a-z0-9_.]+)` \| (?:`(\w+)`|–) \| (\d+|–) \| (.+) \|$", re.MULTILINE)

# Which words a class may begin its codes with. The first class of the family that fits decides.
PREFIXES = {
    errors.ConfigError: {"config"},
    errors.InvalidInputError: {"input", "outbox", "egress"},
    errors.AuthenticationError: {"auth"},
    errors.PermissionDeniedError: {"auth"},
    errors.LimitExceededError: {"limit"},
    errors.StoreError: {"store"},
    errors.VendorError: {"vendor"},
    errors.UsageError: {"usage"},
    errors.RowcastError: {"rowcast"},
}
# Who never answers over HTTP: a process that does not start, and a programmer.
WITHOUT_HTTP = (errors.ConfigError, errors.UsageError)


@cache
def rows() -> dict[str, tuple[str, str, str]]:
    """Give the page's rows: class, HTTP status and text of each code."""
    return {code: (name, status, text) for code, name, status, text in ROW.findall(PAGE.read_text("utf-8"))}


def status_shown(code: str) -> str:
    """Give the HTTP status as the page shows it."""
    is_silent = issubclass(getattr(errors, class_of(code), errors.RowcastError), WITHOUT_HTTP)
    return "–" if is_silent or http_status(code) is None else str(http_status(code))


def row_of(code: str) -> str:
    """Give the row to add for a code, with the sentence from the source to begin with."""
    name = f"`{class_of(code)}`" if class_of(code) else "–"
    sentence = next((use.sentence for use in uses()[code] if use.sentence), "").split("\n")[0]
    return f"| `{code}` | {name} | {status_shown(code)} | {sentence} |"


def test_every_code_has_its_row() -> None:
    expect_none(
        f"{uses()[code][0].place}: `{code}` is not documented; add to docs/reference/errors.md: {row_of(code)}"
        for code in uses()
        if code not in rows()
    )


def test_every_row_has_its_code() -> None:
    expect_none(
        f"docs/reference/errors.md: `{code}` is raised nowhere; take its row out"
        for code in rows()
        if code not in uses()
    )


def test_every_row_says_what_the_source_says() -> None:
    expect_none(
        f"docs/reference/errors.md: `{code}` is {class_of(code)} with HTTP {status_shown(code)}, the row says {name} {status}"
        for code, (name, status, _) in rows().items()
        if code in uses() and class_of(code) and (name, status) != (class_of(code), status_shown(code))
    )


def test_the_rows_stand_in_order() -> None:
    listed = ROW.findall(PAGE.read_text("utf-8"))
    codes = [code for code, *_ in listed]

    assert codes == sorted(set(codes)), "docs/reference/errors.md: one row for each code, in alphabetical order"


def test_one_code_means_one_thing() -> None:
    expect_none(
        f"{use.place}: `{code}` is raised as {use.class_name} here and as {class_of(code)} at {first.place}; give one a code of its own"
        for code, (first, *others) in uses().items()
        for use in others
        if use.class_name and first.class_name and use.class_name != first.class_name
    )


def test_every_code_begins_with_its_family() -> None:
    expect_none(
        f"{use.place}: `{code}` is raised as {use.class_name}; a {family.__name__} begins with {sorted(PREFIXES[family])}"
        for code in uses()
        for use in uses()[code]
        if use.class_name
        for family in [next(each for each in PREFIXES if issubclass(getattr(errors, use.class_name), each))]
        if code.split(".")[0] not in PREFIXES[family]
    )


def test_every_error_class_is_defined_in_one_place() -> None:
    expect_none(
        f"{at(path, node.lineno)}: {node.name} belongs to the family in core/errors.py; define it there"
        for path in modules()
        if path.name != "errors.py"
        for node in syntax(path).body
        if hasattr(node, "bases")
        for base in node.bases
        if is_error_class(getattr(base, "id", getattr(base, "attr", "")))
    )


def test_nothing_raises_a_bare_exception() -> None:
    bare = re.compile(r"raise (?:Exception|BaseException)\(")
    expect_none(
        f"{at(path, number)}: raise an error of core/errors.py with a code and a sentence that says what to do"
        for path in modules()
        for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1)
        if bare.search(line)
    )


def test_the_codes_are_found() -> None:
    assert len(uses()) >= 40
    assert {"config.unknown_setting", "input.tenant_missing", "outbox.published_is_final"} <= uses().keys()
