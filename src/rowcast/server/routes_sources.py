"""HTTP: a tenant's sources of incoming webhooks."""

from typing import Annotated, Any

import msgspec
from litestar import Request, Router, delete, get, post, put
from litestar.params import Parameter
from litestar.types import ControllerRouterHandler, Guard

from rowcast.server.described import Described, listed_type, shown_type
from rowcast.server.http import KeyFinder, TenantQuery, needs
from rowcast.server.keys import named_tenant
from rowcast.server.wire import shown
from rowcast.webhooks.incoming import SourceOptions
from rowcast.webhooks.incoming_source import GRACE_S, Source, SourceDraft
from rowcast.webhooks.incoming_table import SourceTable

Most = Annotated[int, Parameter(ge=1, le=250)]


class SourceRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A new source. Without `secrets` one is made, where the sender takes what we make."""

    name: str
    scheme: str
    secrets: tuple[str, ...] = ()
    options: SourceOptions = SourceOptions()
    tenant_id: str | None = None


class SourceChange(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """What may be changed of a source: all of it is replaced."""

    options: SourceOptions = SourceOptions()
    is_disabled: bool = False
    tenant_id: str | None = None


class RotationRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """A new first secret, or none to have one made; the others are valid so many seconds more."""

    secret: str = ""
    grace_period_seconds: float = GRACE_S
    tenant_id: str | None = None


_SHOWN = shown_type(Source, path=str)
_MADE = shown_type(Source, path=str, secrets=tuple[str, ...])
_ROTATED = Described(gives=dict[str, str], refuses=(429,))


def source_routes(*, table: SourceTable, find_key: KeyFinder) -> Router:
    """Give the routes under /api/v1/sources."""
    reading = _reading_routes(table, [needs("sources:read", find_key)])
    writing = _writing_routes(table, [needs("sources:write", find_key)])
    return Router("/api/v1/sources", route_handlers=[*reading, *writing], tags=["sources"])


def _reading_routes(table: SourceTable, may_read: list[Guard]) -> list[ControllerRouterHandler]:
    @get("/", guards=may_read, described=Described(gives=listed_type(_SHOWN)))
    async def list_sources(
        request: Request[Any, Any, Any], tenant_id: TenantQuery = None, after: str = "", limit: Most = 50
    ) -> dict[str, Any]:
        """List a tenant's sources, oldest first."""
        sources = await table.page(named_tenant(request.state["key"], tenant_id), after=after, most=limit)
        return {"data": [source_shown(source) for source in sources]}

    @get("/{source_id:str}", guards=may_read, described=Described(gives=_SHOWN))
    async def read_source(
        request: Request[Any, Any, Any], source_id: str, tenant_id: TenantQuery = None
    ) -> dict[str, Any]:
        """Give one source, without its secrets."""
        return source_shown(await table.get(named_tenant(request.state["key"], tenant_id), source_id))

    return [list_sources, read_source]


def _writing_routes(table: SourceTable, may_write: list[Guard]) -> list[ControllerRouterHandler]:
    @post("/", guards=may_write, status_code=201, described=Described(gives=_MADE, refuses=(409,)))
    async def create_source(request: Request[Any, Any, Any], data: SourceRequest) -> dict[str, Any]:
        """Add a source; its secrets are in the answer."""
        draft = SourceDraft(name=data.name, scheme=data.scheme, secrets=data.secrets, options=data.options)
        source, secrets = await table.create(named_tenant(request.state["key"], data.tenant_id), draft)
        return {**source_shown(source), "secrets": secrets}

    @put("/{source_id:str}", guards=may_write, described=Described(gives=_SHOWN))
    async def update_source(request: Request[Any, Any, Any], source_id: str, data: SourceChange) -> dict[str, Any]:
        """Replace a source's options, and whether it is disabled."""
        tenant = named_tenant(request.state["key"], data.tenant_id)
        changed = await table.update(tenant, source_id, options=data.options, is_disabled=data.is_disabled)
        return source_shown(changed)

    @delete("/{source_id:str}", guards=may_write)
    async def delete_source(request: Request[Any, Any, Any], source_id: str, tenant_id: TenantQuery = None) -> None:
        """Remove a source."""
        await table.delete(named_tenant(request.state["key"], tenant_id), source_id)

    @post("/{source_id:str}/rotate", guards=may_write, status_code=200, described=_ROTATED)
    async def rotate_secret(request: Request[Any, Any, Any], source_id: str, data: RotationRequest) -> dict[str, Any]:
        """Make a secret the first; it is in the answer."""
        tenant = named_tenant(request.state["key"], data.tenant_id)
        secret = await table.rotate(tenant, source_id, secret=data.secret, grace_s=data.grace_period_seconds)
        return {"secret": secret}

    return [create_source, update_source, delete_source, rotate_secret]


def source_shown(source: Source) -> dict[str, Any]:
    """Give a source as the API shows it: with the path that its sender calls, and the options that were said."""
    plain = msgspec.to_builtins(SourceOptions())
    said = {name: value for name, value in msgspec.to_builtins(source.options).items() if value != plain[name]}
    return {**shown(source), "options": said, "path": f"/in/{source.id}"}
