"""JSON Schemas as TypeScript types. What TypeScript cannot say becomes `unknown`, never something narrower. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_WORD = re.compile(r"[A-Za-z0-9]+")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_DEFINITION = re.compile(r"#/(?:\$defs|definitions)/(?P<name>[^/]+)\Z")
_PLAIN = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean", "null": "null"}
_DEPTH_LIMIT = 64

Listed = tuple[str, str, Any]
"""Name, description and schema of one event type."""


def typescript(types: Sequence[Listed]) -> str:
    """Give one module: a type for each event type's data, and `WebhookMessage`, told apart by its field `type`."""
    names = _type_names([name for name, _, _ in types])
    parts = ["// Made from the event types. Do not change it by hand.\n"]
    parts += [_declared(names[name], description, schema) for name, description, schema in types]
    members = [f"  | {{ type: {json.dumps(name)}; timestamp: string; data: {names[name]} }}" for name, _, _ in types]
    parts.append("export type WebhookMessage =\n" + ("\n".join(members) or "  never") + ";\n")
    return "\n".join(parts)


def type_of(schema: Any, *, root: str = "", depth: int = 0) -> str:
    """Give the TypeScript type of a schema; `root` is the name of the type whose definitions it may refer to."""
    if not isinstance(schema, Mapping) or depth > _DEPTH_LIMIT:
        return "never" if schema is False else "unknown"
    if isinstance(schema.get("$ref"), str):
        return _referred(schema["$ref"], root)
    if "const" in schema:
        return _literal(schema["const"])
    if isinstance(schema.get("enum"), list):
        return _union([_literal(value) for value in schema["enum"]])
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list):
            return _union([type_of(each, root=root, depth=depth + 1) for each in schema[word]])
    if isinstance(schema.get("allOf"), list):
        return _all_of(schema, root, depth)
    return _by_kind(schema, root, depth)


def _by_kind(schema: Mapping[str, Any], root: str, depth: int) -> str:
    kinds = schema.get("type")
    if isinstance(kinds, list):
        return _union([_by_kind({**schema, "type": kind}, root, depth) for kind in kinds])
    if kinds == "array":
        return _array(schema, root, depth)
    if kinds == "object" or (kinds is None and "properties" in schema):
        return _object(schema, root, depth)
    return _PLAIN.get(kinds, "unknown") if isinstance(kinds, str) else "unknown"


def _object(schema: Mapping[str, Any], root: str, depth: int) -> str:
    properties = schema.get("properties")
    fields = properties if isinstance(properties, Mapping) else {}
    wanted = schema.get("required")
    required = set(map(str, wanted)) if isinstance(wanted, list) else set()
    lines = [
        f"{_key(name)}{'' if name in required else '?'}: {type_of(each, root=root, depth=depth + 1)}"
        for name, each in fields.items()
    ]
    rest = True if "patternProperties" in schema else schema.get("additionalProperties", True)
    if rest is not False:
        # Beside named fields an index signature must take what these hold, and only `unknown` takes everything.
        lines.append(f"[key: string]: {'unknown' if fields else type_of(rest, root=root, depth=depth + 1)}")
    return "{ " + "; ".join(lines) + " }" if lines else "Record<string, never>"


def _array(schema: Mapping[str, Any], root: str, depth: int) -> str:
    items = schema.get("items", True)
    return (
        "unknown[]"
        if isinstance(items, list) or "prefixItems" in schema
        else f"Array<{type_of(items, root=root, depth=depth + 1)}>"
    )


def _all_of(schema: Mapping[str, Any], root: str, depth: int) -> str:
    own = {key: value for key, value in schema.items() if key != "allOf"}
    parts = [*schema["allOf"], *([own] if "type" in own or "properties" in own else [])]
    return " & ".join(f"({type_of(each, root=root, depth=depth + 1)})" for each in parts) or "unknown"


def _declared(name: str, description: str, schema: Any) -> str:
    """Give one event type: its definitions under names of their own, then itself."""
    parts = [
        f"export type {_definition_name(name, each)} = {type_of(inner, root=name)};\n"
        for each, inner in _definitions(schema).items()
    ]
    comment = f"/** {' '.join(description.replace('*/', '* /').split())} */\n" if description.strip() else ""
    return "\n".join([*parts, f"{comment}export type {name} = {type_of(schema, root=name)};\n"])


def _definitions(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, Mapping):
        return {}
    listed = (schema.get(word) for word in ("$defs", "definitions"))
    return {str(key): value for found in listed if isinstance(found, Mapping) for key, value in found.items()}


def _referred(reference: str, root: str) -> str:
    if reference == "#" and root:
        return root
    found = _DEFINITION.match(reference)
    return _definition_name(root, found["name"].replace("~1", "/").replace("~0", "~")) if found and root else "unknown"


def _definition_name(root: str, name: str) -> str:
    # The length keeps `a.b` and `a_b` apart from `ab`; a collision would only be a compiler's error, not a wrong type.
    return f"{root}_{'_'.join(_WORD.findall(name)) or 'unnamed'}"


def _type_names(names: Sequence[str]) -> dict[str, str]:
    """Give each event type a name of its own: `OrdersConfirmed`, and where two would be alike a number more."""
    given: dict[str, str] = {}
    for name in names:
        word = "".join(part[:1].upper() + part[1:] for part in _WORD.findall(name)) or "Unnamed"
        word = word if not word[0].isdigit() else f"_{word}"
        taken = {*given.values(), "WebhookMessage"}
        given[name] = next(
            each for each in (word, *(f"{word}_{n}" for n in range(2, len(names) + 3))) if each not in taken
        )
    return given


def _literal(value: Any) -> str:
    return json.dumps(value) if value is None or isinstance(value, str | bool | int | float) else "unknown"


def _union(parts: Sequence[str]) -> str:
    return " | ".join(dict.fromkeys(parts)) or "never"


def _key(name: str) -> str:
    return name if _IDENTIFIER.match(name) else json.dumps(name)
