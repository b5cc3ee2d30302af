"""What may be posted to, as the settings say."""

from collections.abc import Sequence

from rowcast.egress.guard import Policy
from rowcast.egress.terms import Network, parse_networks
from rowcast.server.settings import Settings


def egress_policy(settings: Settings) -> Policy:
    """Give the policy of outgoing posts.

    Raises:
        InvalidInputError: `input.network`.
    """
    allowed = frozenset(_host_and_port(text) for text in settings.webhooks.allow_private)
    return Policy(
        allow_http=settings.webhooks.allow_http,
        allowed=allowed,
        tenant_networks=_by_tenant(settings.webhooks.tenant_networks),
    )


def _by_tenant(texts: Sequence[str]) -> dict[str, tuple[Network, ...]]:
    networks: dict[str, tuple[Network, ...]] = {}
    for text in texts:
        tenant_id, _, network = text.partition("=")
        networks[tenant_id] = (*networks.get(tenant_id, ()), *parse_networks([network]))
    return networks


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
