"""Templates: what they make, what they refuse, and that nothing makes them fail in another way."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.core.errors import InvalidFieldError, InvalidInputError
from rowcast.webhooks.transform import (
    DEPTH_LIMIT,
    ITEMS_LIMIT,
    NODES_LIMIT,
    OUTPUT_LIMIT_BYTES,
    STEPS_LIMIT,
    TEMPLATE_LIMIT_BYTES,
    parse_template,
    rendered,
)

DATA = {
    "id": "o1",
    "total": 12.5,
    "is_paid": True,
    "none": None,
    "lines": [{"sku": "a", "sizes": [1, 2]}, {"sku": "b", "sizes": []}],
    "to": {"city": "Köln"},
}
MESSAGE = {"type": "orders.paid", "timestamp": "2026-06-19T00:00:00Z", "data": DATA, "variables": {"shop": "Acme"}}


def made(template: Any, message: dict[str, Any] | None = None) -> Any:
    return json.loads(rendered(parse_template(json.dumps(template)), message or MESSAGE))


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("{{ data.total }}", 12.5),
        ("{{data.is_paid}}", True),
        ("{{ data.to }}", {"city": "Köln"}),
        ("{{ data.lines.1.sku }}", "b"),
        ("{{ data.lines.2.sku }}", None),
        ("{{ data.nothing.at.all }}", None),
        ("{{ data.id.length }}", None),
        ("Order {{ data.id }}: {{ data.total }} {{ data.nothing }}.", "Order o1: 12.5 ."),
        ("{{ data.is_paid }} {{ data.to }}", 'true {"city":"Köln"}'),
        (
            {"t": "{{ type }}", "at": "{{ timestamp }}", "shop": "{{ variables.shop }}", "n": 1, "x": None},
            {"t": "orders.paid", "at": "2026-06-19T00:00:00Z", "shop": "Acme", "n": 1, "x": None},
        ),
        ({"$each": "data.lines", "$as": {"s": "{{ item.sku }}", "at": "{{ index }}"}}, [{"s": "a", "at": 0}, {"s": "b", "at": 1}]),
        ({"$each": "data.lines", "$as": {"$each": "item.sizes", "$as": "{{ item }}"}}, [[1, 2], []]),
        ({"$each": "data.nothing", "$as": 1}, []),
        ({"$each": "data.lines", "$as": {"$if": "item.sizes", "then": "{{ item.sku }}"}}, ["a"]),
        ({"a": {"$if": "data.is_paid", "then": "yes", "else": "no"}}, {"a": "yes"}),
        ({"a": {"$if": "data.none", "then": "yes", "else": "no"}}, {"a": "no"}),
        ({"a": {"$if": "data.none", "then": "yes"}, "b": [1, {"$if": "data.none", "then": 2}]}, {"b": [1]}),
        ({"$if": "data.none", "then": 1}, None),
        ({"$literal": {"$if": "{{ data.id }}"}}, {"$if": "{{ data.id }}"}),
        ([], []),
    ],
)  # fmt: skip
def test_a_template_makes(template: Any, expected: Any) -> None:
    assert made(template) == expected


@pytest.mark.parametrize(
    "template",
    [
        "{{ data.id",
        "data.id }}",
        "{{ }}",
        "{{ data.a b }}",
        "{{ secrets.key }}",
        "{{ item.sku }}",
        "{{ data..id }}",
        "{{ data" + ".a" * DEPTH_LIMIT + " }}",
        {"$each": "data.lines"},
        {"$each": 1, "$as": 1},
        {"$each": "data.lines", "$as": 1, "more": 2},
        {"$if": "data.x"},
        {"$if": "data.x", "then": 1, "otherwise": 2},
        {"$code": "import os"},
        {"$literal": 1, "a": 2},
        [[]] * NODES_LIMIT,
        ["x" * TEMPLATE_LIMIT_BYTES],
    ],
)
def test_a_template_that_cannot_be_used_is_refused(template: Any) -> None:
    with pytest.raises(InvalidFieldError) as refusal:
        parse_template(json.dumps(template))

    assert refusal.value.place == ("body", "code")


@pytest.mark.parametrize("code", ["", "{", "function transform(webhook) { return webhook }", "[" * 5000, '"\ud800"'])
def test_what_is_no_json_is_refused(code: str) -> None:
    with pytest.raises(InvalidFieldError, match="not JSON"):
        parse_template(code)


def test_what_is_nested_too_deeply_is_refused() -> None:
    fine = "[" * DEPTH_LIMIT + "1" + "]" * DEPTH_LIMIT

    assert json.loads(rendered(parse_template(fine), MESSAGE)) == json.loads(fine)
    with pytest.raises(InvalidFieldError, match="deeper"):
        parse_template(f"[{fine}]")


def test_a_body_that_grows_too_large_stops_early() -> None:
    lines = {**MESSAGE, "data": {"lines": list(range(ITEMS_LIMIT)), "text": "x" * 30_000, "wide": "ü" * 40_000}}

    for template in (["{{ data.text }}"] * 3, "{{ data.text }}" * 3, "{{ data.wide }}"):
        with pytest.raises(InvalidInputError, match=str(OUTPUT_LIMIT_BYTES)):
            made(template, lines)
    assert len(made(["{{ data.text }}"] * 2, lines)) == 2


@pytest.mark.parametrize(
    "template",
    [
        {"$each": "data", "$as": {"$each": "data", "$as": {"$if": "data.x", "then": 1}}},
        {"$each": "data", "$as": {"$if": "data" + ".x" * (DEPTH_LIMIT - 1), "then": 1, "else": ""}},
        {"$each": "data", "$as": "{{variables.a}}" * 1000},
    ],
)
def test_a_template_that_costs_much_and_makes_little_stops_early(template: Any) -> None:
    many = {"$each": "data", "$as": template}

    with pytest.raises(InvalidInputError, match=str(STEPS_LIMIT)):
        made(many, {**MESSAGE, "data": [0] * ITEMS_LIMIT, "variables": {"a": ""}})


def test_a_thousand_items_with_some_fields_each_are_made() -> None:
    fields = {name: f"{{{{ item.{name} }}}}" for name in ("a", "b", "c", "d")}
    item = {"a": 1, "b": "two", "c": None, "d": True}

    assert made({"$each": "data", "$as": fields}, {**MESSAGE, "data": [item] * ITEMS_LIMIT}) == [item] * ITEMS_LIMIT


def test_names_of_fields_count_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = parse_template(json.dumps({"$each": "data", "$as": {"x" * 10_000: 1}}))
    monkeypatch.setattr("rowcast.webhooks.transform.encode_json", None)

    with pytest.raises(InvalidInputError, match=str(OUTPUT_LIMIT_BYTES)):
        rendered(wide, {**MESSAGE, "data": [0] * ITEMS_LIMIT})


def test_what_is_no_list_or_too_long_a_one_is_not_gone_through() -> None:
    template = {"$each": "data", "$as": 1}

    for data in ("text", {"a": 1}, 5, [0] * (ITEMS_LIMIT + 1)):
        with pytest.raises(InvalidInputError, match="'data'"):
            made(template, {**MESSAGE, "data": data})


words = st.sampled_from(
    ["data", "data.a", "data.a.b", "data.0", "item", "item.a", "index", "type", "nobody", "", "a b"]
)
texts = st.text(max_size=8) | words.map("{{{{ {} }}}}".format) | words.map("x {{{{{}}}}} y".format)
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
)
templates = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "$x"]), inner, max_size=3)
        | st.fixed_dictionaries({"$each": words, "$as": inner})
        | st.fixed_dictionaries({"$if": words, "then": inner}, optional={"else": inner})
        | st.fixed_dictionaries({"$literal": inner})
    ),
)


@settings(max_examples=300, deadline=None)
@given(template=templates, data=values)
def test_whatever_is_written_is_refused_or_makes_json_or_fails_with_its_own_error(template: Any, data: Any) -> None:
    try:
        parsed = parse_template(json.dumps(template))
    except InvalidFieldError:
        return
    try:
        body = rendered(parsed, {**MESSAGE, "data": data})
    except InvalidInputError:
        return
    json.loads(body)
    assert len(body) <= OUTPUT_LIMIT_BYTES


@settings(max_examples=100, deadline=None)
@given(data=values)
def test_what_holds_no_placeholder_stays_as_it_is_and_a_placeholder_alone_keeps_its_type(data: Any) -> None:
    assert made({"$literal": data}) == data
    assert made("{{ data }}", {**MESSAGE, "data": data}) == data
