from rowcast.server.policy import egress_policy
from rowcast.server.settings import load_settings


def test_only_what_is_listed_may_be_reached_inside_the_network() -> None:
    settings = load_settings({"webhooks.allow_private": ["hooks:8080", "[::1]:99"]}, environment={}).settings

    policy = egress_policy(settings)

    assert policy.allowed == {("hooks", 8080), ("::1", 99)}
    assert policy.allow_http is False


def test_http_is_for_those_who_ask_for_it() -> None:
    assert egress_policy(load_settings({"webhooks.allow_http": True}, environment={}).settings).allow_http
