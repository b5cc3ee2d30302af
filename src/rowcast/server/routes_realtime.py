"""HTTP: what a user's browser asks of realtime beside its socket. The caller is always the user of a verified token."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import HttpMethod, Request, Response, Router, get, post, route

from rowcast.core.clock import Clock
from rowcast.core.errors import InvalidInputError, PermissionDeniedError, RowcastError
from rowcast.realtime.authorize import Authorizer, Claims
from rowcast.realtime.subscriptions import DeclaredChannel, SubscribeRequest, claims_of, grants_for, user_of
from rowcast.realtime.subscriptions_table import Granted, OwnStatus, Statistics, SubscriptionTable, User
from rowcast.server.any_page import allow_any_page
from rowcast.server.described import Described
from rowcast.server.http import KeyFinder, TenantQuery, bearer, needs
from rowcast.server.keys import named_tenant
from rowcast.server.visits import admitted

_REFUSALS_KEPT = ("auth.denied", "input.no_channel")


class UnsubscribeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Which channels a user gives back: those named by id, or all of his."""

    channel_ids: tuple[uuid.UUID, ...] = ()
    all: bool = False


class Subscribed(msgspec.Struct, frozen=True):
    """What a user may join from now on."""

    success: bool
    subscriptions: Sequence[Granted]


class Unsubscribed(msgspec.Struct, frozen=True):
    """How many channels a user gave back."""

    success: bool
    unsubscribed: int


class Caller(msgspec.Struct, frozen=True):
    """Who calls, and with which claims."""

    user: User
    claims: Claims


def find_caller(request: Request[Any, Any, Any], *, authorizer: Authorizer, clock: Clock) -> Caller:
    """Give the user whose token came as `Authorization: Bearer`.

    Raises:
        AuthenticationError: `auth.missing`.
        InvalidTokenError: `auth.token`.
        InvalidInputError: `input.tenant`.
        PermissionDeniedError: `auth.denied`, for a token that names no user, no tenant, or another one.
    """
    token = bearer(request.headers.get("authorization", ""))
    found = admitted(request, token, authorizer=authorizer, now=clock.now())
    user_id = user_of(found.document)
    if not user_id or found.tenant_id is None:
        raise PermissionDeniedError("This token names no user or no tenant. Sign in, and send the user's own token.")
    return Caller(User(found.tenant_id, user_id), found)


def realtime_routes(
    *, table: SubscriptionTable, authorizer: Authorizer, clock: Clock, channels: Mapping[str, DeclaredChannel]
) -> Router:
    """Give the routes under /api/realtime, for browsers with their users' tokens."""

    @post("/subscribe", status_code=200, described=Described(refuses=(404, 429), bearer="user"))
    async def subscribe(request: Request[Any, Any, Any], data: SubscribeRequest) -> Subscribed:
        """Record what a user may join: per channel its id, the topic and the filter that the server derived."""
        caller = find_caller(request, authorizer=authorizer, clock=clock)
        try:
            grants = grants_for(data, channels=channels, claims=claims_of(caller.claims.document))
        except RowcastError as error:
            if error.code in _REFUSALS_KEPT:
                await table.refuse(caller.user, data.channels, code=error.code)
            raise
        granted = await table.grant(caller.user, grants, connection_id=data.connection_id)
        return Subscribed(True, granted)

    @post("/unsubscribe", status_code=200, described=Described(refuses=(404,), bearer="user"))
    async def unsubscribe(request: Request[Any, Any, Any], data: UnsubscribeRequest) -> Unsubscribed:
        """End channels of the caller's own."""
        caller = find_caller(request, authorizer=authorizer, clock=clock)
        if bool(data.channel_ids) is data.all or len(data.channel_ids) > 100:
            raise InvalidInputError("Name 1 to 100 channelIds, or say all: true.", code="input.channel")
        ended = await table.give_back(caller.user, data.channel_ids, is_all=data.all)
        return Unsubscribed(True, ended)

    @get("/status", described=Described(bearer="user"))
    async def status(request: Request[Any, Any, Any]) -> OwnStatus:
        """Give what is measured of the caller: sockets and channels now, messages of the last 24 hours."""
        return await table.status(find_caller(request, authorizer=authorizer, clock=clock).user)

    @route(["/subscribe", "/unsubscribe", "/status"], http_method=HttpMethod.OPTIONS, include_in_schema=False)
    async def allow() -> Response[None]:
        """Tell a browser that any page may call."""
        return Response(None, status_code=204)

    handlers: list[Any] = [subscribe, unsubscribe, status, allow]
    return Router("/api/realtime", route_handlers=handlers, middleware=[allow_any_page], tags=["realtime"])


def statistics_routes(*, table: SubscriptionTable, find_key: KeyFinder) -> Router:
    """Give the route for a tenant's figures, for API keys."""

    @get("/statistics", guards=[needs("realtime:read", find_key)])
    async def statistics(request: Request[Any, Any, Any], tenant_id: TenantQuery = None) -> Statistics:
        """Give a tenant's connections and channels now, and his messages of today."""
        return await table.statistics(named_tenant(request.state["key"], tenant_id))

    return Router("/api/v1/realtime", route_handlers=[statistics], tags=["realtime"])
