"""Why a condition did not hold."""

from typing import Any

from rowcast.router.explain import Miss, Seen, describe, find_misses
from rowcast.router.operators import compile_condition

EVENT = {"payload": {"status": "draft", "total": 5, "lines": [{"sku": "secret"}], "name": "Ada Lovelace"}}


def misses(tree: Any, *, reveal: bool = False) -> tuple[Miss, ...]:
    return find_misses(compile_condition(tree), EVENT, reveal=reveal)


def test_condition_that_holds_has_no_misses() -> None:
    assert misses({"==": [{"var": "payload.status"}, "draft"]}) == ()


def test_first_failing_clause_of_an_and_is_named_with_place_and_kinds() -> None:
    tree = {
        "and": [{"==": [{"var": "payload.status"}, "draft"]}, {">": [{"var": "payload.total"}, 100]}, {"==": [1, 2]}]
    }

    assert misses(tree) == (Miss("/and/1/>", ">", (Seen("payload.total", "number"), Seen("", "100"))),)


def test_every_clause_of_an_or_is_named() -> None:
    tree = {"or": [{"==": [{"var": "payload.gone"}, 1]}, {"and": [True, {"!": [{"var": "payload.lines"}]}]}]}

    assert [(miss.path, miss.seen[0]) for miss in misses(tree)] == [
        ("/or/0/==", Seen("payload.gone", "null")),
        ("/or/1/and/1/!", Seen("payload.lines", "list of 1")),
    ]


def test_values_are_shown_only_when_asked_for() -> None:
    tree = {"==": [{"var": "payload.name"}, "Bob"]}

    assert misses(tree)[0].seen == (Seen("payload.name", "text"), Seen("", '"Bob"'))
    assert misses(tree, reveal=True)[0].seen == (Seen("payload.name", '"Ada Lovelace"'), Seen("", '"Bob"'))


def test_iterator_shows_its_list_and_not_its_elements() -> None:
    tree = {"some": [{"var": "payload.lines"}, {"==": [{"var": "sku"}, "a"]}]}

    assert misses(tree) == (Miss("/some", "some", (Seen("payload.lines", "list of 1"),)),)


def test_field_alone_is_a_clause() -> None:
    assert misses({"var": "payload.gone"}) == (Miss("/var", "var", (Seen("payload.gone", "null"),)),)


def test_misses_are_bounded() -> None:
    assert len(misses({"or": [False] * 100})) == 8


def test_kind_of_a_value_says_nothing_of_its_content() -> None:
    assert [describe(value) for value in (True, 1, 1.5, "x", None, {"a": 1}, [1, 2])] == [
        "boolean",
        "number",
        "number",
        "text",
        "null",
        "object",
        "list of 2",
    ]
