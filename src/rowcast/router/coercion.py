"""Truth, loose equality and order of JSON values, as JavaScript has them and JSONLogic's public cases want them.

Nothing here raises, whatever the values are. Two places differ from JavaScript on purpose: null (and so an absent
field) is neither less nor greater than anything, and two lists or two objects are equal when their contents are.
"""

import math
import re
from typing import Any

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|Infinity)\Z", re.ASCII)
_PREFIXED = re.compile(r"0([xX][0-9a-fA-F]+|[oO][0-7]+|[bB][01]+)\Z")
_NUMBERS = (int, float)
# Past this many characters a number is no number: int("9" * 100_000) would cost a second.
_NUMBER_LIMIT_CHARS = 400
_NESTING_LIMIT = 16


def is_true(value: Any) -> bool:
    """Tell whether a value counts as true: all do but false, null, 0, the empty text and the empty list."""
    return type(value) is dict or bool(value)


def is_equal(left: Any, right: Any) -> bool:
    """Tell whether two values are loosely equal: 1 and "1" are, null and 0 are not."""
    if type(left) is type(right):
        return _is_same(left, right)
    if left is None or right is None or (_is_container(left) and _is_container(right)):
        return False
    left, right = _primitive(left), _primitive(right)
    if type(left) is str and type(right) is str:
        return left == right
    return bool(_number(left) == _number(right))


def is_identical(left: Any, right: Any) -> bool:
    """Tell whether two values are equal without changing their kind; 1 and 1.0 are one number, true is none."""
    if type(left) is type(right):
        return _is_same(left, right)
    return type(left) in _NUMBERS and type(right) in _NUMBERS and bool(left == right)


def is_less(left: Any, right: Any) -> bool:
    """Tell whether `left` is below `right`: texts by character, everything else as numbers, null never."""
    pair = _comparable(left, right)
    return pair is not None and bool(pair[0] < pair[1])


def is_at_most(left: Any, right: Any) -> bool:
    """Tell whether `left` is below or level with `right`."""
    pair = _comparable(left, right)
    return pair is not None and bool(pair[0] <= pair[1])


def _comparable(left: Any, right: Any) -> tuple[Any, Any] | None:
    if left is None or right is None:
        return None
    left, right = _primitive(left), _primitive(right)
    if type(left) is str and type(right) is str:
        return left, right
    return _number(left), _number(right)


def _is_same(left: Any, right: Any) -> bool:
    try:
        return bool(left == right)
    except RecursionError:
        return False


def _is_container(value: Any) -> bool:
    return type(value) is list or type(value) is dict


def _primitive(value: Any) -> Any:
    return _text(value) if _is_container(value) else value


def _number(value: Any) -> float | int:
    if type(value) is not str:
        return value if isinstance(value, _NUMBERS) else math.nan
    text = value.strip()
    if not text:
        return 0
    if len(text) > _NUMBER_LIMIT_CHARS:
        return math.nan
    if _PREFIXED.match(text):
        return int(text, 0)
    return float(text.replace("Infinity", "inf")) if _NUMBER.match(text) else math.nan


def _text(value: Any, nesting: int = 0) -> str:
    """Give what JavaScript's String() gives; lists inside lists beyond a depth count as empty."""
    if type(value) is str:
        return value
    if type(value) is dict:
        return "[object Object]"
    if type(value) is list:
        return ",".join(_text(item, nesting + 1) for item in value) if nesting < _NESTING_LIMIT else ""
    return _scalar_text(value)


def _scalar_text(value: Any) -> str:
    if value is None:
        return ""
    if type(value) is bool:
        return "true" if value else "false"
    return str(int(value)) if type(value) is float and value.is_integer() and abs(value) < 1e21 else str(value)
