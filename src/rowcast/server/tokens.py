"""What checks tokens, as the settings say."""

from rowcast.realtime.authorize import Authorizer
from rowcast.realtime.tenancy import Tenancy
from rowcast.server.settings import AuthSettings


def make_authorizer(asked: AuthSettings, *, secret: str) -> Authorizer:
    """Give what checks tokens signed with `secret`.

    Raises:
        ConfigError: `config.jwt_secret`.
    """
    tenancy = Tenancy(sources=asked.tenant_from, domain=asked.tenant_host)
    return Authorizer(secret=secret, tenant_claim=asked.tenant_claim, tenancy=tenancy)
