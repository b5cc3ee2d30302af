"""Why a condition did not hold: which clause, where in the tree, and what it saw."""

from typing import Any

import msgspec

from rowcast.core.codec import encode_json
from rowcast.core.errors import InvalidInputError
from rowcast.router.coercion import is_true
from rowcast.router.condition import Node

MISSES_LIMIT = 8
_EXCERPT_CHARS = 120
_KINDS = {bool: "boolean", int: "number", float: "number", str: "text", type(None): "null"}


class Seen(msgspec.Struct, frozen=True):
    """One operand as the clause saw it: the field it was read from (empty for anything else) and its kind or value."""

    field: str
    value: str


class Miss(msgspec.Struct, frozen=True):
    """One clause that did not hold. `path` is its place in the tree, as a JSON pointer."""

    path: str
    operator: str
    seen: tuple[Seen, ...]


def find_misses(condition: Node, event: Any, *, reveal: bool = False) -> tuple[Miss, ...]:
    """Give the clauses for which a condition does not hold; empty when it holds.

    Args:
        condition: Its compiled form.
        event: What it is evaluated on.
        reveal: Show values, cut to 120 characters, and not only their kinds: they may be personal data.
    """
    if is_true(condition.run(event, event)):
        return ()
    return tuple(_leaf_miss(node, event, reveal) for node in _failing(condition, event)[:MISSES_LIMIT])


def _failing(node: Node, event: Any) -> list[Node]:
    if node.operator == "and":
        return _failing(next(item for item in node.operands if not is_true(item.run(event, event))), event)
    if node.operator == "or":
        return [leaf for item in node.operands for leaf in _failing(item, event)]
    return [node]


def _leaf_miss(node: Node, event: Any, reveal: bool) -> Miss:
    # What an iterator's second operand sees is one element, not the event: only its list is shown.
    shown = node.operands[:1] if node.operator in ("some", "all", "none") else node.operands
    if node.operator == "var":
        return Miss(node.path, node.operator, (_seen(node, event, reveal),))
    return Miss(node.path, node.operator, tuple(_seen(item, event, reveal) for item in shown))


def _seen(node: Node, event: Any, reveal: bool) -> Seen:
    name = str(node.operands[0].literal) if node.operator == "var" and node.operands else ""
    value = node.run(event, event)
    # A literal is the rule's own text, not the event's.
    return Seen(name, _excerpt(value) if reveal or node.is_literal else describe(value))


def describe(value: Any) -> str:
    """Give the kind of a JSON value and the size of a list, but nothing of its content."""
    if isinstance(value, list):
        return f"list of {len(value)}"
    return _KINDS.get(type(value), "object")


def _excerpt(value: Any) -> str:
    try:
        return encode_json(value).decode()[:_EXCERPT_CHARS]
    except InvalidInputError:
        return describe(value)
