"""What may be posted to, as the settings say."""

from rowcast.egress.guard import Policy
from rowcast.server.settings import Settings


def egress_policy(settings: Settings) -> Policy:
    """Give the policy of outgoing posts."""
    allowed = frozenset(_host_and_port(text) for text in settings.webhooks.allow_private)
    return Policy(allow_http=settings.webhooks.allow_http, allowed=allowed)


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)
