"""Rules are checked when they are made."""

from typing import Any

import msgspec
import pytest

from rowcast.core.errors import InvalidInputError
from rowcast.core.priority import Priority
from rowcast.router.rule import Rule, built_in_rules, rule


def test_rule_reads_as_a_sentence() -> None:
    made = rule(
        "mail", "orders.confirmed", sink="jobs", target="send_mail", when={"==": [1, 1]}, priority=Priority.HIGH
    )

    assert made == Rule(
        name="mail",
        sink="jobs",
        target="send_mail",
        event_types=("orders.confirmed",),
        condition={"==": [1, 1]},
        priority=Priority.HIGH,
    )


def test_rule_takes_several_event_types() -> None:
    assert rule("mail", ["orders.*", "stock.low"], sink="jobs", target="t").event_types == ("orders.*", "stock.low")


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"name": ""}, "input.rule"),
        ({"name": "Mail me"}, "input.rule"),
        ({"name": "x" * 101}, "input.rule"),
        ({"sink": "Jobs"}, "input.rule"),
        ({"sink": ""}, "input.rule"),
        ({"target": ""}, "input.rule"),
        ({"target": "{payload}"}, "input.rule"),
        ({"key": "{"}, "input.rule"),
        ({"event_types": ()}, "input.rule"),
        ({"event_types": ("orders.",)}, "input.event_pattern"),
        ({"delay_s": -1.0}, "input.rule"),
        ({"delay_s": float("nan")}, "input.rule"),
        ({"delay_s": 1e12}, "input.rule"),
        ({"max_attempts": -1}, "input.rule"),
        ({"condition": {"evil": 1}}, "input.condition"),
    ],
)
def test_rule_that_could_not_run_is_refused_with_its_code(change: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        Rule(**{"name": "mail", "sink": "jobs", "target": "send_mail", **change})

    assert refusal.value.code == code


def test_rule_that_was_stored_as_json_is_checked_too() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"name": "mail", "sink": "jobs", "target": "t", "evil": 1}, Rule)

    with pytest.raises(InvalidInputError):
        msgspec.json.decode(b'{"name": "mail", "sink": "jobs", "target": "t", "condition": {"evil": 1}}', type=Rule)


def test_built_in_rules_tell_every_event_and_offer_it_to_every_endpoint() -> None:
    assert [(each.sink, each.target, each.event_types) for each in built_in_rules()] == [
        ("realtime", "*", ("*",)),
        ("webhooks", "*", ("*",)),
    ]
