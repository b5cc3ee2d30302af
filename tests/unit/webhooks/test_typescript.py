"""JSON Schemas as TypeScript types."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.webhooks.typescript import type_of, typescript

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "properties", "items", "anyOf", "allOf", "enum", "const", "required", "$ref", "$defs",
                         "additionalProperties", "string", "object", "array", "x*/"]), inner, max_size=4
    ),
    max_leaves=20,
)  # fmt: skip


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        ({"type": "string"}, "string"),
        ({"type": "integer"}, "number"),
        ({"type": ["string", "null"]}, "string | null"),
        ({"const": 'a"b'}, '"a\\"b"'),
        ({"enum": ["a", 1, None, True]}, '"a" | 1 | null | true'),
        ({"anyOf": [{"type": "string"}, {"type": "string"}, {"type": "null"}]}, "string | null"),
        ({"type": "array", "items": {"type": "string"}}, "Array<string>"),
        ({"type": "array", "items": [{"type": "string"}]}, "unknown[]"),
        ({"type": "array", "prefixItems": [{"type": "string"}], "items": False}, "unknown[]"),
        ({"type": "object", "additionalProperties": False}, "Record<string, never>"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "{ [key: string]: number }"),
        (
            {"properties": {"a": {"type": "string"}, "b-c": {}}, "required": ["a"], "additionalProperties": False},
            '{ a: string; "b-c"?: unknown }',
        ),
        ({"type": "object", "properties": {"a": {"type": "string"}}}, "{ a?: string; [key: string]: unknown }"),
        ({"type": "object", "patternProperties": {"x": {}}, "additionalProperties": False}, "{ [key: string]: unknown }"),
        ({"allOf": [{"type": "string"}, {"const": "a"}]}, '(string) & ("a")'),
        ({"type": "nothing"}, "unknown"), ({"not": {}}, "unknown"), ({}, "unknown"), (True, "unknown"),
        (False, "never"), (5, "unknown"), ({"$ref": "#/properties/a"}, "unknown"),
    ],
)  # fmt: skip
def test_each_schema_has_its_type(schema: Any, expected: str) -> None:
    assert type_of(schema) == expected


def test_a_module_tells_messages_apart_by_their_type() -> None:
    order = {"type": "object", "properties": {"line": {"$ref": "#/$defs/Line"}, "parent": {"$ref": "#"}},
             "additionalProperties": False, "$defs": {"Line": {"type": "string"}}}  # fmt: skip

    assert typescript([("orders.made", "An order\n*/ was made", order), ("orders_made", "", True), ("1x", "", {})]) == (
        "// Made from the event types. Do not change it by hand.\n\n"
        "export type OrdersMade_Line = string;\n\n"
        "/** An order * / was made */\n"
        "export type OrdersMade = { line?: OrdersMade_Line; parent?: OrdersMade };\n\n"
        "export type OrdersMade_2 = unknown;\n\n"
        "export type _1x = unknown;\n\n"
        "export type WebhookMessage =\n"
        '  | { type: "orders.made"; timestamp: string; data: OrdersMade }\n'
        '  | { type: "orders_made"; timestamp: string; data: OrdersMade_2 }\n'
        '  | { type: "1x"; timestamp: string; data: _1x };\n'
    )
    assert typescript([]).endswith("export type WebhookMessage =\n  never;\n")


@given(ANY_JSON)
def test_any_schema_has_a_type_and_ends_no_comment(schema: Any) -> None:
    assert type_of(schema, root="Thing")
