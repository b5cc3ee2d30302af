"""An example payload, made of a JSON Schema: for a person who wants to see a message before there is one. Pure.

What the schema gives as an example is taken; otherwise something of the right shape is made, required fields and
others alike. It need not be true: whoever receives it sees that it is an example.
"""

from collections.abc import Mapping
from typing import Any

SMALL: Mapping[str, Any] = {"example": True}
"""What is sent where nothing is known of a type."""
_DEPTH_LIMIT = 8
_VALUES_LIMIT = 500
_TEXT_LIMIT_CHARS = 1000
_FORMATS = {
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "email": "person@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def example_payload(schema: Any, *, index: int = 0) -> dict[str, Any]:
    """Give an example of what a schema describes; a small object where it describes none.

    Args:
        schema: A JSON Schema, or None.
        index: Which of the schema's own examples; the first where there are not so many.
    """
    own = schema.get("examples") if isinstance(schema, Mapping) else None
    if isinstance(own, list) and own:
        made = own[index] if 0 <= index < len(own) else own[0]
    else:
        made = _Maker(schema).value(schema, depth=0)
    return dict(made) if isinstance(made, Mapping) else dict(SMALL)


class _Maker:
    """Follows one schema and the references inside it."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = _VALUES_LIMIT

    def value(self, schema: Any, *, depth: int) -> Any:
        self._left -= 1
        # References that double at each step would never end.
        if not isinstance(schema, Mapping) or depth > _DEPTH_LIMIT or self._left < 0:
            return None
        if "$ref" in schema:
            return self.value(self._referred(schema["$ref"]), depth=depth + 1)
        for word in ("const", "example", "default"):
            if word in schema:
                return schema[word]
        for word in ("examples", "enum"):
            if isinstance(schema.get(word), list) and schema[word]:
                return schema[word][0]
        return self._composed(schema, depth)

    def _composed(self, schema: Mapping[str, Any], depth: int) -> Any:
        parts = schema.get("allOf")
        if isinstance(parts, list) and parts:
            made = [self.value(part, depth=depth + 1) for part in (*parts, {**schema, "allOf": None})]
            objects = [each for each in made if isinstance(each, Mapping)]
            return {name: value for each in objects for name, value in each.items()} if objects else made[0]
        for word in ("oneOf", "anyOf"):
            choices = schema.get(word)
            if isinstance(choices, list) and choices and "properties" not in schema:
                return self.value(_fullest(choices), depth=depth + 1)
        return self._of_type(schema, depth)

    def _of_type(self, schema: Mapping[str, Any], depth: int) -> Any:
        match _type_of(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return _text(schema)
            case "integer" | "number" as kind:
                return _number(schema, is_whole=kind == "integer")
            case "boolean":
                return True
        return None

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        fields = schema.get("properties")
        listed = fields.items() if isinstance(fields, Mapping) else ()
        return {name: self.value(field, depth=depth + 1) for name, field in listed if self._left > 0}

    def _array(self, schema: Mapping[str, Any], depth: int) -> list[Any]:
        items = schema.get("items", schema.get("prefixItems"))
        if isinstance(items, list):
            return [self.value(item, depth=depth + 1) for item in items if self._left > 0]
        return [self.value(items, depth=depth + 1)] if isinstance(items, Mapping) else []

    def _referred(self, reference: Any) -> Any:
        """Follow a reference inside the schema; what leads elsewhere leads nowhere."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return None
        found = self._root
        for step in reference.removeprefix("#").split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(found, Mapping):
                return None
            found = found.get(name)
        return found


def _fullest(choices: list[Any]) -> Any:
    """Give the first choice that is not only null."""
    return next((each for each in choices if not isinstance(each, Mapping) or each.get("type") != "null"), choices[0])


def _type_of(schema: Mapping[str, Any]) -> Any:
    named = schema.get("type")
    if isinstance(named, list):
        return next((each for each in named if each != "null"), None)
    return named or ("object" if "properties" in schema else "array" if "items" in schema else None)


def _text(schema: Mapping[str, Any]) -> str:
    text = _FORMATS.get(str(schema.get("format")), "example")
    least, most = (_count(schema, word, 0) for word in ("minLength", "maxLength"))
    longer = text.ljust(int(min(least, _TEXT_LIMIT_CHARS)), "x")
    return longer[: int(max(0, most))] if "maxLength" in schema else longer


def _number(schema: Mapping[str, Any], *, is_whole: bool) -> int | float:
    """Give 1 where that is in bounds, otherwise the bound that is nearest."""
    above, below = _count(schema, "exclusiveMinimum", None), _count(schema, "exclusiveMaximum", None)
    least = _count(schema, "minimum", None if above is None else above + 1)
    most = _count(schema, "maximum", None if below is None else below - 1)
    number = 1 if least is None else max(1, least)
    number = number if most is None else min(number, most)
    return int(number) if is_whole else number


def _count(schema: Mapping[str, Any], word: str, otherwise: float | None) -> Any:
    value = schema.get(word)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise
