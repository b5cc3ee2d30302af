"""Rules: which events are owed to which target of which sink. Frozen values, checked when they are made."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, Unpack

import msgspec

from rowcast.core.errors import InvalidInputError
from rowcast.core.event_pattern import EVERY_TYPE, checked_event_pattern
from rowcast.core.priority import Priority
from rowcast.router.operators import compile_condition
from rowcast.router.template import compile_template

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9_.\-]{0,99}\Z")
SINK_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,39}\Z")
DELAY_LIMIT_S = 366 * 86_400.0


class Rule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One rule: every event whose type fits and whose condition holds is owed to `target` of `sink`.

    `event_types` are types or patterns such as `orders.*`. `condition` is a JSON tree over the event; None always
    holds. `target` and `key` may name fields of the event in braces, such as `{aggregate_id}`; `key` groups
    deliveries that share a rate limit, by default the target. `max_attempts` 0 leaves it to the sink.
    """

    name: str
    sink: str
    target: str
    event_types: tuple[str, ...] = (EVERY_TYPE,)
    condition: Any = None
    priority: Priority = Priority.NORMAL
    transform: str = ""
    delay_s: float = 0.0
    key: str = ""
    max_attempts: int = 0

    def __post_init__(self) -> None:
        """Refuse a rule that could not run.

        Raises:
            InvalidInputError: `input.rule`, `input.event_pattern`, or `input.condition` with the place in the tree.
        """
        _check_names(self)
        _check_numbers(self)
        for pattern in self.event_types:
            checked_event_pattern(pattern)
        compile_template(self.target)
        compile_template(self.key)
        if self.condition is not None:
            compile_condition(self.condition)


class RuleOptions(TypedDict, total=False):
    """What `rule` takes beside what every rule says."""

    priority: Priority
    transform: str
    delay_s: float
    key: str
    max_attempts: int


def rule(
    name: str,
    event_types: str | Sequence[str],
    *,
    sink: str,
    target: str,
    when: Mapping[str, Any] | None = None,
    **options: Unpack[RuleOptions],
) -> Rule:
    """Give a rule, written as a sentence: `rule("mail", "orders.confirmed", sink="jobs", target="send_mail")`.

    Raises:
        InvalidInputError: `input.rule`, `input.event_pattern` or `input.condition`.
    """
    patterns = (event_types,) if isinstance(event_types, str) else tuple(event_types)
    return Rule(name=name, event_types=patterns, sink=sink, target=target, condition=when, **options)


def built_in_rules() -> tuple[Rule, ...]:
    """Give the rules every rowcast starts with: an event is told on its topics and owed to its tenant's endpoints."""
    return (
        Rule(name="rowcast.realtime", sink="realtime", target="*"),
        Rule(name="rowcast.webhooks", sink="webhooks", target="*"),
    )


def _check_names(checked: Rule) -> None:
    if not NAME_PATTERN.match(checked.name):
        _refuse(checked, "its name must be lower-case letters, digits, '.', '_' and '-', at most 100")
    if not SINK_PATTERN.match(checked.sink):
        _refuse(checked, f"the sink {checked.sink[:40]!r} must be a lower-case word such as 'jobs'")
    if not checked.target:
        _refuse(checked, "the target is empty; name an endpoint, a task or '*'")
    if not checked.event_types:
        _refuse(checked, "it names no event type; use '*' for every type")


def _check_numbers(checked: Rule) -> None:
    if not 0.0 <= checked.delay_s <= DELAY_LIMIT_S:
        _refuse(checked, f"delay_s must be between 0 and {DELAY_LIMIT_S:.0f}")
    if checked.max_attempts < 0:
        _refuse(checked, "max_attempts must be 0 (as the sink says) or more")


def _refuse(checked: Rule, problem: str) -> None:
    raise InvalidInputError(f"The rule {checked.name[:100]!r} cannot be used: {problem}.", code="input.rule")
