"""The tables of webhooks, opened for the time of one command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rowcast.core.clock import Clock, SystemClock
from rowcast.egress.guard import Policy
from rowcast.server.command import Place, command_database, loaded_settings
from rowcast.server.key_ring import command_ring
from rowcast.server.policy import egress_policy
from rowcast.server.settings import Settings
from rowcast.store.pool import Database
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.endpoint_privates import EndpointPrivates
from rowcast.webhooks.sealing import KeyRing
from rowcast.webhooks.secrets_table import SecretTable
from rowcast.webhooks.table import EndpointTable


@dataclass(frozen=True, slots=True)
class WebhookDesk:
    """What commands about webhooks work with."""

    settings: Settings
    database: Database
    policy: Policy
    ring: KeyRing
    clock: Clock
    endpoints: EndpointTable
    privates: EndpointPrivates

    async def endpoint(self, tenant_id: str, name: str) -> Endpoint:
        """Give a tenant's endpoint by id or uid.

        Raises:
            NotFoundError: `input.not_found`.
        """
        return await self.endpoints.named(self.database, tenant_id, name)


@asynccontextmanager
async def webhook_desk(place: Place) -> AsyncIterator[WebhookDesk]:
    """Open the tables for the time of a block.

    Raises:
        ConfigError: `config.no_database`, `config.seal_keys`.
        StoreUnavailableError: `store.unavailable`.
    """
    settings, ring, clock = loaded_settings(place).settings, command_ring(place), SystemClock()
    policy = egress_policy(settings)
    async with command_database(place) as database:
        secrets = SecretTable(database=database, ring=ring, clock=clock)
        endpoints = EndpointTable(database=database, policy=policy, clock=clock, secrets=secrets)
        privates = EndpointPrivates(ring=ring, policy=policy)
        yield WebhookDesk(settings, database, policy, ring, clock, endpoints, privates)
