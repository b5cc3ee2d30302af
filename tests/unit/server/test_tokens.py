"""What checks tokens, from the settings."""

import pytest

from rowcast.core.errors import ConfigError
from rowcast.realtime.tenancy import Tenancy
from rowcast.server.settings import load_settings
from rowcast.server.tokens import make_authorizer

SECRET = "a secret for tests that has more than 32 bytes"


def test_the_settings_say_who_names_the_tenant() -> None:
    environment = {"ROWCAST_AUTH__TENANT_FROM": "host, header", "ROWCAST_AUTH__TENANT_HOST": "rt.example.com"}
    settings = load_settings(environment=environment).settings

    assert make_authorizer(settings.auth, secret=SECRET).tenancy == Tenancy(("host", "header"), "rt.example.com")
    assert make_authorizer(load_settings(environment={}).settings.auth, secret=SECRET).tenancy == Tenancy()


@pytest.mark.parametrize(
    "flags",
    [
        {"auth.tenant_from": ("host",)},
        {"auth.tenant_from": ()},
        {"auth.tenant_from": ("cookie",)},
        {"auth.tenant_from": ("host",), "auth.tenant_host": ".rt.example.com"},
        {"auth.tenant_from": ("host",), "auth.tenant_host": "Rt.example.com"},
    ],
)
def test_what_cannot_name_tenants_is_refused_at_start(flags: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="auth") as refused:
        load_settings(flags, environment={})
    assert refused.value.code == "config.value"
