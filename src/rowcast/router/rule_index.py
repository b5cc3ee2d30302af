"""Which rules an event can match at all, looked up by the value that one field must have. Pure.

Rules such as `payload.status == "paid"` are many and alike: the field is read once instead of once for each of them.
Only rules that cannot hold are left out; those found are asked all the same.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rowcast.router.condition import Node, Run

_LEAST_RULES = 3
"""Fewer rules on one field are as quickly asked one by one."""


@dataclass(slots=True, frozen=True)
class _Equality:
    """What a condition needs at least: that a field equals a text or a whole number."""

    field: str
    read: Run
    value: Any


@dataclass(slots=True, frozen=True)
class _Switch:
    """The rules that need one field to equal one kind of value. Another kind may equal it loosely: all are found."""

    read: Run
    kind: type
    by_value: dict[Any, list[int]]
    places: list[int]

    def find(self, values: Any) -> Sequence[int]:
        value = self.read(values, values)
        return self.by_value.get(value, ()) if type(value) is self.kind else self.places


class RuleIndex:
    """Finds the places of the rules that an event can match."""

    __slots__ = ("_others", "_switches")

    def __init__(self, conditions: Sequence[Node | None]) -> None:
        """Sort the conditions of some rules; a rule's place is that of its condition."""
        grouped: dict[tuple[str, type], dict[int, _Equality]] = defaultdict(dict)
        for place, condition in enumerate(conditions):
            needed = _needed(condition)
            if needed is not None:
                grouped[needed.field, type(needed.value)][place] = needed
        self._switches = [_switch(kind, group) for (_, kind), group in grouped.items() if len(group) >= _LEAST_RULES]
        switched = {place for switch in self._switches for place in switch.places}
        self._others = [place for place in range(len(conditions)) if place not in switched]

    def find(self, values: Any) -> Sequence[int]:
        """Give the places of the rules that may hold for an event's values, in order."""
        if not self._switches:
            return self._others
        found = [*self._others]
        for switch in self._switches:
            found += switch.find(values)
        return sorted(found)


def _switch(kind: type, group: dict[int, _Equality]) -> _Switch:
    by_value: dict[Any, list[int]] = defaultdict(list)
    for place, needed in group.items():
        by_value[needed.value].append(place)
    return _Switch(next(iter(group.values())).read, kind, dict(by_value), list(group))


def _needed(condition: Node | None) -> _Equality | None:
    """Give an equality without which the condition cannot hold, if it begins with one."""
    if condition is None:
        return None
    if condition.operator == "and":
        return _needed(condition.operands[0])
    if condition.operator != "==":
        return None
    left, right = condition.operands
    return _equality(left, right) or _equality(right, left)


def _equality(field: Node, other: Node) -> _Equality | None:
    # A field with a default is left to its rule: what stands in for it is not in the event.
    is_field = field.operator == "var" and len(field.operands) == 1
    if not is_field or type(other.literal) not in (str, int):
        return None
    return _Equality(str(field.operands[0].literal), field.run, other.literal)
