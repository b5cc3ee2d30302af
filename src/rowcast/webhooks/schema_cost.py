"""How often a JSON Schema looks at one place of a value: what doubles itself again and again would never end. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

COST_LIMIT = 10_000
_IN_PLACE = ("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "dependencies")
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
_ANCHORS = ("$anchor", "$dynamicAnchor", "$id", "id")
_NOTHING: Mapping[str, Any] = {}


def is_too_costly(schema: Any) -> bool:
    """Tell whether some part of a schema holds one place of a value against more than 10,000 subschemas.

    References count as what they lead to, as often as they are followed. One that leads to where it began counts once:
    validators know those. The schema must be no deeper than `json_schema.DEPTH_LIMIT`.

    Raises:
        RecursionError: References lead on and on.
    """
    nodes = list(_nodes(schema))
    counting = _Counting(schema, _anchors(nodes))
    return any(counting.cost(node) > COST_LIMIT for node in nodes)


class _Counting:
    """Counts each part once."""

    def __init__(self, root: Any, anchors: Mapping[str, Any]) -> None:
        self._root = root
        self._anchors = anchors
        self._known: dict[int, int] = {}

    def cost(self, node: Any) -> int:
        if not isinstance(node, Mapping):
            return 1
        if id(node) not in self._known:
            self._known[id(node)] = 1  # what leads back here while it is counted
            cost = 1 + sum(self.cost(each) for each in self._applied(node))
            self._known[id(node)] = min(cost, COST_LIMIT + 1)
        return self._known[id(node)]

    def _applied(self, node: Mapping[str, Any]) -> Iterator[Any]:
        """Give the parts that the same place of a value is held against."""
        for word in _IN_PLACE:
            value = node.get(word)
            if isinstance(value, list):
                yield from value
            elif word.startswith("depend") and isinstance(value, Mapping):
                yield from value.values()
            elif value is not None:
                yield value
        for word in _REFERENCES:
            if isinstance(node.get(word), str):
                yield self._found(node[word].removeprefix("#"))

    def _found(self, pointer: str) -> Any:
        if pointer and not pointer.startswith("/"):
            return self._anchors.get(pointer, _NOTHING)
        found = self._root
        for step in unquote(pointer).split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                found = found.get(name, _NOTHING) if isinstance(found, Mapping) else _NOTHING
        return found


def _nodes(schema: Any) -> Iterator[Mapping[str, Any]]:
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            yield value
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value


def _anchors(nodes: list[Mapping[str, Any]]) -> dict[str, Any]:
    named = ((node[word], node) for node in nodes for word in _ANCHORS if isinstance(node.get(word), str))
    return {name.removeprefix("#"): node for name, node in named}
