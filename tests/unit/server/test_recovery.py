"""The log of channels follows the rules that tell the sockets."""

from datetime import UTC, datetime

import msgspec

from rowcast.core.envelope import Envelope
from rowcast.core.ids import uuid7
from rowcast.router.plan import RuleSet
from rowcast.router.rule import built_in_rules, rule
from rowcast.server.recovery import told_by

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def event(event_type: str) -> Envelope:
    return Envelope(uuid7(NOW), "acme", "order", "o1", event_type, 1, NOW, msgspec.Raw(b"{}"))


def test_without_rules_of_ones_own_the_usual_topics_are_enough() -> None:
    assert told_by(RuleSet(built_in_rules())) is None


def test_a_rule_that_names_a_topic_is_followed() -> None:
    vip = rule("vip", "orders.made", sink="realtime", target="vip:{aggregate_id}")
    told = told_by(RuleSet((*built_in_rules(), vip)))

    assert told is not None
    assert {each.topic for each in told(event("orders.made"))} == {"tenant:acme", "tenant:acme:orders", "vip:o1"}
    assert {each.topic for each in told(event("orders.paid"))} == {"tenant:acme", "tenant:acme:orders"}


def test_an_event_that_cannot_be_routed_was_told_nobody() -> None:
    vip = rule("vip", "orders.made", sink="realtime", target="vip", when={"var": "payload.x"})
    told = told_by(RuleSet((*built_in_rules(), vip)))

    assert told is not None
    assert told(msgspec.structs.replace(event("orders.made"), payload=msgspec.Raw(b"nonsense"))) == ()
