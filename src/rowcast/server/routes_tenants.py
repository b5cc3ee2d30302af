"""HTTP of the stock server: is it there, and which tenants it has. Tenants are only looked at here."""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Request, Response, Router, get

from rowcast.core.clock import Clock
from rowcast.core.errors import StoreError
from rowcast.core.ids import TENANT_ID_PATTERN
from rowcast.core.telemetry import tell
from rowcast.outbox.shards import LIVE_LOCK, LOCK_CLASS
from rowcast.realtime.authorize import DEFAULT_TENANT, Authorizer, Claims
from rowcast.realtime.limits import RealtimeLimits
from rowcast.realtime.tenancy import named_tenant
from rowcast.server.described import Described
from rowcast.server.visits import visit_of
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries

_LISTED = 500
_SHOWN = {200: dict[str, Any], 403: None}
_TENANTS = Described(gives=_SHOWN, refuses=(400, 503), is_whole=True, bearer="user")
_TENANT = Described(gives={**_SHOWN, 404: dict[str, str]}, refuses=(400, 503), is_whole=True, bearer="user")
_FAMILIES = ("/api", "/realtime/v1/api")
_NOT_FOUND: Response[Mapping[str, object]] = Response({"error": "not found"}, status_code=404)


class Area(msgspec.Struct, frozen=True):
    """What a caller may look at: one tenant, where the request names one, or all."""

    tenant_id: str | None = None


class TenantDesk:
    """Knows the tenants: the default one, and those that have events."""

    __slots__ = ("_authorizer", "_clock", "_database", "_limits", "_node")

    def __init__(
        self, *, database: Database, authorizer: Authorizer, clock: Clock, limits: RealtimeLimits, node: str
    ) -> None:
        """Answer for this node."""
        self._database = database
        self._authorizer = authorizer
        self._clock = clock
        self._limits = limits
        self._node = node

    def area(self, request: Request[Any, Any, Any]) -> Area | None:
        """Give what the caller may look at, by a service's token that is bound to no tenant; None for nothing.

        Raises:
            InvalidInputError: `input.tenant`, when the request names what is no tenant.
        """
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        found = self._authorizer.check(token.strip(), now=self._clock.now())
        if not isinstance(found, Claims) or not found.is_service or found.tenant_id is not None:
            return None
        return Area(named_tenant(self._authorizer.tenancy, visit_of(request)))

    async def tenants(self, area: Area) -> list[str]:
        """Give the default tenant and those that have events, 500 at most; of them those of the area."""
        if area.tenant_id is not None:
            return [area.tenant_id] if await self.is_known(area.tenant_id, area) else []
        rows = await self._database.fetch(load_queries("rowcast.server")["seen_tenants"], limit=_LISTED)
        return list(dict.fromkeys([DEFAULT_TENANT, *(row["tenant_id"] for row in rows)]))

    async def is_known(self, tenant_id: str, area: Area) -> bool:
        """Tell whether there is such a tenant in the area."""
        if area.tenant_id not in (None, tenant_id):
            return False
        if tenant_id == DEFAULT_TENANT:
            return True
        if not TENANT_ID_PATTERN.match(tenant_id):
            return False
        row = await self._database.fetch_one(load_queries("rowcast.server")["is_tenant_seen"], tenant_id=tenant_id)
        return bool(row and row["is_seen"])

    def shown(self, tenant_id: str) -> dict[str, object]:
        """Give a tenant as the stock server shows one. There are no secrets in it, and no connections."""
        limits = self._limits
        return {
            "id": tenant_id, "external_id": tenant_id, "name": tenant_id,
            "max_concurrent_users": limits.users, "max_events_per_second": limits.events_per_s,
            "max_joins_per_second": limits.joins_per_s, "max_channels_per_client": limits.channels_per_socket,
            "max_presence_events_per_second": limits.presences_per_s,
            "max_payload_size_in_kb": limits.payload_bytes // 1000, "private_only": limits.is_private_only,
            "presence_enabled": limits.is_presence_on,
            "suspend": False, "extensions": [],
        }  # fmt: skip

    async def health(self) -> dict[str, object]:
        """Give how this node and its database are, as asked just now."""
        is_connected = is_relayed = False
        try:
            row = await self._database.fetch_one(
                load_queries("rowcast.server")["is_relayed_now"], lock_class=LOCK_CLASS, live_lock=LIVE_LOCK
            )
            is_connected, is_relayed = True, bool(row and row["is_relayed"])
        except StoreError as error:
            tell("http.health_failed", code=error.code)
        return {
            "healthy": is_connected and is_relayed, "db_connected": is_connected, "replication_connected": is_relayed,
            "connected_cluster": 1, "region": None, "node": self._node,
        }  # fmt: skip


def tenant_routes(desk: TenantDesk) -> Router:
    """Give the routes under both families of paths, and `/healthcheck`."""

    @get("/ping", described=Described(is_whole=True))
    async def ping() -> dict[str, str]:
        """Answer as long as the process turns."""
        return {"message": "Success"}

    @get("/tenants", described=_TENANTS)
    async def list_tenants(request: Request[Any, Any, Any]) -> Response[Any]:
        """List the default tenant and those that have events."""
        area = desk.area(request)
        if area is None:
            return _forbidden()
        return Response({"data": [desk.shown(tenant_id) for tenant_id in await desk.tenants(area)]})

    @get("/tenants/{tenant_id:str}", described=_TENANT)
    async def read_tenant(request: Request[Any, Any, Any], tenant_id: str) -> Response[Any]:
        """Give one tenant with its limits."""
        area = desk.area(request)
        if area is None:
            return _forbidden()
        return Response({"data": desk.shown(tenant_id)}) if await desk.is_known(tenant_id, area) else _NOT_FOUND

    @get("/tenants/{tenant_id:str}/health", described=_TENANT)
    async def read_health(request: Request[Any, Any, Any], tenant_id: str) -> Response[Any]:
        """Say how this node is."""
        area = desk.area(request)
        if area is None:
            return _forbidden()
        return Response({"data": await desk.health()}) if await desk.is_known(tenant_id, area) else _NOT_FOUND

    @get("/healthcheck", media_type="text/plain", described=Described(given_as=("text/plain",), is_whole=True))
    async def healthcheck() -> str:
        """Answer as long as the process turns."""
        return "ok"

    handlers = [ping, list_tenants, read_tenant, read_health]
    families = [Router(family, route_handlers=handlers) for family in _FAMILIES]
    return Router("/", route_handlers=[healthcheck, *families], tags=["tenants"])


def _forbidden() -> Response[bytes]:
    return Response(b"", status_code=403)
