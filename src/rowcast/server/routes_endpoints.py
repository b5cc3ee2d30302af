"""HTTP: a tenant's webhook endpoints."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Router, delete, get, post, put
from litestar.params import Parameter

from rowcast.server.described import Described, listed_type, shown_type
from rowcast.server.http import KeyFinder, TenantQuery, needs
from rowcast.server.keys import named_tenant
from rowcast.server.wire import shown, shown_all
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.endpoint_draft import EndpointDraft
from rowcast.webhooks.table import EndpointTable

_SHOWN = shown_type(Endpoint)
Most = Annotated[int, Parameter(ge=1, le=250)]


class EndpointRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What a caller says about an endpoint. `eventTypes` absent or null means every type."""

    url: str
    description: str = ""
    event_types: tuple[str, ...] | None = None
    is_disabled: bool = False
    tenant_id: str | None = None
    secret: str = ""


def endpoint_routes(*, table: EndpointTable, find_key: KeyFinder) -> Router:
    """Give the routes under /api/v1/endpoints."""
    may_read, may_write = [needs("endpoints:read", find_key)], [needs("endpoints:write", find_key)]

    @post(
        "/",
        guards=may_write,
        status_code=201,
        described=Described(gives=shown_type(Endpoint, secret=str), refuses=(409,)),
    )
    async def create_endpoint(request: Request[Any, Any, Any], data: EndpointRequest) -> dict[str, Any]:
        """Add an endpoint; its secret is in the answer."""
        tenant = named_tenant(request.state["key"], data.tenant_id)
        endpoint = await table.create(tenant, _draft(data))
        return {**shown(endpoint), "secret": await table.secrets.current(tenant, endpoint.id)}

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
        """Give one endpoint, without its secret."""
        return shown(await table.get(named_tenant(request.state["key"], tenant_id), endpoint_id))

    @put("/{endpoint_id:str}", guards=may_write, described=Described(gives=_SHOWN, refuses=(409,)))
    async def update_endpoint(
        request: Request[Any, Any, Any], endpoint_id: str, data: EndpointRequest
    ) -> dict[str, Any]:
        """Replace what is said about an endpoint."""
        return shown(await table.update(named_tenant(request.state["key"], data.tenant_id), endpoint_id, _draft(data)))

    @delete("/{endpoint_id:str}", guards=may_write)
    async def delete_endpoint(request: Request[Any, Any, Any], endpoint_id: str, tenant_id: TenantQuery = None) -> None:
        """Remove an endpoint."""
        await table.delete(named_tenant(request.state["key"], tenant_id), endpoint_id)

    handlers = [create_endpoint, list_endpoints, read_endpoint, update_endpoint, delete_endpoint]
    return Router("/api/v1/endpoints", route_handlers=handlers, tags=["endpoints"])


def _draft(data: EndpointRequest) -> EndpointDraft:
    return EndpointDraft(
        url=data.url,
        description=data.description,
        event_types=data.event_types,
        is_disabled=data.is_disabled,
        secret=data.secret,
    )
