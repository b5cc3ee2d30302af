"""The engine of outgoing webhooks, as the settings say."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.errors import ConfigError, InvalidInputError
from rowcast.delivery.rate_limit import Limits
from rowcast.egress.client import EgressClient
from rowcast.egress.guard import Policy
from rowcast.egress.reply import EgressSettings
from rowcast.server.settings import Settings
from rowcast.store.pool import Database
from rowcast.webhooks.aftermath import Aftermath
from rowcast.webhooks.endpoint_health import EndpointHealth
from rowcast.webhooks.endpoint_limits import EndpointLimits
from rowcast.webhooks.fan_out import FanOut
from rowcast.webhooks.host_breakers import HostBreakers
from rowcast.webhooks.message_reader import MessageReader
from rowcast.webhooks.operational import OperationalEvents
from rowcast.webhooks.poster import Poster
from rowcast.webhooks.reader import EndpointReader
from rowcast.webhooks.recovery import Recovery, RecoveryLimits
from rowcast.webhooks.retry_rules import STANDARD_WAITS_S, RetryRule, RetryRules
from rowcast.webhooks.sealing import KeyRing
from rowcast.webhooks.sink import WebhookSink
from rowcast.webhooks.table import EndpointTable


class Ground(msgspec.Struct, frozen=True):
    """What the engine stands on."""

    settings: Settings
    database: Database
    clock: Clock
    noise: Callable[[], float]
    policy: Policy
    ring: KeyRing


def egress_settings(settings: Settings) -> EgressSettings:
    """Give the limits of outgoing requests."""
    proxy = settings.egress.proxy
    return EgressSettings(
        timeout_s=settings.webhooks.timeout_s,
        host_limit=settings.webhooks.host_concurrency,
        proxy=proxy.get_secret_value() if proxy else "",
        ca_file=settings.egress.ca_file,
    )


def endpoint_limits(ground: Ground) -> EndpointLimits:
    """Give what knows the limits of endpoints."""
    asked = ground.settings.webhooks
    default = Limits(
        rate_per_minute=asked.rate_per_minute, burst=asked.rate_per_minute, concurrency=asked.endpoint_concurrency
    )
    return EndpointLimits(database=ground.database, clock=ground.clock, default=default)


def webhook_sink(ground: Ground, *, table: EndpointTable, client: EgressClient, limits: EndpointLimits) -> WebhookSink:
    """Give the sink.

    Raises:
        ConfigError: `config.retry`, for a [[webhooks.retry]] table that says nothing of use.
    """
    asked = ground.settings.webhooks
    aftermath = Aftermath(
        clock=ground.clock,
        health=EndpointHealth(database=ground.database),
        limits=limits,
        operational=_operational(ground),
        give_up_days=asked.give_up_days,
    )
    messages = MessageReader(database=ground.database, clock=ground.clock)
    return WebhookSink(
        fan_out=FanOut(table=table, messages=messages, clock=ground.clock),
        reader=EndpointReader(table=table, clock=ground.clock),
        poster=Poster(client=client, clock=ground.clock, ring=ground.ring, policy=ground.policy, messages=messages),
        aftermath=aftermath,
        hosts=HostBreakers(clock=ground.clock, noise=ground.noise),
        rules=retry_rules(asked.retry_waits_s or STANDARD_WAITS_S, asked.retry),
    )


def recovery(ground: Ground) -> Recovery:
    """Give what does the long tasks of the API."""
    limits = RecoveryLimits(known_days=ground.settings.retention.deliveries_days)
    return Recovery(database=ground.database, operational=_operational(ground), noise=ground.noise, limits=limits)


def retry_rules(waits_s: tuple[float, ...], tables: tuple[Mapping[str, Any], ...]) -> RetryRules:
    """Give the waits of messages from the tables of the file.

    Raises:
        ConfigError: `config.retry`.
    """
    try:
        return RetryRules(waits_s=waits_s, rules=msgspec.convert(tables, tuple[RetryRule, ...]))
    except (InvalidInputError, msgspec.ValidationError) as error:
        raise ConfigError(f"A [[webhooks.retry]] table cannot be used: {error}", code="config.retry") from error


def _operational(ground: Ground) -> OperationalEvents:
    return OperationalEvents(database=ground.database, tenant_id=ground.settings.webhooks.operational_tenant)
