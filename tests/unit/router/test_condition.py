"""The condition compiler: the public cases of its subset, its limits, and hostile trees."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.core.errors import InvalidInputError
from rowcast.router.condition import evaluate
from rowcast.router.operators import compile_condition

CASES = [
    case for case in json.loads(Path(__file__).with_name("jsonlogic_cases.json").read_text()) if isinstance(case, list)
]
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=True) | st.text(max_size=8)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
)
FIELDS = st.sampled_from(["", "a", "a.b", "payload", "payload.record", "0", "payload.0.a"])


def _trees(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    binary = st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in", "rowcast.starts_with", "rowcast.ends_with"])
    return (
        st.builds(lambda name, operands: {name: list(operands)}, binary, st.tuples(inner, inner))
        | st.builds(
            lambda name, operands: {name: operands},
            st.sampled_from(["and", "or"]),
            st.lists(inner, min_size=1, max_size=3),
        )
        | st.builds(lambda field: {"var": field}, FIELDS)
        | st.builds(
            lambda name, field, test: {name: [{"var": field}, test]},
            st.sampled_from(["some", "all", "none"]),
            FIELDS,
            inner,
        )
        | st.builds(lambda operand: {"rowcast.within": [operand, "24h"]}, inner)
        | st.builds(lambda operand, day: {"rowcast.on_day": [operand, {"var": day}, "Europe/Berlin"]}, inner, FIELDS)
        | st.builds(lambda operand: {"rowcast.matches": [operand, "a+b"]}, inner)
        | st.just({"rowcast.changed": ["a"]})
    )


@pytest.mark.parametrize(("tree", "values", "expected"), CASES, ids=[json.dumps(case[:2]) for case in CASES])
def test_public_case_of_the_subset_gives_its_public_answer(tree: Any, values: Any, expected: Any) -> None:
    found = evaluate(compile_condition(tree), values)

    assert (type(found), found) == (type(expected), expected)


@settings(max_examples=300, deadline=None)
@given(tree=st.recursive(SCALARS.filter(lambda value: value == value), _trees, max_leaves=12), values=VALUES)
def test_evaluating_never_raises_whatever_the_data_is(tree: Any, values: Any) -> None:
    try:
        condition = compile_condition(tree)
    except InvalidInputError as refusal:
        assert refusal.code == "input.condition"
        return

    evaluate(condition, values)


def _nested(depth: int) -> Any:
    tree: Any = True
    for _ in range(depth):
        tree = {"!": [tree]}
    return tree


@pytest.mark.parametrize(
    ("tree", "place", "limit"),
    [
        (_nested(8), "/!/0/!/0/!/0/!/0/!/0/!/0/!/0/!/0", "8 levels"),
        (_nested(5000), "/!/0/!/0", "8 levels"),
        ({"or": [False] * 200}, "/or/199", "200 nodes"),
        ({"in": [1, [0] * 100_000]}, "/in/1/", "200 nodes"),
        ({"some": [[1], {"some": [[1], {"some": [[1], True]}]}]}, "/some/1/some/1/some", "2 deep"),
        ({"==": ["x" * 1025, 1]}, "/==/0", "1024 bytes"),
        ({"==": ["ü" * 513, 1]}, "/==/0", "1024 bytes"),
        ({"rowcast.matches": [{"var": "a"}, "a" * 257]}, "/rowcast.matches", "256 characters"),
        ({"rowcast.matches": [{"var": "a"}, "(a"]}, "/rowcast.matches", "RE2"),
        ({"rowcast.matches": [{"var": "a"}, r"(a)\1"]}, "/rowcast.matches", "RE2"),
        ({"rowcast.matches": [{"var": "a"}, "((a{1000}){1000}){1000}"]}, "/rowcast.matches", "RE2"),
        ({"rowcast.matches": ["a", {"var": "a"}]}, "/rowcast.matches", "written out"),
        ({"and": [True, {"evil": [1]}]}, "/and/1", "'evil' is unknown"),
        ({"===": [1, 1]}, "at /", "'===' is unknown"),
        ({"==": [1, 1], "!=": [1, 1]}, "at /", "one key"),
        ({}, "at /", "one key"),
        ({"and": [{}]}, "/and/0", "one key"),
        ({"==": [1]}, "/==", "takes 2 operands, not 1"),
        ({"<": [1, 2, 3, 4]}, "/<", "takes 2 to 3 operands, not 4"),
        ({"and": []}, "/and", "not 0"),
        ({"var": {"var": "a"}}, "/var", "name of a field"),
        ({"missing": [{"var": "a"}]}, "/missing", "names of fields"),
        ({"==": [float("nan"), 1]}, "/==/0", "float"),
        ({"==": [float("inf"), 1]}, "/==/0", "float"),
        ({"==": [2**70, 1]}, "/==/0", "int"),
        ({"==": [b"x", 1]}, "/==/0", "bytes"),
        ({1: [1]}, "at /", "'1' is unknown"),
        ({"rowcast.changed": [{"var": "a"}]}, "/rowcast.changed", "columns"),
        ({"rowcast.within": [{"var": "a"}, "soon"]}, "/rowcast.within", "duration"),
        ({"rowcast.on_day": [{"var": "a"}, "someday", "UTC"]}, "/rowcast.on_day", "weekday"),
        ({"rowcast.on_day": [{"var": "a"}, "monday", "Mars/Base"]}, "/rowcast.on_day", "time zone"),
        ({"rowcast.on_day": [{"var": "a"}, "monday", "../../etc/passwd"]}, "/rowcast.on_day", "time zone"),
        ({"rowcast.on_day": [{"var": "a"}, "monday", {"var": "z"}]}, "/rowcast.on_day", "time zone"),
    ],
)
def test_hostile_tree_is_refused_with_its_place_and_the_limit(tree: Any, place: str, limit: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        compile_condition(tree)

    assert refusal.value.code == "input.condition"
    assert place in str(refusal.value)
    assert limit in str(refusal.value)


def test_tree_at_each_limit_is_taken() -> None:
    compile_condition(_nested(7))
    compile_condition({"or": [False] * 199})
    compile_condition({"some": [[1], {"some": [[1], True]}]})
    compile_condition({"==": ["x" * 1024, 1]})
    compile_condition({"rowcast.matches": ["a", "a" * 256]})
