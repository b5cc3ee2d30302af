"""Filters of the REST shim: `id=eq.7` and `id=in.(1,2)`. Pure."""

import re
from collections.abc import Iterable, Sequence

import msgspec

from rowcast.core.errors import InvalidInputError

# What a query says beside filters.
_OTHER = frozenset({"select", "columns", "order", "limit", "offset", "on_conflict"})
_ITEM = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([^",]*))\s*(?:,|\Z)')
_ESCAPED = re.compile(r"\\(.)")


class Filter(msgspec.Struct, frozen=True):
    """One condition: the column has one of these values."""

    column: str
    values: tuple[str, ...]


def parse_filters(query: Iterable[tuple[str, str]]) -> Sequence[Filter]:
    """Give the filters of a query string's pairs.

    Raises:
        InvalidInputError: `input.filter`, for an operator that the shim does not know.
    """
    return [_filter(column, text) for column, text in query if column not in _OTHER]


def chosen_columns(select: str) -> frozenset[str] | None:
    """Give the columns that `select` names, or None for all of them."""
    names = frozenset(name.strip().strip('"') for name in select.split(",") if name.strip())
    return None if not names or "*" in names else names


def _filter(column: str, text: str) -> Filter:
    operator, _, value = text.partition(".")
    if operator == "eq":
        return Filter(column, (value,))
    if operator == "in" and value.startswith("(") and value.endswith(")"):
        return Filter(column, _items(value[1:-1]))
    raise InvalidInputError(
        f"The filter {column[:60]}={text[:60]} is not known here: the shim takes eq.value and in.(a,b).",
        code="input.filter",
    )


def _items(text: str) -> tuple[str, ...]:
    found: list[str] = []
    position = 0
    while position < len(text):
        item = _ITEM.match(text, position)
        if item is None:
            raise InvalidInputError(f"The list ({text[:60]}) cannot be read.", code="input.filter")
        quoted, plain = item.groups()
        found.append(plain.strip() if quoted is None else _ESCAPED.sub(r"\1", quoted))
        position = item.end()
    return tuple(found)
