"""Conditions on column values, decided in memory exactly as PostgreSQL would, or handed back to be asked there. Pure.

A test gives True or False (SQL's null is False: nothing is delivered then), or None where only the database can tell.
"""

import re
from collections.abc import Callable, Hashable
from decimal import Decimal, InvalidOperation
from operator import ge, gt, le, lt
from typing import Any

import re2

from rowcast.realtime.change_filter import Condition
from rowcast.realtime.change_types import Collation, ColumnType

Test = Callable[[bytes | None], bool | None]
Key = Callable[[bytes], Hashable]
Order = Callable[[bytes], Any]

_SAME_TEXT = frozenset("int2 int4 int8 oid uuid bool date time timestamp timestamptz bytea".split())
_EQUAL_BY_TEXT = frozenset({"text", "varchar", "name"})
_PLAIN_TIME = re.compile(rb"(\d{4}-\d\d-\d\d)?[ ]?(\d\d:\d\d:\d\d(\.\d+)?)?(\+00)?\Z")
_NOT_A_NUMBER = (1, 0)
_ORDERS = {"lt": lt, "lte": le, "gt": gt, "gte": ge}
_WILDCARDS = {"%": "(?s:.*)", "_": "(?s:.)"}


def equality_key(kind: ColumnType, collation: Collation) -> Key | None:
    """Give what makes two texts of a type equal exactly when the values are, or None where only the database knows."""
    base = kind.base
    if kind.family == "enum" or (kind.family == "base" and base in _SAME_TEXT):
        return _itself
    if kind.family == "array":
        element = kind.element
        is_exact = element is not None and element.family in {"base", "enum"}
        is_plain = is_exact and equality_key(element, collation) is _itself  # type: ignore[arg-type]
        return _itself if is_plain else None
    if kind.family != "base":
        return None
    if base in _EQUAL_BY_TEXT:
        return _itself if collation.is_deterministic else None
    if base == "bpchar":
        return _without_padding if collation.is_deterministic else None
    return _number if base in {"numeric", "float4", "float8"} else None


def order_key(kind: ColumnType, collation: Collation) -> Order | None:
    """Give what orders two texts of a type as PostgreSQL orders the values; the key of a single value may be None."""
    base = kind.base
    if kind.family != "base":
        return None
    if base in {"int2", "int4", "int8", "oid"}:
        return int
    if base in {"numeric", "float4", "float8"}:
        return _number
    if base in {"bool", "uuid", "bytea"} or (base in _EQUAL_BY_TEXT and collation.is_bytewise):
        return _itself
    return _time if base in {"date", "time", "timestamp", "timestamptz"} else None


def make_test(condition: Condition, literals: tuple[str, ...], kind: ColumnType, collation: Collation) -> Test:
    """Give the test of one condition. `literals` are its operands as PostgreSQL writes them."""
    operator = condition.operator
    if operator == "in" and not literals:
        # Nothing is in an empty list, null neither.
        return lambda _: condition.is_negated
    if operator == "is":
        return _negatable(_is(literals[0]), condition.is_negated, null=None)
    if operator in {"like", "ilike"}:
        test = _like(literals[0], kind, collation, is_folding=operator == "ilike")
    elif operator in _ORDERS:
        test = _ordered(operator, literals[0].encode(), order_key(kind, collation))
    elif operator in {"match", "imatch"}:
        test = _ask
    else:
        test = _equal(operator, [each.encode() for each in literals], equality_key(kind, collation))
    return _negatable(test, condition.is_negated, null=operator == "isdistinct")


def _negatable(test: Test, is_negated: bool, *, null: bool | None) -> Test:
    """Give the test with what null means to it: `null` is the answer before the negation, False for SQL's null."""
    if null is None:
        return (lambda cell: not test(cell)) if is_negated else test
    answer_for_null = null and not is_negated

    def negatable(cell: bytes | None) -> bool | None:
        if cell is None:
            return answer_for_null
        found = test(cell)
        return not found if is_negated and found is not None else found

    return negatable


def _is(word: str) -> Test:
    if word in {"null", "unknown"}:
        return lambda cell: cell is None
    wanted = b"t" if word == "true" else b"f"
    return lambda cell: cell == wanted


def _ask(_: bytes | None) -> None:
    return None


def _equal(operator: str, literals: list[bytes], key: Key | None) -> Test:
    if key is None:
        return _ask
    wanted = frozenset(key(each) for each in literals)
    if operator in {"neq", "isdistinct"}:
        return lambda cell: key(cell) not in wanted  # type: ignore[arg-type]
    return lambda cell: key(cell) in wanted  # type: ignore[arg-type]


def _ordered(operator: str, literal: bytes, key: Order | None) -> Test:
    compare = _ORDERS[operator]
    bound = key(literal) if key is not None else None
    if key is None or bound is None:
        return _ask

    def ordered(cell: bytes | None) -> bool | None:
        found = key(cell)  # type: ignore[arg-type]
        return None if found is None else compare(found, bound)

    return ordered


def _like(pattern: str, kind: ColumnType, collation: Collation, *, is_folding: bool) -> Test:
    is_decidable = kind.family == "base" and kind.base in {"text", "varchar"} and collation.is_deterministic
    if not is_decidable or (is_folding and not (pattern.isascii() and collation.folds_ascii)):
        return _ask
    try:
        compiled = re2.compile(("(?i)" if is_folding else "") + like_expression(pattern))
    except re2.error:
        return _ask

    def like(cell: bytes | None) -> bool | None:
        text = cell.decode()  # type: ignore[union-attr]
        return None if is_folding and not text.isascii() else compiled.fullmatch(text) is not None

    return like


def like_expression(pattern: str) -> str:
    """Give the regular expression that says the same as a LIKE pattern."""
    words: list[str] = []
    signs = iter(pattern)
    for sign in signs:
        found = _WILDCARDS.get(sign)
        words.append(found or re2.escape(next(signs, "") if sign == "\\" else sign))
    return "".join(words)


def _itself(text: bytes) -> bytes:
    return text


def _without_padding(text: bytes) -> bytes:
    return text.rstrip(b" ")


def _number(text: bytes) -> tuple[int, Decimal | int] | None:
    """Give a number; what is none is greater than every number and equal to itself."""
    if text == b"NaN":
        return _NOT_A_NUMBER
    try:
        return 0, Decimal(text.decode())
    except InvalidOperation:
        return None


def _time(text: bytes) -> bytes | None:
    """Give a moment between the years 1 and 9999 as text that sorts like it."""
    return text if _PLAIN_TIME.match(text) else None
