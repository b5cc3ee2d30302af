"""What all routes about one endpoint share: finding it, and writing to it with nobody else in between."""

from collections.abc import Awaitable, Callable

from rowcast.server.webhook_api import Asked, EmptyReply, Reply, WebhookApi
from rowcast.server.webhook_api_answers import Answer
from rowcast.store.pool import Connection
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.endpoint_privates import EndpointPrivates
from rowcast.webhooks.table import EndpointTable

ENDPOINT_PATH = "/{app_id:str}/endpoint/{endpoint_id:str}"

EndpointName = tuple[str, str]
"""What a path names: an application and an endpoint, each by id or uid."""


class EndpointApi:
    """The API, the table of endpoints, and what endpoints keep sealed."""

    __slots__ = ("api", "privates", "table")

    def __init__(self, *, api: WebhookApi, table: EndpointTable, privates: EndpointPrivates) -> None:
        """Keep them."""
        self.api = api
        self.table = table
        self.privates = privates

    async def find(self, request: Asked, name: EndpointName, connection: Connection) -> Endpoint:
        """Give the endpoint that a path names.

        Raises:
            NotFoundError: `input.not_found`, also where the key is another tenant's.
        """
        return await self._find(request, name, connection, is_held=False)

    async def write(
        self, request: Asked, name: EndpointName, act: Callable[[Connection, Endpoint], Awaitable[Answer]]
    ) -> Reply:
        """Run what a request does with an endpoint that is held meanwhile, and give its answer; see `WebhookApi.write`.

        Raises:
            NotFoundError: `input.not_found`, also where the key is another tenant's.
        """

        async def acted(connection: Connection) -> Answer:
            return await act(connection, await self._find(request, name, connection, is_held=True))

        return await self.api.write(request, acted)

    async def write_empty(
        self, request: Asked, name: EndpointName, act: Callable[[Connection, Endpoint], Awaitable[None]]
    ) -> EmptyReply:
        """Run it and answer 204; otherwise like `write`.

        Raises:
            NotFoundError: `input.not_found`, also where the key is another tenant's.
        """

        async def acted(connection: Connection) -> None:
            await act(connection, await self._find(request, name, connection, is_held=True))

        return await self.api.write_empty(request, acted)

    async def _find(self, request: Asked, name: EndpointName, connection: Connection, *, is_held: bool) -> Endpoint:
        app_id, endpoint_id = name
        tenant_id = (await self.api.application(request, app_id, connection)).tenant_id
        return await self.table.named(connection, tenant_id, self.api.named(endpoint_id), is_held=is_held)
