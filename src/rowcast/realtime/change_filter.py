"""The filter of a `postgres_changes` binding, read: conditions that must all hold. Pure."""

import re
from typing import Final

import msgspec

from rowcast.core.codec import encode_json

COMPARISONS: Final = frozenset({"eq", "neq", "lt", "lte", "gt", "gte", "isdistinct"})
PATTERNS: Final = frozenset({"like", "ilike", "match", "imatch"})
OPERATORS: Final = COMPARISONS | PATTERNS | {"in", "is"}
IN_LIMIT = 100
_IS_VALUES: Final = frozenset({"null", "true", "false", "unknown"})
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_PREFIX = "Error parsing `filter` params: "


class Condition(msgspec.Struct, frozen=True):
    """One condition. `operands` are its values as the client wrote them, without quotes."""

    column: str
    operator: str
    operands: tuple[str, ...]
    is_negated: bool = False


class FilterFault(msgspec.Struct, frozen=True):
    """Why a filter cannot be used, in the words that clients know."""

    text: str


Conditions = tuple[Condition, ...]


def parse_filter(text: str | None) -> Conditions | FilterFault:
    """Give the conditions of a filter; none for an empty text."""
    if text is None or not text.strip():
        return ()
    conditions: list[Condition] = []
    for segment in split_top_level(text):
        if not segment.strip():
            return FilterFault(_PREFIX + "filter must not contain empty segments (check for extra commas)")
        condition = _parse_condition(segment.strip())
        if isinstance(condition, FilterFault):
            return condition
        conditions.append(condition)
    return tuple(conditions)


def check_condition(condition: Condition, *, type_name: str, is_boolean: bool, is_text: bool) -> FilterFault | None:
    """Give what is wrong with a condition on a column of this type, apart from its literals."""
    operator, operands = condition.operator, condition.operands
    if operator == "in" and len(operands) > IN_LIMIT:
        return FilterFault(f"too many values for `in` filter. Maximum {IN_LIMIT}")
    if operator == "is" and (operands[0] not in _IS_VALUES or (operands[0] != "null" and not is_boolean)):
        return FilterFault(f"invalid value for is filter: {operands[0]}")
    if operator in PATTERNS and not is_text:
        return FilterFault(f"operator {operator} requires a text-compatible column type, got {type_name}")
    if operator in {"like", "ilike"} and _ends_with_escape(operands[0]):
        return FilterFault("LIKE pattern must not end with escape character")
    return None


def inspect_words(words: list[str]) -> str:
    """Give a list of texts as the stock server prints one: `["foo", "hey"]`."""
    return "[" + ", ".join(encode_json(word).decode() for word in words) + "]"


def split_top_level(text: str) -> list[str]:
    """Split at commas that stand neither in quotes nor in parentheses. A quote counts after `.`, `(` or `,` only."""
    pieces, begin, depth, at = [], 0, 0, 0
    while at < len(text):
        sign = text[at]
        if sign == '"' and (at == 0 or text[at - 1] in ".(,"):
            at = _end_of_quote(text, at)
            continue
        if sign == "," and depth == 0:
            pieces.append(text[begin:at])
            begin = at + 1
        depth += (sign == "(") - (sign == ")" and depth > 0)
        at += 1
    return [*pieces, text[begin:]]


def _end_of_quote(text: str, begin: int) -> int:
    """Give the place behind a quoted text; the end of all where it is not closed."""
    at = begin + 1
    while at < len(text) and text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    return min(at + 1, len(text))


def _parse_condition(segment: str) -> Condition | FilterFault:
    column, equals, rest = segment.partition("=")
    if not equals:
        return FilterFault(_PREFIX + inspect_words([segment]))
    is_negated = rest.startswith("not.")
    operator, dot, value = rest.removeprefix("not.").partition(".")
    if not dot:
        return FilterFault(_PREFIX + inspect_words([operator]))
    if operator not in OPERATORS:
        return FilterFault(_PREFIX + inspect_words([operator, value]))
    if operator == "in":
        if not (value.startswith("(") and value.endswith(")") and len(value) > 1):
            return FilterFault(_PREFIX + "`in` filter value must be wrapped by parentheses")
        return Condition(column, operator, _list_values(value[1:-1]), is_negated)
    return Condition(column, operator, (_unquoted(value) if operator != "is" else value.lower(),), is_negated)


def _list_values(text: str) -> tuple[str, ...]:
    # The comma before a value is what makes its quote count, so the list is read with one in front.
    return tuple(_unquoted(piece.strip()) for piece in split_top_level("," + text)[1:]) if text.strip() else ()


def _unquoted(value: str) -> str:
    if len(value) > 1 and value[0] == '"' and _end_of_quote(value, 0) == len(value) and value[-1] == '"':
        return _ESCAPE.sub(r"\1", value[1:-1])
    return value


def _ends_with_escape(pattern: str) -> bool:
    return (len(pattern) - len(pattern.rstrip("\\"))) % 2 == 1
