import pytest

from rowcast.core.errors import ConfigError
from rowcast.server.settings import load_settings
from rowcast.server.webhook_engine import egress_settings, retry_rules
from rowcast.webhooks.retry_rules import STANDARD_WAITS_S


def test_outgoing_requests_are_bounded_as_the_settings_say() -> None:
    flags = {
        "egress.proxy": "http://ann:secret@proxy:3128",
        "egress.ca_file": "/etc/authorities.pem",
        "webhooks.host_concurrency": 7,
        "webhooks.timeout_s": 3.0,
    }

    found = egress_settings(load_settings(flags, environment={}).settings)

    assert (found.proxy, found.host_limit, found.timeout_s) == ("http://ann:secret@proxy:3128", 7, 3.0)
    assert found.ca_file == "/etc/authorities.pem"
    assert egress_settings(load_settings(environment={}).settings).proxy == ""


def test_waits_of_tenants_and_types_come_from_tables_of_the_file() -> None:
    rules = retry_rules(STANDARD_WAITS_S, ({"waits_s": [1, 2], "tenants": ["acme"]},))

    assert rules.policy("acme", "orders.new").waits_s == (1.0, 2.0)
    assert rules.policy("beta", "orders.new").waits_s == STANDARD_WAITS_S


@pytest.mark.parametrize(
    "table", [{}, {"waits_s": [-1]}, {"waits_s": [1], "event_types": ["*.*"]}, {"waits_s": [1], "x": 1}]
)
def test_table_that_says_nothing_of_use_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as refusal:
        retry_rules(STANDARD_WAITS_S, (table,))

    assert refusal.value.code == "config.retry"
