"""All event types as one document: JSON Schema, AsyncAPI, OpenAPI or TypeScript. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from rowcast.core.codec import encode_json
from rowcast.webhooks.event_type import KnownEventType
from rowcast.webhooks.json_schema import newest_schema
from rowcast.webhooks.typescript import typescript

FORMATS = {
    "json-schema": "application/schema+json",
    "asyncapi": "application/json",
    "openapi": "application/json",
    "typescript": "text/plain; charset=utf-8",
}
"""Each format with its media type."""
_TITLE = "Webhooks"
_DRAFT = "https://json-schema.org/draft/2020-12/schema"


def exported(types: Sequence[KnownEventType], format: str) -> bytes:  # noqa: A002 - the query's own word
    """Give the newest version of each type as a document of one of the `FORMATS`."""
    if format == "typescript":
        return typescript([(each.name, each.draft.description, _newest(each)) for each in types]).encode()
    make = {"json-schema": _json_schema, "asyncapi": _asyncapi, "openapi": _openapi}[format]
    return encode_json(make(types))


def message_schema(known: KnownEventType, *, at: str) -> dict[str, Any]:
    """Give the schema of the body that is posted; `at` is where it lies, since references count from the top."""
    data = moved(_newest(known), at=f"{at}/properties/data")
    fields = {"type": {"const": known.name}, "timestamp": {"type": "string", "format": "date-time"}, "data": data}
    return {
        "title": known.name,
        "description": known.draft.description,
        "type": "object",
        "properties": fields,
        "required": ["type", "timestamp", "data"],
        **({"deprecated": True} if known.draft.is_deprecated else {}),
    }


def moved(schema: Any, *, at: str) -> Any:
    """Give a schema as part of a document: what it refers to in itself lies below `at` now."""
    if isinstance(schema, Mapping):
        return {key: _moved_value(key, value, at) for key, value in schema.items() if key not in ("$id", "$schema")}
    return [moved(item, at=at) for item in schema] if isinstance(schema, list) else schema


def _moved_value(key: str, value: Any, at: str) -> Any:
    if key == "$ref" and isinstance(value, str) and (value == "#" or value.startswith("#/")):
        return at + value[1:]
    return moved(value, at=at)


def _newest(known: KnownEventType) -> Any:
    found = newest_schema(known.draft.schemas)
    return {"type": "object"} if found is None else found[1]


def _json_schema(types: Sequence[KnownEventType]) -> dict[str, Any]:
    places = {each.name: f"#/$defs/{_pointer(each.name)}" for each in types}
    return {
        "$schema": _DRAFT,
        "title": _TITLE,
        "anyOf": [{"$ref": place} for place in places.values()],
        "$defs": {each.name: message_schema(each, at=places[each.name]) for each in types},
    }


def _openapi(types: Sequence[KnownEventType]) -> dict[str, Any]:
    places = {each.name: f"#/components/schemas/{_pointer(each.name)}" for each in types}
    return {
        "openapi": "3.1.0",
        "info": {"title": _TITLE, "version": "1"},
        "webhooks": {each.name: {"post": _operation(each, places[each.name])} for each in types},
        "components": {"schemas": {each.name: message_schema(each, at=places[each.name]) for each in types}},
    }


def _operation(known: KnownEventType, place: str) -> dict[str, Any]:
    return {
        "operationId": known.name,
        "summary": known.draft.description or known.name,
        "deprecated": known.draft.is_deprecated,
        "requestBody": {"required": True, "content": {"application/json": {"schema": {"$ref": place}}}},
        "responses": {"2XX": {"description": "Taken. Anything else is tried again."}},
    }


def _asyncapi(types: Sequence[KnownEventType]) -> dict[str, Any]:
    messages = {
        each.name: {
            "name": each.name,
            "summary": each.draft.description or each.name,
            "contentType": "application/json",
            "payload": message_schema(each, at=f"#/components/messages/{_pointer(each.name)}/payload"),
        }
        for each in types
    }
    references = {name: {"$ref": f"#/components/messages/{_pointer(name)}"} for name in messages}
    return {
        "asyncapi": "3.0.0",
        "info": {"title": _TITLE, "version": "1"},
        "defaultContentType": "application/json",
        "channels": {"webhooks": {"address": "/", "messages": references}},
        "operations": {"deliver": {"action": "send", "channel": {"$ref": "#/channels/webhooks"}}},
        "components": {"messages": messages},
    }


def _pointer(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
