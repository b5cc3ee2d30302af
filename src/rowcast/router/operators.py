"""The operators that a condition may use, each built into one closure. Common shapes get a shorter closure."""

from collections.abc import Callable
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import re2

from rowcast.router.coercion import is_at_most, is_equal, is_identical, is_less, is_true
from rowcast.router.condition import NODES_LIMIT, Compiler, Node, Operator, Run, refuse
from rowcast.router.moments import is_day, is_on_day, is_within, parse_duration_s
from rowcast.router.reading import read_field, reader

REGEX_LIMIT_CHARS = 256
_REGEX_MEMORY_BYTES = 1 << 20
_ANY_NUMBER = NODES_LIMIT

Compare = Callable[[Any, Any], bool]


def compile_condition(tree: Any) -> Node:
    """Give the compiled form of a condition.

    Raises:
        InvalidInputError: `input.condition`, naming the place in the tree and the limit or the rule it breaks.
    """
    return Compiler(_OPERATORS).compile(tree)


def _and(path: str, operands: tuple[Node, ...]) -> Run:
    runs = tuple(operand.run for operand in operands)

    def run(scope: Any, event: Any) -> Any:
        value = None
        for each in runs:
            value = each(scope, event)
            if value is not True and not is_true(value):
                return value
        return value

    return run


def _or(path: str, operands: tuple[Node, ...]) -> Run:
    runs = tuple(operand.run for operand in operands)

    def run(scope: Any, event: Any) -> Any:
        value = None
        for each in runs:
            value = each(scope, event)
            if value is True or (value is not False and is_true(value)):
                return value
        return value

    return run


def _not(path: str, operands: tuple[Node, ...]) -> Run:
    operand = operands[0].run
    return lambda scope, event: not is_true(operand(scope, event))


def _equal(path: str, operands: tuple[Node, ...]) -> Run:
    left, right = operands[0].run, operands[1].run
    literal = operands[1].literal
    if type(literal) is str:
        return lambda scope, event: (
            value == literal if type(value := left(scope, event)) is str else is_equal(value, literal)
        )
    return lambda scope, event: is_equal(left(scope, event), right(scope, event))


def _unequal(path: str, operands: tuple[Node, ...]) -> Run:
    equal = _equal(path, operands)
    return lambda scope, event: not equal(scope, event)


def _ordered(compare: Compare, path: str, operands: tuple[Node, ...]) -> Run:
    if len(operands) == 3:
        return _between(compare, operands)
    left, right = operands[0].run, operands[1].run
    return lambda scope, event: compare(left(scope, event), right(scope, event))


def _between(compare: Compare, operands: tuple[Node, ...]) -> Run:
    left, middle, right = (operand.run for operand in operands)

    def run(scope: Any, event: Any) -> bool:
        value = middle(scope, event)
        return compare(left(scope, event), value) and compare(value, right(scope, event))

    return run


def _above(compare: Compare, path: str, operands: tuple[Node, ...]) -> Run:
    return _ordered(compare, path, (operands[1], operands[0]))


def _in(path: str, operands: tuple[Node, ...]) -> Run:
    needle, haystack = operands[0].run, operands[1].run
    literal = operands[1].literal
    if type(literal) is list and literal and all(type(item) is str for item in literal):
        texts = frozenset(literal)
        return lambda scope, event: type(value := needle(scope, event)) is str and value in texts
    return lambda scope, event: _contains(haystack(scope, event), needle(scope, event))


def _contains(haystack: Any, needle: Any) -> bool:
    if type(haystack) is str:
        return type(needle) is str and needle in haystack
    return type(haystack) is list and any(is_identical(item, needle) for item in haystack)


def _var(path: str, operands: tuple[Node, ...]) -> Run:
    default = operands[1].run if len(operands) == 2 else None
    return reader(_field_name(path, operands[0] if operands else None), default)


def _field_name(path: str, operand: Node | None) -> str:
    name = operand.literal if operand is not None else None
    if name is None:
        return ""
    if type(name) not in (str, int):
        refuse(path, "the name of a field must be a text such as 'payload.status'")
    return str(name)


def _missing(path: str, operands: tuple[Node, ...]) -> Run:
    first = operands[0].literal if operands else None
    names: list[Any] = first if type(first) is list else [operand.literal for operand in operands]
    if not all(type(name) in (str, int) for name in names):
        refuse(path, "'missing' takes the names of fields as texts")
    reads = tuple((name, reader(str(name), None)) for name in names)
    return lambda scope, event: [name for name, read in reads if read(scope, event) in (None, "")]


def _some(path: str, operands: tuple[Node, ...]) -> Run:
    source, test = operands[0].run, operands[1].run

    def run(scope: Any, event: Any) -> bool:
        items = source(scope, event)
        return type(items) is list and any(is_true(test(item, event)) for item in items)

    return run


def _all(path: str, operands: tuple[Node, ...]) -> Run:
    source, test = operands[0].run, operands[1].run

    def run(scope: Any, event: Any) -> bool:
        items = source(scope, event)
        return type(items) is list and bool(items) and all(is_true(test(item, event)) for item in items)

    return run


def _none(path: str, operands: tuple[Node, ...]) -> Run:
    some = _some(path, operands)
    return lambda scope, event: not some(scope, event)


def _affix(method: Callable[[str, str], bool], path: str, operands: tuple[Node, ...]) -> Run:
    left, right = operands[0].run, operands[1].run

    def run(scope: Any, event: Any) -> bool:
        text, part = left(scope, event), right(scope, event)
        return type(text) is str and type(part) is str and method(text, part)

    return run


def _matches(path: str, operands: tuple[Node, ...]) -> Run:
    left, pattern = operands[0].run, _regex(path, operands[1].literal)

    def run(scope: Any, event: Any) -> bool:
        text = left(scope, event)
        if type(text) is not str:
            return False
        try:
            return pattern.search(text) is not None
        except UnicodeEncodeError:  # half of a surrogate pair: JSON may spell it, UTF-8 has no form for it
            return False

    return run


def _regex(path: str, pattern: Any) -> Any:
    if type(pattern) is not str:
        refuse(path, "the second operand of 'rowcast.matches' must be a regular expression, written out")
    if len(pattern) > REGEX_LIMIT_CHARS:
        refuse(path, f"a regular expression is longer than {REGEX_LIMIT_CHARS} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _REGEX_MEMORY_BYTES
    try:
        return re2.compile(pattern, options=options)
    except (re2.error, UnicodeEncodeError) as error:
        refuse(path, f"the regular expression is not one that RE2 takes ({error})")


def _changed(path: str, operands: tuple[Node, ...]) -> Run:
    names = [operand.literal for operand in operands]
    if not all(type(name) is str and name for name in names):
        refuse(path, "'rowcast.changed' takes the names of columns, such as 'status'")
    pairs = tuple(
        (reader(f"payload.record.{name}", None), reader(f"payload.old_record.{name}", None)) for name in names
    )

    def run(scope: Any, event: Any) -> bool:
        # Only an update has a before and an after; an insert or a delete changes the row, not a column.
        if read_field(event, "payload.operation") != "UPDATE":
            return False
        return any(not is_identical(new(event, event), old(event, event)) for new, old in pairs)

    return run


def _within(path: str, operands: tuple[Node, ...]) -> Run:
    moment, duration_s = operands[0].run, parse_duration_s(operands[1].literal)
    if duration_s is None:
        refuse(path, "the second operand of 'rowcast.within' must be a duration such as '24h', '30m' or '7d'")
    if len(operands) == 2:
        return lambda scope, event: is_within(moment(scope, event), read_field(event, "occurred_at"), duration_s)
    reference = operands[2].run
    return lambda scope, event: is_within(moment(scope, event), reference(scope, event), duration_s)


def _on_day(path: str, operands: tuple[Node, ...]) -> Run:
    moment, day, zone = operands[0].run, operands[1], _zone(path, operands[2].literal)
    if day.is_literal and not is_day(day.literal):
        refuse(path, "the day must be a weekday such as 'saturday' or a date such as '2026-06-20'")
    return lambda scope, event: is_on_day(moment(scope, event), day.run(scope, event), zone)


def _zone(path: str, name: Any) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, TypeError, OSError):
        refuse(path, f"{str(name)[:40]!r} is no time zone; write one such as 'Europe/Berlin' or 'UTC'")


_OPERATORS = {
    "and": Operator(1, _ANY_NUMBER, _and),
    "or": Operator(1, _ANY_NUMBER, _or),
    "!": Operator(1, 1, _not),
    "==": Operator(2, 2, _equal),
    "!=": Operator(2, 2, _unequal),
    "<": Operator(2, 3, partial(_ordered, is_less)),
    "<=": Operator(2, 3, partial(_ordered, is_at_most)),
    ">": Operator(2, 2, partial(_above, is_less)),
    ">=": Operator(2, 2, partial(_above, is_at_most)),
    "in": Operator(2, 2, _in),
    "var": Operator(0, 2, _var),
    "missing": Operator(0, _ANY_NUMBER, _missing),
    "some": Operator(2, 2, _some, is_iterator=True),
    "all": Operator(2, 2, _all, is_iterator=True),
    "none": Operator(2, 2, _none, is_iterator=True),
    "rowcast.starts_with": Operator(2, 2, partial(_affix, str.startswith)),
    "rowcast.ends_with": Operator(2, 2, partial(_affix, str.endswith)),
    "rowcast.matches": Operator(2, 2, _matches),
    "rowcast.changed": Operator(1, _ANY_NUMBER, _changed),
    "rowcast.within": Operator(2, 3, _within),
    "rowcast.on_day": Operator(3, 3, _on_day),
}
