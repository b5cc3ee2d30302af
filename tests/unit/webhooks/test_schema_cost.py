"""Schemas that would look at one place of a value again and again."""

import time
from typing import Any

import pytest

from rowcast.webhooks.json_schema import schema_validator
from rowcast.webhooks.schema_cost import is_too_costly


def doubled(times: int, word: str = "allOf", reference: str = "$ref", root: str = "#/definitions/a0") -> dict[str, Any]:
    """Give a schema that doubles itself so many times."""
    steps: dict[str, Any] = {
        f"a{number}": {word: [{reference: f"#/definitions/a{number + 1}"}] * 2} for number in range(times)
    }
    return {"definitions": {**steps, f"a{times}": {"type": "object"}}, "$ref": root}


@pytest.mark.parametrize(
    "schema",
    [
        True, {}, [], None, {"$ref": "#"}, {"$ref": "#/nowhere"}, {"$ref": "#word"}, {"allOf": [{"$ref": "#"}] * 50},
        {"$ref": "#/a/b/9"}, {"enum": [{"$ref": 7}]}, doubled(10), doubled(10, "oneOf"),
        {"properties": {"left": {"$ref": "#"}, "right": {"$ref": "#"}}},
        {"definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}}, "$ref": "#/definitions/a"},
    ],
)  # fmt: skip
def test_schemas_as_people_write_them_cost_little(schema: Any) -> None:
    assert not is_too_costly(schema)


@pytest.mark.parametrize(
    "schema",
    [
        doubled(30), doubled(30, "anyOf"), doubled(30, reference="$dynamicRef"), {"items": doubled(30)["definitions"]} | doubled(30),
        {**doubled(30), "$ref": "#", "then": {"$ref": "#/definitions/a0"}},
        {"$defs": {f"{n}": {"$anchor": f"a{n}", "oneOf": [{"$ref": f"#a{n + 1}"}] * 3} for n in range(20)}, "$ref": "#a0"},
        {"$defs": {f"a/{n}": {"not": {"allOf": [{"$ref": f"#/$defs/a~1{n + 1}"}] * 3}} for n in range(20)}},
        {"$defs": {f"a{n}": {"dependentSchemas": {key: {"$ref": f"#/$defs/a{n + 1}"} for key in "abc"}} for n in range(20)}},
    ],
)  # fmt: skip
def test_what_doubles_itself_is_found_at_once(schema: Any) -> None:
    begun = time.process_time()

    assert is_too_costly(schema)
    assert time.process_time() - begun < 5


def test_what_is_at_the_limit_ends() -> None:
    schema = doubled(11)

    assert not is_too_costly(schema)
    assert schema_validator(schema).is_valid({})
