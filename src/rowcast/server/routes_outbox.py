"""HTTP: publish what is pending, now."""

from typing import Any

from litestar import Request, Router, post

from rowcast.core.errors import ConflictError, PermissionDeniedError
from rowcast.outbox.drain import Drained
from rowcast.outbox.relay import Relay
from rowcast.server.described import Described
from rowcast.server.http import KeyFinder, needs


def outbox_routes(*, relay: Relay | None, find_key: KeyFinder) -> Router:
    """Give the routes under /api/v1/outbox."""

    @post("/publish", guards=[needs("outbox:publish", find_key)], status_code=200, described=Described(refuses=(409,)))
    async def publish(request: Request[Any, Any, Any]) -> Drained:
        """Publish what is pending now and say what came of it; it counts every tenant's events."""
        if request.state["key"].tenant_id is not None:
            raise PermissionDeniedError("A drain is about all tenants. Use an API key that is bound to none.")
        if relay is None:
            raise ConflictError("This node has no relay. Ask a node with the role relay.", code="input.no_relay")
        return await relay.drain()

    return Router("/api/v1/outbox", route_handlers=[publish], tags=["events"])
