"""HTTP: emit an event, and look at events."""

import uuid
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, get, post
from litestar.params import Parameter

from rowcast.core.errors import NotFoundError
from rowcast.outbox.emit import emit
from rowcast.outbox.table import EventFilter, EventTable, Status, StoredEvent
from rowcast.server.app import App
from rowcast.server.described import Described, listed_type
from rowcast.server.http import KeyFinder, Limit, TenantQuery, needs
from rowcast.server.keys import named_tenant, tenant_for


class EmitRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """One event to emit. `id` is a UUIDv7: the same event sent twice under one id is written once."""

    event_type: str
    payload: dict[str, Any]
    tenant_id: str | None = None
    aggregate_id: str | None = None
    version: int | None = None
    id: uuid.UUID | None = None
    occurred_at: datetime | None = None


def event_routes(*, app: App, table: EventTable, find_key: KeyFinder) -> Router:
    """Give the routes under /api/v1 that emit and look."""
    may_read, may_write = [needs("events:read", find_key)], [needs("events:write", find_key)]

    @post("/events", guards=may_write, status_code=202, described=Described(refuses=(409,)))
    async def emit_event(request: Request[Any, Any, Any], data: EmitRequest) -> dict[str, uuid.UUID]:
        """Emit one event, checked against its declared type."""
        tenant = named_tenant(request.state["key"], data.tenant_id)
        async with app.database.transaction() as connection:
            made = await emit(
                connection.driver, data.payload, tenant_id=tenant, catalogue=app.catalogue, **_options(data)
            )
        return {"id": made}

    @get("/events", guards=may_read, described=Described(gives=listed_type(StoredEvent, cursor=str | None)))
    async def list_events(
        request: Request[Any, Any, Any],
        tenant_id: TenantQuery = None,
        event_type: Annotated[str | None, Parameter(query="eventType")] = None,
        status: Status | None = None,
        cursor: str | None = None,
        limit: Limit = 50,
    ) -> dict[str, Any]:
        """List events, newest first."""
        tenant = tenant_for(request.state["key"], tenant_id)
        page = await table.page(
            EventFilter(event_type=event_type, status=status), tenant_id=tenant, cursor=cursor, limit=limit
        )
        return {"data": page.events, "cursor": page.next_cursor}

    @get("/events/{event_id:uuid}", guards=may_read)
    async def read_event(request: Request[Any, Any, Any], event_id: uuid.UUID) -> StoredEvent:
        """Give one event with its state."""
        found = await table.get(event_id, tenant_id=tenant_for(request.state["key"], None))
        if found is None:
            raise NotFoundError("There is no such event for this API key.")
        return found

    return Router("/api/v1", route_handlers=[emit_event, list_events, read_event], tags=["events"])


def _options(data: EmitRequest) -> dict[str, Any]:
    given = {
        "type": data.event_type, "version": data.version, "id": data.id, "aggregate_id": data.aggregate_id,
        "occurred_at": data.occurred_at,
    }  # fmt: skip
    return {name: value for name, value in given.items() if value is not None}
