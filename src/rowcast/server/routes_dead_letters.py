"""HTTP: dead letters, and delivering again what was delivered or not."""

import uuid
from typing import Any

import msgspec
from litestar import Request, Router, get, post

from rowcast.core.errors import InvalidInputError
from rowcast.delivery.dead_letter import DeadFilter, DeadGroup, DeadLetters, Leg
from rowcast.server.described import Described, listed_type, shown_type
from rowcast.server.http import KeyFinder, Limit, TenantQuery, needs
from rowcast.server.keys import tenant_for
from rowcast.server.wire import RowId, shown_all


class ReplayRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Which dead letters to replay. At least one field must narrow it, or `all` must be true."""

    ids: tuple[RowId, ...] | None = None
    fingerprint: str | None = None
    sink: str | None = None
    target: str | None = None
    event_id: uuid.UUID | None = None
    tenant_id: str | None = None
    all: bool = False


class ReplayEventRequest(msgspec.Struct, frozen=True, rename="camel", forbid_unknown_fields=True):
    """Which legs of an event to deliver again; what is absent does not narrow."""

    sink: str | None = None
    target: str | None = None
    rule: str | None = None
    tenant_id: str | None = None


def dead_letter_routes(*, dead_letters: DeadLetters, find_key: KeyFinder) -> Router:
    """Give the routes under /api/v1 that list dead letters and replay."""
    may_read, may_replay = [needs("deliveries:read", find_key)], [needs("deliveries:replay", find_key)]

    @get("/dead-letters", guards=may_read, described=Described(gives=listed_type(shown_type(DeadGroup))))
    async def list_dead_letters(
        request: Request[Any, Any, Any], tenant_id: TenantQuery = None, limit: Limit = 100
    ) -> dict[str, Any]:
        """List dead letters grouped by what went wrong."""
        groups = await dead_letters.groups(tenant_id=tenant_for(request.state["key"], tenant_id), limit=limit)
        return {"data": shown_all(groups)}

    @post("/dead-letters/replay", guards=may_replay, status_code=202)
    async def replay_dead_letters(request: Request[Any, Any, Any], data: ReplayRequest) -> dict[str, int]:
        """Deliver dead letters again; twice is as once."""
        chosen = chosen_letters(data, tenant_for(request.state["key"], data.tenant_id))
        return {"replayed": await dead_letters.replay(chosen)}

    @post("/events/{event_id:uuid}/replay", guards=may_replay, status_code=202)
    async def replay_event(
        request: Request[Any, Any, Any], event_id: uuid.UUID, data: ReplayEventRequest
    ) -> dict[str, list[int]]:
        """Deliver an event again, on all its legs or on some."""
        tenant = tenant_for(request.state["key"], data.tenant_id)
        leg = Leg(sink=data.sink, target=data.target, rule=data.rule)
        return {"deliveries": list(await dead_letters.replay_event(event_id, tenant_id=tenant, leg=leg))}

    handlers = [list_dead_letters, replay_dead_letters, replay_event]
    return Router("/api/v1", route_handlers=handlers, tags=["dead letters"])


def chosen_letters(data: ReplayRequest, tenant_id: str | None) -> DeadFilter:
    """Give which dead letters a request means.

    Raises:
        InvalidInputError: `input.replay`, when nothing narrows it and `all` is not said.
    """
    narrowing = (data.ids, data.fingerprint, data.sink, data.target, data.event_id)
    if not data.all and all(value is None for value in narrowing):
        raise InvalidInputError(
            "The replay names no dead letter. Give ids, fingerprint, sink, target or eventId, or say all: true.",
            code="input.replay",
        )
    return DeadFilter(
        tenant_id=tenant_id,
        ids=data.ids,
        fingerprint=data.fingerprint,
        sink=data.sink,
        target=data.target,
        event_id=data.event_id,
    )
