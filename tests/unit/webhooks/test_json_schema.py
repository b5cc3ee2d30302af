"""JSON Schemas of event types: which may be kept, and what fits them."""

import time
from typing import Any

import pytest

from rowcast.core.errors import InvalidFieldError, InvalidInputError
from rowcast.webhooks.json_schema import check_value, checked_schemas, newest_schema, schema_validator

TOTAL = {"type": "object", "properties": {"total": {"type": "number"}}, "required": ["total"]}


def nested(depth: int) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for _ in range(depth):
        made = {"items": made}
    return made


@pytest.mark.parametrize(
    "schema",
    [
        TOTAL, {}, True, False, {"$ref": "#"}, {"allOf": [{"$ref": "#"}]},
        {"definitions": {"a": {"$ref": "#/definitions/b"}, "b": {"$ref": "#/definitions/a"}}, "$ref": "#/definitions/a"},
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "prefixItems": [TOTAL]},
        {"$schema": "http://json-schema.org/draft-07/schema#", "items": [TOTAL]}, nested(60),
    ],
)  # fmt: skip
def test_schemas_that_stand_alone_are_kept(schema: Any) -> None:
    assert checked_schemas({"1": schema}) == {"1": schema}
    schema_validator(schema).is_valid({"total": 1})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "nothing"}, 5, None, "x", [], {"properties": []}, {"required": "total"}, {"pattern": "("},
        {"pattern": "(?=a)b"}, {"$ref": "http://127.0.0.1:9/schema"}, {"$ref": "file:///etc/passwd"},
        {"properties": {"a": {"$ref": "other.json"}}}, {"$schema": "http://127.0.0.1:9/own-draft"},
        {"definitions": {f"a{n}": {"allOf": [{"$ref": f"#/definitions/a{n + 1}"}] * 2} for n in range(30)} | {"a30": True}},
        {"$ref": "#/definitions/missing"}, {"$dynamicRef": "urn:x"}, nested(65), nested(10_000), {"description": "x" * 70_000},
    ],
)  # fmt: skip
def test_what_is_no_schema_leads_out_or_is_too_large_is_refused(schema: Any) -> None:
    with pytest.raises(InvalidFieldError) as refusal:
        checked_schemas({"1": schema})

    assert refusal.value.place[:2] == ("body", "schemas")


@pytest.mark.parametrize(
    "versions", [{"": {}}, {"v1": {}}, {"1.0": {}}, {"-1": {}}, {"²": {}}, {str(n): {} for n in range(51)}]
)
def test_versions_are_numbers_and_not_many(versions: dict[str, Any]) -> None:
    with pytest.raises(InvalidFieldError):
        checked_schemas(versions)


def test_newest_version_is_the_highest_number() -> None:
    assert newest_schema({"2": True, "10": TOTAL, "9": False}) == ("10", TOTAL)
    assert newest_schema({}) is newest_schema(None) is None


def test_a_payload_that_does_not_fit_is_refused_by_its_place_and_not_by_its_value() -> None:
    validator = schema_validator({"type": "object", "properties": {"orders": {"items": TOTAL}}})
    check_value(validator, {"orders": [{"total": 1}]}, name="orders.made")

    with pytest.raises(InvalidInputError) as refusal:
        check_value(validator, {"orders": [{"total": 1}, {"total": "canary"}]}, name="orders.made")

    assert refusal.value.code == "input.payload"
    assert "/orders/1/total" in str(refusal.value)
    assert "canary" not in str(refusal.value)
    with pytest.raises(InvalidInputError):
        check_value(schema_validator(False), {}, name="x")


def test_a_field_that_is_missing_is_named() -> None:
    with pytest.raises(InvalidInputError, match=r"at '/' it breaks 'required' of 'total'\."):
        check_value(schema_validator(TOTAL), {"tax": 1}, name="orders.made")


def test_a_pattern_takes_time_that_grows_with_the_text_only() -> None:
    validator = schema_validator({"type": "string", "pattern": "^(a+)+$"})
    begun = time.process_time()

    with pytest.raises(InvalidInputError):
        check_value(validator, "a" * 50_000 + "!", name="x")

    # By backtracking, fifty letters would take days.
    assert time.process_time() - begun < 20


def test_a_payload_that_is_nested_as_deep_as_our_reader_takes_ends() -> None:
    value: Any = 1
    for _ in range(900):
        value = {"a": value}

    try:
        schema_validator({"properties": {"a": {"$ref": "#"}}}).is_valid(value)
    except ValueError as error:
        assert "Recursion" in str(error) or "recursion" in str(error)
