"""Event types as one document."""

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import pytest

from rowcast.webhooks.event_type import EventTypeDraft, KnownEventType
from rowcast.webhooks.event_type_export import FORMATS, exported, moved

AT = datetime(2026, 6, 19, tzinfo=UTC)
TREE = {
    "$id": "https://example.com/tree", "type": "object", "properties": {"left": {"$ref": "#"}, "leaf": {"$ref": "#/$defs/leaf"}},
    "additionalProperties": False, "$defs": {"leaf": {"type": "integer"}},
}  # fmt: skip


def known(name: str, schemas: dict[str, Any] | None, **more: Any) -> KnownEventType:
    return KnownEventType(name=name, draft=EventTypeDraft(schemas=schemas, **more), created_at=AT, changed_at=AT)


TYPES = [
    known("trees.grown", {"1": True, "2": TREE}, description="A tree has grown."),
    known("a~b", None, is_deprecated=True),
]


def document(form: str) -> Any:
    return json.loads(exported(TYPES, form))


def message(kind: str, data: Any) -> dict[str, Any]:
    return {"type": kind, "timestamp": "2026-06-19T12:00:00Z", "data": data}


def test_json_schema_takes_what_fits_the_newest_version_and_nothing_else() -> None:
    validator = jsonschema_rs.validator_for(document("json-schema"), offline=True)

    assert validator.is_valid(message("trees.grown", {"left": {"leaf": 1}}))
    assert validator.is_valid(message("a~b", {"anything": 1}))
    assert not validator.is_valid(message("trees.grown", {"left": {"leaf": "x"}}))
    assert not validator.is_valid(message("trees.grown", {"left": {"right": {}}}))
    assert not validator.is_valid(message("other", {}))


def test_openapi_lists_each_type_as_a_webhook() -> None:
    made = document("openapi")

    assert (made["openapi"], sorted(made["webhooks"])) == ("3.1.0", ["a~b", "trees.grown"])
    operation = made["webhooks"]["trees.grown"]["post"]
    assert operation["summary"] == "A tree has grown."
    assert operation["requestBody"]["content"]["application/json"]["schema"] == {
        "$ref": "#/components/schemas/trees.grown"
    }
    assert made["webhooks"]["a~b"]["post"]["deprecated"] is True
    assert made["components"]["schemas"]["trees.grown"]["properties"]["data"]["properties"]["left"] == {
        "$ref": "#/components/schemas/trees.grown/properties/data"
    }


def test_asyncapi_sends_each_type_on_one_channel() -> None:
    made = document("asyncapi")

    assert made["asyncapi"] == "3.0.0"
    assert made["operations"]["deliver"] == {"action": "send", "channel": {"$ref": "#/channels/webhooks"}}
    assert made["channels"]["webhooks"]["messages"]["a~b"] == {"$ref": "#/components/messages/a~0b"}
    assert made["components"]["messages"]["trees.grown"]["payload"]["properties"]["type"] == {"const": "trees.grown"}


def test_typescript_names_each_type() -> None:
    assert b"export type TreesGrown = " in exported(TYPES, "typescript")


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_takes_no_types_at_all(form: str) -> None:
    assert exported([], form)


@pytest.mark.parametrize("form", ["json-schema", "openapi", "asyncapi"])
def test_every_reference_leads_somewhere(form: str) -> None:
    made = document(form)

    def references(value: Any) -> list[str]:
        if isinstance(value, list):
            return [found for item in value for found in references(item)]
        if not isinstance(value, dict):
            return []
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [found for item in value.values() for found in references(item)]

    assert references(made)
    for reference in references(made):
        place = made
        for step in reference.removeprefix("#/").split("/"):
            place = place[step.replace("~1", "/").replace("~0", "~")]


def test_what_a_schema_says_of_itself_is_left_out_where_it_is_a_part() -> None:
    assert moved({"$schema": "x", "$id": "y", "items": [{"$ref": "#/a"}, {"$ref": "#"}, {"$ref": 5}]}, at="#/b") == {
        "items": [{"$ref": "#/b/a"}, {"$ref": "#/b"}, {"$ref": 5}]
    }
