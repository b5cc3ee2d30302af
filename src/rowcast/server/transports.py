"""Transports of other companies, as the settings say: their sinks, and which events are owed to them."""

from rowcast.delivery.rate_limit import Limits
from rowcast.egress.client import EgressClient
from rowcast.realtime.sink import OWN_TOPICS
from rowcast.realtime.transport_sink import TransportSink
from rowcast.router.rule import Rule
from rowcast.server.settings import AblySettings
from rowcast.vendors import ably

LIMITS = Limits(rate_per_minute=3000, burst=50)
"""What one channel takes, on the plans that take least."""


def transport_sinks(asked: AblySettings, *, client: EgressClient) -> tuple[TransportSink, ...]:
    """Give the sinks of the transports that are asked for.

    Raises:
        ConfigError: `config.ably`, for what is no key.
    """
    if asked.key is None:
        return ()
    settings = ably.AblySettings(
        key=asked.key.get_secret_value(),
        origins=asked.origins or ably.ORIGINS,
        message_limit_bytes=asked.message_limit_kb * 1024,
        timeout_s=asked.timeout_s,
    )
    return (TransportSink(transport=ably.AblyTransport(client=client, settings=settings)),)


def transport_rules(asked: AblySettings) -> tuple[Rule, ...]:
    """Give the rules by which events are owed to them.

    Raises:
        InvalidInputError: `input.event_pattern`.
    """
    if asked.key is None:
        return ()
    name = ably.AblyTransport.name
    return (Rule(name=f"rowcast.{name}", sink=name, target=OWN_TOPICS, event_types=asked.events),)
