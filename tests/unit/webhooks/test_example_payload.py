"""Example payloads, made of schemas."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.webhooks.example_payload import SMALL, example_payload
from rowcast.webhooks.json_schema import schema_validator

ORDER = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "format": "uuid"},
        "at": {"type": "string", "format": "date-time"},
        "code": {"type": "string", "minLength": 12, "maxLength": 14},
        "total": {"type": "number", "minimum": 5},
        "count": {"type": "integer", "exclusiveMaximum": 0},
        "state": {"enum": ["paid", "open"]},
        "is_paid": {"type": ["null", "boolean"]},
        "lines": {"type": "array", "items": {"$ref": "#/definitions/line"}},
        "to": {"anyOf": [{"type": "null"}, {"$ref": "#/definitions/to"}]},
        "note": {"type": "string", "examples": ["leave at the door"]},
        "kind": {"const": "order"},
    },
    "required": ["id", "lines"],
    "definitions": {
        "line": {"allOf": [{"type": "object", "properties": {"sku": {"type": "string"}}}, {"properties": {"n": {"type": "integer"}}}]},
        "to": {"type": "object", "properties": {"city": {"default": "Oslo"}}},
    },
}  # fmt: skip


def test_an_example_has_the_shape_that_the_schema_asks_for() -> None:
    made = example_payload(ORDER)

    assert made == {
        "id": "00000000-0000-4000-8000-000000000000", "at": "2026-01-01T00:00:00Z", "code": "examplexxxxx", "total": 5,
        "count": -1, "state": "paid", "is_paid": True, "lines": [{"sku": "example", "n": 1}], "to": {"city": "Oslo"},
        "note": "leave at the door", "kind": "order",
    }  # fmt: skip
    assert schema_validator(ORDER).is_valid(made)


@pytest.mark.parametrize(("index", "expected"), [(0, 1), (1, 2), (2, 1), (-1, 1)])
def test_the_schemas_own_examples_win(index: int, expected: int) -> None:
    assert example_payload({"examples": [{"a": 1}, {"a": 2}]}, index=index) == {"a": expected}


@pytest.mark.parametrize("schema", [None, True, {}, {"type": "string"}, {"$ref": "#"}, {"$ref": "#/x/y"}, {"$ref": 5}])
def test_a_schema_that_says_nothing_gives_something_small(schema: Any) -> None:
    assert example_payload(schema) == SMALL


def test_a_schema_that_leads_to_itself_ends() -> None:
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}}}

    assert example_payload(schema)["next"]["next"].keys() == {"next"}


def test_a_schema_whose_references_multiply_ends_too() -> None:
    schema = {"type": "object", "properties": {f"p{number}": {"$ref": "#"} for number in range(200)}}

    assert len(json.dumps(example_payload(schema))) < 20_000
    assert len(example_payload({"properties": {str(number): True for number in range(5000)}})) <= 500


words = st.sampled_from(["type", "properties", "items", "allOf", "anyOf", "enum", "$ref", "minimum", "maxLength", "a"])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["object", "array", "string", "integer", "#", "#/a"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=4),
)  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(schema=values)
def test_whatever_the_schema_is_an_object_comes_out(schema: Any) -> None:
    assert isinstance(example_payload(schema), dict)
