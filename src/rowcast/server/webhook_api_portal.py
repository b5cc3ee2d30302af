"""The webhook API: health, links into the portal, and the paths of hosted services, which are answered 501."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Router, get, post, route
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from rowcast.core.errors import InvalidFieldError, NotFoundError
from rowcast.server.described import Described
from rowcast.server.portal_links import KEY_LEAST_S, KEY_MOST_S, PortalOptions, end_key, end_keys, make_link, use_link
from rowcast.server.webhook_api import PREFIX, Asked, EmptyReply, Reply, WebhookApi, caller, replied
from rowcast.server.webhook_api_answers import Answer
from rowcast.server.webhook_api_applications import ApplicationIn, application_named
from rowcast.server.webhook_api_body import read_body
from rowcast.store.pool import Connection
from rowcast.webhooks.application import Application

Capability = Literal[
    "ViewBase", "ViewEndpointSecret", "ManageEndpointSecret", "ManageTransformations", "CreateAttempts",
    "ManageEndpoint",
]  # fmt: skip

# The database keeps no NUL, and cannot look into a document that holds one.
SessionId = Annotated[str, msgspec.Meta(max_length=256, pattern=r"\A[^\x00-\x1f]*\Z")]

_LOOKING = ("endpoints:read", "events:read", "deliveries:read")
# What changes an endpoint changes all of it, so transformations come with `ManageEndpoint` only.
_SCOPES: dict[str, tuple[str, ...]] = {
    "ViewEndpointSecret": ("endpoints:secrets",),
    "ManageEndpointSecret": ("endpoints:secrets", "endpoints:rotate"),
    "CreateAttempts": ("deliveries:replay",),
    "ManageEndpoint": ("endpoints:write", "endpoints:secrets", "endpoints:rotate"),
}
_HOSTED = (
    "/api/v1/connector", "/api/v1/environment", "/api/v1/operational-webhook", "/api/v1/stats", "/api/v1/stream",
    "/api/v1/auth/stream", "/api/v1/auth/stream-portal-access", "/api/v1/auth/stream-logout",
    "/api/v1/auth/dashboard-access", "/api/v1/event-type/import", "/api/v1/app/{app_id:str}/autoconfig",
    "/api/v1/app/{app_id:str}/destination", "/api/v1/app/{app_id:str}/integration",
    "/ingest/api/v1",
)  # fmt: skip


class PortalAccessIn(msgspec.Struct, frozen=True, rename="camel"):
    """What a link is to open. `expiry` is how long its key lives, in seconds."""

    application: ApplicationIn | None = None
    read_only: bool | None = None
    capabilities: tuple[Capability, ...] | None = None
    expiry: int | None = None
    session_id: SessionId | None = None

    @property
    def options(self) -> PortalOptions:
        """Give what the link opens.

        Raises:
            InvalidFieldError: `input.field`, for an expiry under an hour or over seven days.
        """
        expiry = KEY_MOST_S if self.expiry is None else self.expiry
        if not KEY_LEAST_S <= expiry <= KEY_MOST_S:
            raise InvalidFieldError(f"A key lives {KEY_LEAST_S} to {KEY_MOST_S} seconds.", place=("body", "expiry"))
        return PortalOptions(
            scopes_of(self.capabilities, is_read_only=bool(self.read_only)), expiry, self.session_id or ""
        )


class PortalAccessOut(msgspec.Struct, frozen=True):
    """A link into the portal and its token."""

    url: str
    token: str


class PortalTokenIn(msgspec.Struct, frozen=True):
    """The token of a link."""

    token: str


class PortalKeyOut(msgspec.Struct, frozen=True, rename="camel"):
    """What a link was traded for."""

    key: str
    app_id: str
    scopes: tuple[str, ...]
    expires_at: datetime


class ExpireAllIn(msgspec.Struct, frozen=True, rename="camel"):
    """Whose keys end, and after how many seconds."""

    expiry: int | None = None
    session_ids: tuple[str, ...] | None = None


def scopes_of(capabilities: Sequence[str] | None, *, is_read_only: bool) -> tuple[str, ...]:
    """Give the scopes of a portal's key: everybody may look, and without a list do everything."""
    if is_read_only:
        return _LOOKING
    chosen = tuple(_SCOPES) if capabilities is None else capabilities
    return tuple(sorted({*_LOOKING, *(scope for each in chosen for scope in _SCOPES.get(each, ()))}))


def portal_routes(api: WebhookApi, *, public_url: str = "") -> Router:
    """Give /api/v1/health and the routes under /api/v1/auth. Links lead to `public_url`, else to where one asked."""

    @get("/health", status_code=204)
    async def read_health() -> None:
        """Answer as long as the process turns."""

    return Router(PREFIX, route_handlers=[read_health, *_opening(api, public_url), *_ending(api)], tags=["webhook API"])


def _opening(api: WebhookApi, public_url: str) -> list[HTTPRouteHandler]:
    may_write = api.may_for_all("applications:write")

    @post(
        "/auth/app-portal-access/{app_id:str}",
        guards=may_write,
        status_code=200,
        described=Described(PortalAccessIn, PortalAccessOut),
    )
    async def create_portal_link(request: Asked, app_id: str) -> Reply:
        """Give a link that is used once, within ten minutes; `application` is added where it is none."""
        data = read_body(await request.body(), PortalAccessIn)
        options = data.options
        base_url = (public_url or str(request.base_url)).rstrip("/")

        async def act(connection: Connection) -> Answer:
            application = await _opened(api, connection, app_id, data.application)
            token = await make_link(connection, application.tenant_id, options)
            return Answer(200, PortalAccessOut(f"{base_url}/portal#token={token}", token))

        return await api.write(request, act)

    @post("/auth/portal-key", status_code=200, described=Described(PortalTokenIn, PortalKeyOut, (401, 404)))
    async def trade_portal_link(request: Asked) -> Reply:
        """Trade the token of a link for a key of its application."""
        token = read_body(await request.body(), PortalTokenIn).token
        async with api.database.transaction() as connection:
            key = await use_link(connection, token)
            application = await api.applications.get(connection, key.tenant_id, tenant_id=key.tenant_id)
        return replied(Answer(200, PortalKeyOut(key.text, application.id, key.scopes, key.expires_at)))

    return [create_portal_link, trade_portal_link]


def _ending(api: WebhookApi) -> list[HTTPRouteHandler]:
    may_write = api.may_for_all("applications:write")

    @post("/auth/logout", guards=api.may_any(), status_code=204)
    async def log_out(request: Asked) -> None:
        """End the key that is sent, if it came from a link."""
        await end_key(api.database, caller(request).id)

    @post("/auth/app/{app_id:str}/expire-all", guards=may_write, status_code=204, described=Described(ExpireAllIn))
    async def expire_all(request: Asked, app_id: str) -> EmptyReply:
        """End the keys of an application that came from links, all or those of some sessions."""
        data = read_body(await request.body(), ExpireAllIn)
        after_s = float(min(max(data.expiry or 0, 0), KEY_MOST_S))

        async def act(connection: Connection) -> None:
            application = await api.application(request, app_id, connection)
            await end_keys(connection, application.tenant_id, sessions=data.session_ids or None, after_s=after_s)

        return await api.write_empty(request, act)

    return [log_out, expire_all]


def hosted_routes(api: WebhookApi) -> Router:
    """Give what answers 501 where a path belongs to a hosted service, to whoever has a key."""
    paths = [f"{family}{rest}" for family in _HOSTED for rest in ("", "/{rest:path}")]
    methods: Any = ["GET", "POST", "PUT", "PATCH", "DELETE"]

    @route(paths, http_method=methods, guards=api.may_any(), include_in_schema=False, status_code=501)
    async def refuse_hosted(request: Asked) -> None:
        raise HTTPException("This path belongs to a hosted service and has no meaning here.", status_code=501)

    return Router("/", route_handlers=[refuse_hosted])


async def _opened(api: WebhookApi, connection: Connection, app_id: str, draft: ApplicationIn | None) -> Application:
    """Give the application that a link opens; one that is not there is added where the request describes it."""
    found = await api.applications.find(connection, api.named(app_id))
    if found is not None:
        return found
    if draft is None:
        raise NotFoundError("There is no such application for this API key.")
    return await api.applications.create(connection, application_named(draft, app_id))
