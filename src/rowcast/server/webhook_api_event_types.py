"""The webhook API: event types, and their export."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, Router, delete, get, patch, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter
from msgspec import UNSET, UnsetType

from rowcast.server.described import Described, EventTypeName
from rowcast.server.webhook_api import (
    PREFIX,
    Asked,
    EmptyReply,
    Iterator,
    PageLimit,
    PageOrder,
    Reply,
    WebhookApi,
    replied,
)
from rowcast.server.webhook_api_answers import Answer
from rowcast.server.webhook_api_body import read_body
from rowcast.server.webhook_api_pages import Page, page_of, turn_of
from rowcast.store.pool import Connection
from rowcast.webhooks.event_type import EventTypeChange, EventTypeDraft, KnownEventType, changed_type
from rowcast.webhooks.event_type_export import FORMATS, exported
from rowcast.webhooks.event_type_table import EventTypeTable

WithContent = Annotated[bool, Parameter(query="with_content")]
IncludeArchived = Annotated[bool, Parameter(query="include_archived")]
Expunge = Annotated[bool, Parameter(query="expunge")]
Format = Annotated[Literal["json-schema", "asyncapi", "openapi", "typescript"], Parameter(query="format")]


class EventTypeUpsert(msgspec.Struct, frozen=True, rename="camel"):
    """What a caller says about an event type. `featureFlag` is what older SDKs send for `featureFlags`."""

    description: str
    archived: bool | None = None
    deprecated: bool | None = None
    schemas: dict[str, Any] | None = None
    group_name: str | None = None
    feature_flags: list[str] | None = None
    feature_flag: str | None = None

    @property
    def draft(self) -> EventTypeDraft:
        """Give it as the table takes it."""
        return EventTypeDraft(
            description=self.description,
            schemas=self.schemas,
            is_archived=bool(self.archived),
            is_deprecated=bool(self.deprecated),
            group_name=self.group_name,
            feature_flags=_flags(self.feature_flags, self.feature_flag),
        )


class EventTypeIn(EventTypeUpsert, frozen=True, rename="camel", kw_only=True):
    """An event type that a caller adds."""

    name: EventTypeName


class EventTypePatch(msgspec.Struct, frozen=True, rename="camel"):
    """What a caller changes of an event type: absent stays, null unsets."""

    description: str | UnsetType = UNSET
    archived: bool | UnsetType = UNSET
    deprecated: bool | UnsetType = UNSET
    schemas: dict[str, Any] | UnsetType | None = UNSET
    group_name: str | UnsetType | None = UNSET
    feature_flags: list[str] | UnsetType | None = UNSET
    feature_flag: str | UnsetType | None = UNSET

    @property
    def change(self) -> EventTypeChange:
        """Give it as the table takes it."""
        flags: list[str] | UnsetType | None = self.feature_flags
        if flags is UNSET and self.feature_flag is not UNSET:
            flags = None if self.feature_flag is None else [self.feature_flag]
        return EventTypeChange(
            description=self.description,
            schemas=self.schemas,
            is_archived=self.archived,
            is_deprecated=self.deprecated,
            group_name=self.group_name,
            feature_flags=flags,
        )


class EventTypeOut(msgspec.Struct, frozen=True, rename="camel"):
    """An event type as it is answered, with the names of all SDKs."""

    name: str
    description: str
    archived: bool
    deprecated: bool
    schemas: dict[str, Any] | None
    group_name: str | None
    feature_flags: list[str] | None
    feature_flag: str | None
    created_at: datetime
    updated_at: datetime
    is_declared: bool


def event_type_out(known: KnownEventType, *, has_content: bool = True) -> EventTypeOut:
    """Give an event type as it is answered; without content it has no schemas."""
    draft = known.draft
    flags = None if draft.feature_flags is None else list(draft.feature_flags)
    return EventTypeOut(
        name=known.name,
        description=draft.description,
        archived=draft.is_archived,
        deprecated=draft.is_deprecated,
        schemas=dict(draft.schemas) if has_content and draft.schemas is not None else None,
        group_name=draft.group_name,
        feature_flags=flags,
        feature_flag=flags[0] if flags else None,
        created_at=known.created_at,
        updated_at=known.changed_at,
        is_declared=known.is_declared,
    )


def event_type_routes(api: WebhookApi, table: EventTypeTable) -> Router:
    """Give the routes under /api/v1/event-type. Event types belong to all tenants, so changing them does too."""
    handlers = [*_looking(api, table), *_adding(api, table), *_changing(api, table)]
    return Router(f"{PREFIX}/event-type", route_handlers=handlers, tags=["webhook API"])


def _looking(api: WebhookApi, table: EventTypeTable) -> list[HTTPRouteHandler]:
    may_read = api.may("endpoints:read")

    @get("/", guards=may_read, described=Described(gives=Page[EventTypeOut]))
    async def list_event_types(
        limit: PageLimit = 50,
        iterator: Iterator = None,
        order: PageOrder = None,
        with_content: WithContent = False,
        include_archived: IncludeArchived = False,
    ) -> Reply:
        """List event types by name, declared ones among them; their schemas with `with_content`."""
        turn = turn_of(limit=limit, iterator=iterator, is_falling=order == "descending")
        rows = await table.page(
            api.database, after=turn.after, is_falling=turn.reads_falling, most=turn.rows, has_archived=include_archived
        )
        page = page_of(
            rows, turn, key=lambda each: each.name, show=lambda each: event_type_out(each, has_content=with_content)
        )
        return replied(Answer(200, page))

    @get(
        "/export",
        guards=may_read,
        described=Described(gives=dict[str, Any], given_as=tuple(dict.fromkeys(FORMATS.values()))),
    )
    async def export_event_types(format: Format = "json-schema") -> Reply:  # noqa: A002 - the query's own word
        """Give all event types that are not archived as one document."""
        text = exported(await table.all(api.database), format)
        return Response(text, media_type=FORMATS[format])

    @get("/{name:str}", guards=may_read, described=Described(gives=EventTypeOut))
    async def read_event_type(name: str) -> Reply:
        """Give one event type, archived or not."""
        return replied(Answer(200, event_type_out(await table.get(api.database, api.named(name)))))

    return [list_event_types, export_event_types, read_event_type]


def _adding(api: WebhookApi, table: EventTypeTable) -> list[HTTPRouteHandler]:
    may_write = api.may_for_all("event_types:write")

    @post("/", guards=may_write, described=Described(EventTypeIn, EventTypeOut))
    async def create_event_type(request: Asked) -> Reply:
        """Add an event type; one that was archived comes back."""
        data = read_body(await request.body(), EventTypeIn)

        async def act(connection: Connection) -> Answer:
            return Answer(201, event_type_out(await table.create(connection, data.name, data.draft)))

        return await api.write(request, act)

    @put("/{name:str}", guards=may_write, described=Described(EventTypeUpsert, {200: EventTypeOut, 201: EventTypeOut}))
    async def upsert_event_type(request: Asked, name: str) -> Reply:
        """Replace what is said about an event type, or add it."""
        draft = read_body(await request.body(), EventTypeUpsert).draft

        async def act(connection: Connection) -> Answer:
            if await table.find(connection, api.named(name)) is None:
                return Answer(201, event_type_out(await table.create(connection, name, draft)))
            return Answer(200, event_type_out(await table.replace(connection, name, draft)))

        return await api.find_or_write(request, act)

    return [create_event_type, upsert_event_type]


def _changing(api: WebhookApi, table: EventTypeTable) -> list[HTTPRouteHandler]:
    may_write = api.may_for_all("event_types:write")

    @patch("/{name:str}", guards=may_write, described=Described(EventTypePatch, EventTypeOut))
    async def patch_event_type(request: Asked, name: str) -> Reply:
        """Change what is given of an event type."""
        change = read_body(await request.body(), EventTypePatch).change

        async def act(connection: Connection) -> Answer:
            draft = changed_type((await table.held(connection, api.named(name))).draft, change)
            return Answer(200, event_type_out(await table.replace(connection, name, draft)))

        return await api.write(request, act)

    @delete("/{name:str}", guards=may_write, status_code=204)
    async def delete_event_type(request: Asked, name: str, expunge: Expunge = False) -> EmptyReply:
        """Archive an event type; with `expunge` remove it for good."""

        async def act(connection: Connection) -> None:
            await table.delete(connection, api.named(name), is_expunged=expunge)

        return await api.write_empty(request, act)

    return [patch_event_type, delete_event_type]


def _flags(flags: list[str] | None, flag: str | None) -> list[str] | None:
    return [flag] if flags is None and flag is not None else flags
