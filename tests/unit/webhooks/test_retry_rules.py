import pytest

from rowcast.core.errors import InvalidInputError
from rowcast.core.retry import backoff_s
from rowcast.webhooks.retry_rules import STANDARD_WAITS_S, RetryRule, RetryRules, checked_waits


def test_the_default_is_that_of_standard_webhooks_ten_attempts_in_75_hours() -> None:
    policy = RetryRules().default

    assert policy.max_attempts == 10
    assert sum(backoff_s(attempt, policy) for attempt in range(1, 10)) == 75 * 3600 + 35 * 60 + 5
    assert 0 < policy.jitter < 1


def test_the_endpoints_own_waits_win_over_the_first_rule_that_fits_and_that_over_the_default() -> None:
    rules = RetryRules(
        rules=[
            RetryRule(waits_s=(1.0,), tenants=("acme",), event_types=("orders.*",)),
            RetryRule(waits_s=(2.0,), tenants=("acme",)),
            RetryRule(waits_s=(3.0,), event_types=("kitchen.done",)),
        ]
    )

    assert rules.policy("acme", "orders.new", own_waits_s=(9.0, 9.0)).waits_s == (9.0, 9.0)
    assert rules.policy("acme", "orders.new").waits_s == (1.0,)
    assert rules.policy("acme", "kitchen.done").waits_s == (2.0,)
    assert rules.policy("beta", "kitchen.done").waits_s == (3.0,)
    assert rules.policy("beta", "orders.new").waits_s == STANDARD_WAITS_S


def test_an_endpoint_may_ask_for_a_single_attempt() -> None:
    assert RetryRules().policy("acme", "orders.new", own_waits_s=()).max_attempts == 1


@pytest.mark.parametrize("waits_s", [(-1.0,), (float("nan"),), (float("inf"),), (8 * 86_400.0,), (1.0,) * 31])
def test_a_schedule_that_cannot_be_kept_to_is_refused(waits_s: tuple[float, ...]) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        checked_waits(waits_s)

    assert refusal.value.code == "input.retry_schedule"


def test_a_malformed_pattern_in_a_rule_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        RetryRules(rules=[RetryRule(waits_s=(1.0,), event_types=("orders.*.x*",))])
