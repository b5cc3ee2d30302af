"""HTTP: deliveries and their attempts."""

import uuid
from typing import Annotated, Any

from litestar import Request, Router, get
from litestar.params import Parameter

from rowcast.delivery.history import AttemptRecord, DeliveryFilter, DeliveryRecord, History
from rowcast.server.described import Described, listed_type, several, shown_type
from rowcast.server.http import IdCursor, KeyFinder, Limit, TenantQuery, needs
from rowcast.server.keys import tenant_for
from rowcast.server.wire import GREATEST_ID, DeliveryStatus, shown, shown_all

_DELIVERY = shown_type(DeliveryRecord)
_WITH_ATTEMPTS = shown_type(DeliveryRecord, attempts=several(shown_type(AttemptRecord)))


def delivery_routes(*, history: History, find_key: KeyFinder) -> Router:
    """Give the routes under /api/v1/deliveries."""
    may_read = [needs("deliveries:read", find_key)]

    @get("/", guards=may_read, described=Described(gives=listed_type(_DELIVERY, cursor=int | None)))
    async def list_deliveries(
        request: Request[Any, Any, Any],
        tenant_id: TenantQuery = None,
        event_id: Annotated[uuid.UUID | None, Parameter(query="eventId")] = None,
        status: DeliveryStatus | None = None,
        sink: str | None = None,
        cursor: IdCursor = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """List deliveries, newest first."""
        chosen = DeliveryFilter(event_id=event_id, status=status, sink=sink)
        tenant = tenant_for(request.state["key"], tenant_id)
        page = await history.page(chosen, tenant_id=tenant, cursor=cursor, limit=limit)
        return {"data": shown_all(page.deliveries), "cursor": page.cursor}

    @get("/{delivery_id:int}", guards=may_read, described=Described(gives=_WITH_ATTEMPTS))
    async def read_delivery(request: Request[Any, Any, Any], delivery_id: int) -> dict[str, Any]:
        """Give one delivery with its attempts."""
        tenant = tenant_for(request.state["key"], None)
        record = await history.read(min(delivery_id, GREATEST_ID), tenant_id=tenant)
        attempts = await history.attempts([delivery_id], tenant_id=tenant)
        return {**shown(record), "attempts": shown_all(attempts)}

    return Router("/api/v1/deliveries", route_handlers=[list_deliveries, read_delivery], tags=["deliveries"])
