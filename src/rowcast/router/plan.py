"""The plan of an event: what each rule owes to whom, and why a rule owes nothing. Pure: same event, same plan."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from rowcast.core.delivery import Owed
from rowcast.core.envelope import Envelope
from rowcast.core.errors import InvalidInputError
from rowcast.core.event_pattern import fits_any
from rowcast.router.coercion import is_true
from rowcast.router.condition import Node
from rowcast.router.explain import Miss, find_misses
from rowcast.router.operators import compile_condition
from rowcast.router.rule import Rule
from rowcast.router.rule_index import RuleIndex
from rowcast.router.template import compile_template

TYPES_LIMIT = 4096
"""So many event types are kept sorted by rule; a type beyond that is sorted again each time."""


class Decision(msgspec.Struct, frozen=True):
    """What one rule decided about one event. `misses` say why its condition did not hold."""

    rule: str
    is_matched: bool
    reason: Literal["matched", "event_type", "condition"]
    misses: tuple[Miss, ...] = ()


class Plan(msgspec.Struct, frozen=True):
    """What an event owes to whom, and each rule's decision, in the order of the rules."""

    owed: tuple[Owed, ...]
    decisions: tuple[Decision, ...]


@dataclass(slots=True, frozen=True)
class _Ready:
    """A rule made ready to run."""

    rule: Rule
    condition: Node | None
    owe: Owed | Callable[[Envelope], Owed]


@dataclass(slots=True, frozen=True)
class _Fitting:
    """The rules for one event type; `asks` tells whether any of them has a condition."""

    rules: tuple[_Ready, ...]
    index: RuleIndex
    asks: bool


class RuleSet:
    """Rules compiled once, sorted by event type and by what they compare: rules that cannot match cost nothing."""

    __slots__ = ("_by_type", "_rules")

    def __init__(self, rules: Iterable[Rule]) -> None:
        """Compile the rules.

        Raises:
            InvalidInputError: `input.rule`, when two rules have one name.
        """
        self._rules = tuple(_ready(rule) for rule in rules)
        self._by_type: dict[str, _Fitting] = {}
        _check_unique([ready.rule.name for ready in self._rules])

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Give the rules, in their order."""
        return tuple(ready.rule for ready in self._rules)

    def owed(self, event: Envelope) -> tuple[Owed, ...]:
        """Give what the event owes, in the order of the rules.

        Raises:
            InvalidInputError: `input.not_json`, when a condition needs a payload that cannot be read.
        """
        fitting = self._fitting(event.event_type)
        values = event_values(event) if fitting.asks else {}
        owed: list[Owed] = []
        for place in fitting.index.find(values):
            ready = fitting.rules[place]
            if ready.condition is None or is_true(ready.condition.run(values, values)):
                owed.append(ready.owe if isinstance(ready.owe, Owed) else ready.owe(event))
        return tuple(owed)

    def plan(self, event: Envelope, *, reveal: bool = False) -> Plan:
        """Give what the event owes and every rule's decision; `reveal` shows values, not only their kinds."""
        values = event_values(event)
        decisions = (_decide(ready, event.event_type, values, reveal) for ready in self._rules)
        return Plan(self.owed(event), tuple(decisions))

    def _fitting(self, event_type: str) -> _Fitting:
        known = self._by_type.get(event_type)
        if known is not None:
            return known
        rules = tuple(ready for ready in self._rules if fits_any(event_type, ready.rule.event_types))
        conditions = [ready.condition for ready in rules]
        fitting = _Fitting(rules, RuleIndex(conditions), any(condition is not None for condition in conditions))
        if len(self._by_type) < TYPES_LIMIT:
            self._by_type[event_type] = fitting
        return fitting


def plan(event: Envelope, rules: RuleSet | Sequence[Rule], *, reveal: bool = False) -> Plan:
    """Give what an event owes to whom under `rules`, and why each rule matched or did not."""
    return (rules if isinstance(rules, RuleSet) else RuleSet(rules)).plan(event, reveal=reveal)


def event_values(event: Envelope) -> dict[str, Any]:
    """Give the event as conditions see it: its fields, and the payload as values."""
    return {
        "id": str(event.id),
        "tenant_id": event.tenant_id,
        "aggregate_type": event.aggregate_type,
        "aggregate_id": event.aggregate_id,
        "event_type": event.event_type,
        "version": event.version,
        "occurred_at": event.occurred_at.isoformat(),
        "payload": event.payload_value(),
    }


def _decide(ready: _Ready, event_type: str, values: dict[str, Any], reveal: bool) -> Decision:
    if not fits_any(event_type, ready.rule.event_types):
        return Decision(ready.rule.name, False, "event_type")
    misses = () if ready.condition is None else find_misses(ready.condition, values, reveal=reveal)
    return Decision(ready.rule.name, not misses, "condition" if misses else "matched", misses)


def _ready(rule: Rule) -> _Ready:
    condition = None if rule.condition is None else compile_condition(rule.condition)
    return _Ready(rule, condition, _owing(rule))


def _owing(rule: Rule) -> Owed | Callable[[Envelope], Owed]:
    """Give the one value that all events of the rule share, or its maker where target or key name fields."""
    shared = Owed(
        sink=rule.sink,
        target=rule.target,
        rule=rule.name,
        priority=rule.priority,
        transform=rule.transform,
        key=rule.key,
        delay_s=rule.delay_s,
        max_attempts=rule.max_attempts,
    )
    target, key = compile_template(rule.target), compile_template(rule.key)
    if isinstance(target, str) and isinstance(key, str):
        return shared
    return lambda event: msgspec.structs.replace(
        shared,
        target=target if isinstance(target, str) else target(event),
        key=key if isinstance(key, str) else key(event),
    )


def _check_unique(names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidInputError(f"Two rules are named {twice[0]!r}. Give each rule its own name.", code="input.rule")
