"""HTTP: publish what is pending, now."""

from litestar import Router, post

from rowcast.core.errors import ConflictError
from rowcast.outbox.drain import Drained
from rowcast.outbox.relay import Relay
from rowcast.server.http import KeyFinder, needs


def outbox_routes(*, relay: Relay | None, find_key: KeyFinder) -> Router:
    """Give the routes under /api/v1/outbox."""

    @post("/publish", guards=[needs("outbox:publish", find_key)], status_code=200)
    async def publish() -> Drained:
        """Publish what is pending now and say what came of it."""
        if relay is None:
            raise ConflictError("This node has no relay. Ask a node with the role relay.", code="input.no_relay")
        return await relay.drain()

    return Router("/api/v1/outbox", route_handlers=[publish], tags=["events"])
