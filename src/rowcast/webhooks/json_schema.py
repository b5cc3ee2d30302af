"""JSON Schemas of event types: which may be kept, and whether a payload fits. Nothing is ever fetched. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema_rs

from rowcast.core.codec import encode_json
from rowcast.core.errors import InvalidFieldError, InvalidInputError
from rowcast.webhooks.schema_cost import is_too_costly

SCHEMA_LIMIT_BYTES = 65_536
VERSIONS_LIMIT = 50
DEPTH_LIMIT = 64
_REFERENCES = frozenset({"$ref", "$dynamicRef", "$recursiveRef"})
_PLACE = ("body", "schemas")
_DEFAULT = jsonschema_rs.Draft7Validator
_Required = jsonschema_rs.ValidationErrorKind.Required

Schemas = Mapping[str, Any]
"""A JSON Schema by version, as the webhook API has them: `{"1": {...}}`."""


def checked_schemas(schemas: Schemas) -> Schemas:
    """Give schemas back if each can be used.

    Raises:
        InvalidFieldError: `input.field`, for a version that is no number, for what is no JSON Schema, for one that is
            too large or too deep, or that leads out of itself.
    """
    if len(schemas) > VERSIONS_LIMIT:
        raise InvalidFieldError(f"An event type has at most {VERSIONS_LIMIT} versions.", place=_PLACE)
    for version, schema in schemas.items():
        if not (version.isascii() and version.isdigit() and len(version) < 7):
            raise InvalidFieldError("A version of a schema is a number, such as '1'.", place=_PLACE)
        _check_schema(schema, (*_PLACE, version))
    return schemas


def newest_schema(schemas: Schemas | None) -> tuple[str, Any] | None:
    """Give the highest version and its schema, or None where there is none."""
    if not schemas:
        return None
    version = max(schemas, key=int)
    return version, schemas[version]


def schema_validator(schema: Any) -> jsonschema_rs.Validator:
    """Give what checks values: by the draft that `$schema` names, otherwise by draft 7.

    Patterns are matched in time that grows with the text only, and a reference that leads out is a fault.

    Raises:
        ValueError: The schema is none, or leads out of itself.
    """
    options: dict[str, Any] = {"offline": True, "pattern_options": jsonschema_rs.RegexOptions()}
    if isinstance(schema, dict) and "$schema" in schema:
        return jsonschema_rs.validator_for(schema, **options)
    return _DEFAULT(schema, **options)


def check_value(validator: jsonschema_rs.Validator, value: Any, *, name: str) -> None:
    """Refuse a payload that does not fit the schema of its type.

    Raises:
        InvalidInputError: `input.payload`, with the place of the first thing that does not fit, never its value.
    """
    error = next(iter(validator.iter_errors(value)), None)
    if error is not None:
        place = "/".join(str(step) for step in error.instance_path)
        rule = str(error.schema_path[-1]) if error.schema_path else "false"
        which = f" of {error.kind.property!r}" if isinstance(error.kind, _Required) else ""
        raise InvalidInputError(
            f"The payload does not fit the schema of {name}: at '/{place}' it breaks '{rule}'{which}.",
            code="input.payload",
        )


def _check_schema(schema: Any, place: tuple[str, ...]) -> None:
    for depth, reference in _references(schema):
        if depth > DEPTH_LIMIT:
            raise InvalidFieldError(f"A schema is nested at most {DEPTH_LIMIT} deep.", place=place)
        if not reference.startswith("#"):
            raise InvalidFieldError("A reference of a schema begins with '#': nothing is fetched.", place=place)
    if len(encode_json(schema)) > SCHEMA_LIMIT_BYTES:
        raise InvalidFieldError(f"A schema has at most {SCHEMA_LIMIT_BYTES} bytes.", place=place)
    try:
        if is_too_costly(schema):
            raise InvalidFieldError(
                "A schema holds a value against 10,000 parts of itself at most: its references double.", place=place
            )
        schema_validator(schema)
    except (ValueError, RecursionError) as error:
        sentence = str(error).partition("\n")[0][:300]
        raise InvalidFieldError(f"This is no JSON Schema: {sentence}.", place=place) from error


def _references(schema: Any) -> Iterator[tuple[int, str]]:
    """Give each reference with its depth; what is too deep is given as a reference, and nothing below it."""
    waiting = [(schema, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > DEPTH_LIMIT:
            yield depth, "#"
            return
        if isinstance(value, Mapping):
            yield from ((depth, text) for key, text in value.items() if key in _REFERENCES and isinstance(text, str))
            waiting += [(inner, depth + 1) for inner in value.values()]
        elif isinstance(value, list):
            waiting += [(inner, depth + 1) for inner in value]
