"""HTTP: a tenant's webhook endpoints."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Router, delete, get, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter
from msgspec import UNSET, UnsetType

from rowcast.server.described import Described, listed_type, shown_type
from rowcast.server.http import KeyFinder, TenantQuery, needs
from rowcast.server.keys import named_tenant
from rowcast.server.wire import shown, shown_all
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.endpoint_draft import EndpointChange, EndpointDraft, LogLevel, changed_draft
from rowcast.webhooks.signature import Scheme
from rowcast.webhooks.table import EndpointTable

_SHOWN = shown_type(Endpoint)
Most = Annotated[int, Parameter(ge=1, le=250)]


class EndpointRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What a caller says about an endpoint. `eventTypes` absent or null means every type.

    `secret` and `signatureScheme` are for a new one. What is absent from `uid` on stays as it is.
    """

    url: str
    description: str = ""
    event_types: tuple[str, ...] | None = None
    is_disabled: bool = False
    tenant_id: str | None = None
    secret: str = ""
    signature_scheme: Scheme = "v1"
    uid: str | UnsetType | None = UNSET
    channels: tuple[str, ...] | UnsetType | None = UNSET
    throttle_rate: int | UnsetType | None = UNSET
    metadata: dict[str, str] | UnsetType = UNSET
    is_ordered: bool | UnsetType = UNSET
    retry_schedule_s: tuple[float, ...] | UnsetType | None = UNSET
    log_level: LogLevel | UnsetType = UNSET

    @property
    def change(self) -> EndpointChange:
        """Give it as the table takes it."""
        return EndpointChange(
            url=self.url,
            description=self.description,
            event_types=self.event_types,
            is_disabled=self.is_disabled,
            uid=self.uid,
            channels=self.channels,
            throttle_rate=self.throttle_rate,
            metadata=self.metadata,
            is_ordered=self.is_ordered,
            retry_schedule_s=self.retry_schedule_s,
            log_level=self.log_level,
        )

    @property
    def draft(self) -> EndpointDraft:
        """Give it as a new endpoint."""
        new = EndpointDraft(url=self.url, secret=self.secret, signature_scheme=self.signature_scheme)
        return changed_draft(new, self.change)


def endpoint_routes(*, table: EndpointTable, find_key: KeyFinder) -> Router:
    """Give the routes under /api/v1/endpoints."""
    handlers = [*_looking(table, find_key), *_changing(table, find_key)]
    return Router("/api/v1/endpoints", route_handlers=handlers, tags=["endpoints"])


def _looking(table: EndpointTable, find_key: KeyFinder) -> list[HTTPRouteHandler]:
    may_read = [needs("endpoints:read", find_key)]

    @get("/", guards=may_read, described=Described(gives=listed_type(_SHOWN)))
    async def list_endpoints(
        request: Request[Any, Any, Any], tenant_id: TenantQuery = None, after: str = "", limit: Most = 50
    ) -> dict[str, Any]:
        """List a tenant's endpoints, oldest first."""
        endpoints = await table.page(named_tenant(request.state["key"], tenant_id), after=after, most=limit)
        return {"data": shown_all(endpoints)}

    @get("/{endpoint_id:str}", guards=may_read, described=Described(gives=_SHOWN))
    async def read_endpoint(
        request: Request[Any, Any, Any], endpoint_id: str, tenant_id: TenantQuery = None
    ) -> dict[str, Any]:
        """Give one endpoint, named by its id or its uid, without its secret."""
        return shown(await table.get(named_tenant(request.state["key"], tenant_id), endpoint_id))

    return [list_endpoints, read_endpoint]


def _changing(table: EndpointTable, find_key: KeyFinder) -> list[HTTPRouteHandler]:
    may_write = [needs("endpoints:write", find_key)]
    with_secret = Described(gives=shown_type(Endpoint, secret=str), refuses=(409, 422, 429))

    @post("/", guards=may_write, status_code=201, described=with_secret)
    async def create_endpoint(request: Request[Any, Any, Any], data: EndpointRequest) -> dict[str, Any]:
        """Add an endpoint; its secret is in the answer."""
        tenant = named_tenant(request.state["key"], data.tenant_id)
        endpoint = await table.create(tenant, data.draft)
        return {**shown(endpoint), "secret": await table.secrets.current(tenant, endpoint.id)}

    @put("/{endpoint_id:str}", guards=may_write, described=Described(gives=_SHOWN, refuses=(409, 422)))
    async def update_endpoint(
        request: Request[Any, Any, Any], endpoint_id: str, data: EndpointRequest
    ) -> dict[str, Any]:
        """Replace what is said about an endpoint."""
        tenant = named_tenant(request.state["key"], data.tenant_id)
        return shown(await table.change(tenant, endpoint_id, data.change))

    @delete("/{endpoint_id:str}", guards=may_write)
    async def delete_endpoint(request: Request[Any, Any, Any], endpoint_id: str, tenant_id: TenantQuery = None) -> None:
        """Remove an endpoint."""
        tenant = named_tenant(request.state["key"], tenant_id)
        await table.delete(tenant, (await table.get(tenant, endpoint_id)).id)

    return [create_endpoint, update_endpoint, delete_endpoint]
