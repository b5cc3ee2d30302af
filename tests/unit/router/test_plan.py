"""The plan of an event."""

from datetime import UTC, datetime
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.delivery import Owed
from rowcast.core.envelope import Envelope
from rowcast.core.errors import InvalidInputError
from rowcast.core.priority import Priority
from rowcast.router.plan import Decision, RuleSet, event_values, plan
from rowcast.router.rule import rule

PAID = {"==": [{"var": "payload.status"}, "paid"]}


def event(event_type: str = "orders.confirmed", payload: bytes = b'{"status": "paid", "total": 7}') -> Envelope:
    return Envelope(
        id=UUID("01900000-0000-7000-8000-000000000001"),
        tenant_id="acme",
        aggregate_type="order",
        aggregate_id="o1",
        event_type=event_type,
        version=1,
        occurred_at=datetime(2026, 6, 19, tzinfo=UTC),
        payload=msgspec.Raw(payload),
    )


def test_plan_owes_what_the_matching_rules_say_in_their_order() -> None:
    rules = [
        rule(
            "b",
            "orders.*",
            sink="jobs",
            target="{aggregate_id}",
            key="{tenant_id}",
            delay_s=5.0,
            max_attempts=3,
            transform="crm",
        ),
        rule("a", "*", sink="webhooks", target="*", when=PAID, priority=Priority.CRITICAL),
    ]

    assert plan(event(), rules).owed == (
        Owed("jobs", "o1", rule="b", key="acme", delay_s=5.0, max_attempts=3, transform="crm"),
        Owed("webhooks", "*", rule="a", priority=Priority.CRITICAL),
    )


def test_plan_says_of_every_rule_why() -> None:
    rules = [
        rule("matched", "*", sink="jobs", target="t", when=PAID),
        rule("other-type", "kitchen.*", sink="jobs", target="t"),
        rule("other-value", "*", sink="jobs", target="t", when={">": [{"var": "payload.total"}, 10]}),
    ]

    decisions = plan(event(), rules).decisions

    assert [(each.rule, each.is_matched, each.reason) for each in decisions] == [
        ("matched", True, "matched"),
        ("other-type", False, "event_type"),
        ("other-value", False, "condition"),
    ]
    assert decisions[2].misses[0].path == "/>"
    assert "7" not in str(decisions)


def test_plan_shows_values_when_asked() -> None:
    decisions = plan(
        event(), [rule("a", "*", sink="jobs", target="t", when={"!": [{"var": "payload.total"}]})], reveal=True
    ).decisions

    assert decisions[0].misses[0].seen[0].value == "7"


def test_payload_is_not_read_when_no_condition_needs_it() -> None:
    broken = event(payload=b'{"a": "\\ud800"')

    assert RuleSet([rule("a", "*", sink="jobs", target="t")]).owed(broken)
    with pytest.raises(InvalidInputError):
        RuleSet([rule("a", "*", sink="jobs", target="t", when=PAID)]).owed(broken)


def test_two_rules_of_one_name_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="'a'"):
        RuleSet([rule("a", "*", sink="jobs", target="t"), rule("a", "orders.*", sink="jobs", target="u")])


def test_rules_for_other_types_are_not_run_a_second_time_either() -> None:
    rules = RuleSet([rule("a", "kitchen.*", sink="jobs", target="t")])

    assert [rules.owed(event()), rules.owed(event()), rules.owed(event("kitchen.done"))] == [
        (),
        (),
        (Owed("jobs", "t", rule="a"),),
    ]


def test_conditions_see_every_public_field_of_the_event() -> None:
    assert event_values(event()) == {
        "id": "01900000-0000-7000-8000-000000000001",
        "tenant_id": "acme",
        "aggregate_type": "order",
        "aggregate_id": "o1",
        "event_type": "orders.confirmed",
        "version": 1,
        "occurred_at": "2026-06-19T00:00:00+00:00",
        "payload": {"status": "paid", "total": 7},
    }


@given(
    patterns=st.lists(st.sampled_from(["*", "orders.*", "orders.confirmed", "kitchen.*"]), max_size=6),
    total=st.integers(0, 20),
    event_type=st.sampled_from(["orders.confirmed", "orders.line.added", "kitchen.done"]),
)
def test_decisions_and_what_is_owed_never_disagree(patterns: list[str], total: int, event_type: str) -> None:
    rules = [
        rule(f"r{i}", pattern, sink="jobs", target="t", when={">": [{"var": "payload.total"}, i * 3]})
        for i, pattern in enumerate(patterns)
    ]

    made = plan(event(event_type, b'{"total": %d}' % total), rules)

    assert [owed.rule for owed in made.owed] == [each.rule for each in made.decisions if each.is_matched]
    assert all(
        isinstance(each, Decision) and each.is_matched is not bool(each.misses or each.reason != "matched")
        for each in made.decisions
    )
