"""Which rules an event can match, looked up by a field's value."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.router.coercion import is_true
from rowcast.router.operators import compile_condition
from rowcast.router.rule_index import RuleIndex

VALUES: st.SearchStrategy[Any] = st.sampled_from(
    ["paid", "open", "", "1", "0", 0, 1, 2, True, False, None, 1.0, 0.5, [], [1], {}, ["paid"]]
)
FIELDS = st.sampled_from(
    [{"var": "status"}, {"var": ["status"]}, {"var": ["status", "paid"]}, {"var": "other"}, "paid"]
)
EQUALITIES = st.builds(lambda left, right: {"==": [left, right]}, FIELDS, VALUES.filter(lambda v: v != {}))
REVERSED = st.builds(lambda left, right: {"==": [right, left]}, FIELDS, VALUES.filter(lambda v: v != {}))
CONDITIONS = st.one_of(
    st.none(),
    EQUALITIES,
    REVERSED,
    st.builds(lambda first, second: {"and": [first, second]}, EQUALITIES, EQUALITIES),
    st.builds(lambda first, second: {"or": [first, second]}, EQUALITIES, EQUALITIES),
    st.builds(lambda first: {"!": [first]}, EQUALITIES),
)
EVENTS = st.fixed_dictionaries({}, optional={"status": VALUES, "other": VALUES})


def index_of(*trees: Any) -> RuleIndex:
    return RuleIndex([None if tree is None else compile_condition(tree) for tree in trees])


def status_is(value: object) -> Any:
    return {"==": [{"var": "status"}, value]}


@given(trees=st.lists(CONDITIONS, max_size=12), values=EVENTS)
def test_no_rule_that_holds_is_left_out_and_the_order_is_kept(trees: list[Any], values: dict[str, Any]) -> None:
    conditions = [None if tree is None else compile_condition(tree) for tree in trees]
    found = list(RuleIndex(conditions).find(values))

    holding = [
        place
        for place, condition in enumerate(conditions)
        if condition is None or is_true(condition.run(values, values))
    ]
    assert [place for place in found if place in holding] == holding
    assert found == sorted(set(found))


def test_of_many_rules_on_one_field_only_those_for_its_value_are_found() -> None:
    index = index_of(*(status_is(word) for word in ("open", "paid", "sent", "paid")))

    assert list(index.find({"status": "paid"})) == [1, 3]
    assert list(index.find({"status": "lost"})) == []


def test_a_value_of_another_kind_may_equal_a_text_loosely_so_all_are_found() -> None:
    index = index_of(*(status_is(word) for word in ("1", "2", "3")))

    assert list(index.find({"status": 1})) == [0, 1, 2]


def test_a_rule_that_asks_more_is_found_by_its_first_equality() -> None:
    more = {"and": [status_is("paid"), {">": [{"var": "total"}, 5]}]}
    index = index_of(more, status_is("open"), status_is("sent"))

    assert list(index.find({"status": "open"})) == [1]
    assert list(index.find({"status": "paid"})) == [0]


@pytest.mark.parametrize(
    "tree",
    [
        None,
        {"or": [status_is("paid"), status_is("open")]},
        {"!": [status_is("paid")]},
        {"==": [{"var": ["status", "none"]}, "paid"]},
        {"==": [{"var": "status"}, True]},
        {"==": [{"var": "status"}, {"var": "other"}]},
    ],
)
def test_a_rule_that_needs_no_one_value_is_always_found(tree: Any) -> None:
    index = index_of(tree, status_is("a"), status_is("b"), status_is("c"))

    assert list(index.find({"status": "b"})) == [0, 2]


def test_few_rules_are_asked_one_by_one() -> None:
    assert list(index_of(status_is("a"), status_is("b")).find({"status": "x"})) == [0, 1]
