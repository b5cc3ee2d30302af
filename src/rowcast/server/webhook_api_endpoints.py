"""The webhook API: endpoints of an application."""

from datetime import datetime

import msgspec
from litestar import Router, delete, get, patch, post, put
from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET, UnsetType

from rowcast.core.errors import InvalidFieldError, NotFoundError
from rowcast.server.described import Described, HttpUrl, Rate, Uid
from rowcast.server.webhook_api import (
    PREFIX,
    Asked,
    EmptyReply,
    Iterator,
    PageLimit,
    PageOrder,
    Reply,
    replied,
)
from rowcast.server.webhook_api_answers import Answer
from rowcast.server.webhook_api_body import read_body
from rowcast.server.webhook_api_endpoints_frame import ENDPOINT_PATH, EndpointApi
from rowcast.server.webhook_api_pages import Page, page_of, turn_of
from rowcast.store.pool import Connection
from rowcast.webhooks.application import is_uid
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.endpoint_draft import (
    EndpointChange,
    EndpointDraft,
    LogLevel,
    changed_draft,
    draft_of,
    replaced_draft,
)
from rowcast.webhooks.ids import ENDPOINT_PREFIX
from rowcast.webhooks.signature import Scheme


class EndpointIn(msgspec.Struct, frozen=True, rename="camel"):
    """What a caller says about an endpoint: absent stays as it is, or is what a new one has; null unsets.

    `filterTypes` and `rateLimit` are what older SDKs call `eventTypes` and `throttleRate`.
    """

    url: HttpUrl | UnsetType = UNSET
    uid: Uid | UnsetType | None = UNSET
    description: str | UnsetType | None = UNSET
    disabled: bool | UnsetType | None = UNSET
    event_types: tuple[str, ...] | UnsetType | None = UNSET
    filter_types: tuple[str, ...] | UnsetType | None = UNSET
    channels: tuple[str, ...] | UnsetType | None = UNSET
    throttle_rate: Rate | UnsetType | None = UNSET
    rate_limit: Rate | UnsetType | None = UNSET
    metadata: dict[str, str] | UnsetType | None = UNSET
    version: int | UnsetType | None = UNSET
    secret: str | None = None
    signature_scheme: Scheme | None = None
    is_ordered: bool | UnsetType | None = UNSET
    retry_schedule: tuple[float, ...] | UnsetType | None = UNSET
    log_level: LogLevel | UnsetType | None = UNSET
    headers: dict[str, str] | None = None
    authentication: msgspec.Raw = msgspec.field(default_factory=msgspec.Raw)

    @property
    def change(self) -> EndpointChange:
        """Give it as the table takes it."""
        return EndpointChange(
            url=self.url,
            uid=self.uid,
            description=self.description if self.description is not None else "",
            is_disabled=self.disabled if self.disabled is not None else False,
            event_types=self.filter_types if self.event_types is UNSET else self.event_types,
            channels=self.channels,
            throttle_rate=self.rate_limit if self.throttle_rate is UNSET else self.throttle_rate,
            metadata=self.metadata if self.metadata is not None else {},
            version=self.version if self.version is not None else 1,
            is_ordered=self.is_ordered if self.is_ordered is not None else False,
            retry_schedule_s=self.retry_schedule,
            log_level=self.log_level if self.log_level is not None else "all",
        )

    @property
    def draft(self) -> EndpointDraft:
        """Give it as a new endpoint.

        Raises:
            InvalidFieldError: `input.field`, without a URL.
        """
        new = EndpointDraft(
            url=self.named_url, secret=self.secret or "", signature_scheme=self.signature_scheme or "v1"
        )
        return changed_draft(new, self.change)

    @property
    def named_url(self) -> str:
        """Give the URL.

        Raises:
            InvalidFieldError: `input.field`, without one.
        """
        if self.url is UNSET:
            raise InvalidFieldError("This field is required.", place=("body", "url"), kind="value_error.missing")
        return self.url


class EndpointOut(msgspec.Struct, frozen=True, rename="camel"):
    """An endpoint as it is answered, with the names of all SDKs, and what they do not know."""

    id: str
    uid: str | None
    url: str
    description: str
    disabled: bool
    event_types: tuple[str, ...] | None
    filter_types: tuple[str, ...] | None
    channels: tuple[str, ...] | None
    throttle_rate: int | None
    rate_limit: int | None
    metadata: dict[str, str]
    version: int
    created_at: datetime
    updated_at: datetime
    signature_scheme: str
    is_ordered: bool
    retry_schedule: tuple[float, ...] | None
    log_level: str
    is_transformed: bool
    failing_since: datetime | None
    disabled_at: datetime | None
    disabled_reason: str | None


def endpoint_out(endpoint: Endpoint) -> EndpointOut:
    """Give an endpoint as it is answered."""
    return EndpointOut(
        id=endpoint.id,
        uid=endpoint.uid,
        url=endpoint.url,
        description=endpoint.description,
        disabled=endpoint.is_disabled,
        event_types=endpoint.event_types,
        filter_types=endpoint.event_types,
        channels=endpoint.channels,
        throttle_rate=endpoint.throttle_rate,
        rate_limit=endpoint.throttle_rate,
        metadata=endpoint.metadata,
        version=endpoint.version,
        created_at=endpoint.created_at,
        updated_at=endpoint.changed_at,
        signature_scheme=endpoint.signature_scheme,
        is_ordered=endpoint.is_ordered,
        retry_schedule=endpoint.retry_schedule_s,
        log_level=endpoint.log_level,
        is_transformed=endpoint.is_transformed,
        failing_since=endpoint.failing_since,
        disabled_at=endpoint.disabled_at,
        disabled_reason=endpoint.disabled_reason or None,
    )


def endpoint_routes(ground: EndpointApi) -> Router:
    """Give the routes under /api/v1/app/{app_id}/endpoint that are about endpoints themselves."""
    handlers = [*_looking(ground), *_adding(ground), *_changing(ground)]
    return Router(f"{PREFIX}/app", route_handlers=handlers, tags=["webhook API"])


def _looking(ground: EndpointApi) -> list[HTTPRouteHandler]:
    api, table, may_read = ground.api, ground.table, ground.api.may("endpoints:read")

    @get("/{app_id:str}/endpoint", guards=may_read, described=Described(gives=Page[EndpointOut]))
    async def list_endpoints(
        request: Asked, app_id: str, limit: PageLimit = 50, iterator: Iterator = None, order: PageOrder = None
    ) -> Reply:
        """List the endpoints of an application, oldest first."""
        turn = turn_of(limit=limit, iterator=iterator, is_falling=order == "descending", prefix=ENDPOINT_PREFIX)
        application = await api.application(request, app_id)
        rows = await table.page(application.tenant_id, after=turn.after, most=turn.rows, is_falling=turn.reads_falling)
        return replied(Answer(200, page_of(rows, turn, key=lambda each: each.id, show=endpoint_out)))

    @get(ENDPOINT_PATH, guards=may_read, described=Described(gives=EndpointOut))
    async def read_endpoint(request: Asked, app_id: str, endpoint_id: str) -> Reply:
        """Give one endpoint."""
        async with api.database.transaction() as connection:
            found = await ground.find(request, (app_id, endpoint_id), connection)
        return replied(Answer(200, endpoint_out(found)))

    return [list_endpoints, read_endpoint]


_CREATE = Described(EndpointIn, EndpointOut, (400,), requires=("url",))
_UPSERT = Described(EndpointIn, {200: EndpointOut, 201: EndpointOut}, (400,), requires=("url",))


def _adding(ground: EndpointApi) -> list[HTTPRouteHandler]:
    api, may_write = ground.api, ground.api.may("endpoints:write")

    @post("/{app_id:str}/endpoint", guards=may_write, described=_CREATE)
    async def create_endpoint(request: Asked, app_id: str) -> Reply:
        """Add an endpoint to an application."""
        data = read_body(await request.body(), EndpointIn)
        draft = data.draft

        async def act(connection: Connection) -> Answer:
            tenant_id = (await api.application(request, app_id, connection)).tenant_id
            return await _added(ground, connection, tenant_id, draft, data)

        return await api.write(request, act)

    @put(ENDPOINT_PATH, guards=may_write, described=_UPSERT)
    async def upsert_endpoint(request: Asked, app_id: str, endpoint_id: str) -> Reply:
        """Replace what is said about an endpoint, or add it under the uid in the path."""
        data = read_body(await request.body(), EndpointIn)
        new = data.draft

        async def act(connection: Connection) -> Answer:
            tenant_id = (await api.application(request, app_id, connection)).tenant_id
            found = await ground.table.find(connection, tenant_id, api.named(endpoint_id), is_held=True)
            if found is None:
                return await _added(ground, connection, tenant_id, endpoint_named(new, endpoint_id), data)
            return await _changed(ground, connection, found, replaced_draft(draft_of(found), data.change), data)

        return await api.find_or_write(request, act)

    return [create_endpoint, upsert_endpoint]


def _changing(ground: EndpointApi) -> list[HTTPRouteHandler]:
    may_write = ground.api.may("endpoints:write")

    @patch(ENDPOINT_PATH, guards=may_write, described=Described(EndpointIn, EndpointOut, (400,)))
    async def patch_endpoint(request: Asked, app_id: str, endpoint_id: str) -> Reply:
        """Change what is given of an endpoint."""
        data = read_body(await request.body(), EndpointIn)

        async def act(connection: Connection, found: Endpoint) -> Answer:
            return await _changed(ground, connection, found, changed_draft(draft_of(found), data.change), data)

        return await ground.write(request, (app_id, endpoint_id), act)

    @delete(ENDPOINT_PATH, guards=may_write, status_code=204)
    async def delete_endpoint(request: Asked, app_id: str, endpoint_id: str) -> EmptyReply:
        """Remove an endpoint; what is still owed to it is a dead letter when it is due."""

        async def act(connection: Connection, found: Endpoint) -> None:
            await ground.table.delete(found.tenant_id, found.id, session=connection)

        return await ground.write_empty(request, (app_id, endpoint_id), act)

    return [patch_endpoint, delete_endpoint]


def endpoint_named(draft: EndpointDraft, name: str) -> EndpointDraft:
    """Give the draft of an endpoint that is put where none is: without a uid of its own it has that of the path.

    Raises:
        NotFoundError: `input.not_found`, where the path holds what can be no uid.
    """
    if not is_uid(name, prefix=ENDPOINT_PREFIX):
        raise NotFoundError("There is no such endpoint of this application.")
    return draft if draft.uid else msgspec.structs.replace(draft, uid=name)


async def _added(
    ground: EndpointApi, connection: Connection, tenant_id: str, draft: EndpointDraft, data: EndpointIn
) -> Answer:
    made = await ground.table.create(tenant_id, draft, session=connection)
    await _seal(ground, connection, made, data)
    return Answer(201, endpoint_out(made))


async def _changed(
    ground: EndpointApi, connection: Connection, found: Endpoint, draft: EndpointDraft, data: EndpointIn
) -> Answer:
    if data.secret:
        # The old one signs beside it for a day, as in any rotation.
        await ground.table.secrets.rotate(found.tenant_id, found.id, key=data.secret, session=connection)
    await _seal(ground, connection, found, data)
    return Answer(200, endpoint_out(await ground.table.update(found.tenant_id, found.id, draft, session=connection)))


async def _seal(ground: EndpointApi, connection: Connection, endpoint: Endpoint, data: EndpointIn) -> None:
    """Keep the headers and the authentication that are given; without them they stay as they are."""
    if data.headers is not None:
        await ground.privates.set_headers(connection, endpoint, data.headers)
    if bytes(data.authentication):
        await ground.privates.set_authentication(connection, endpoint, bytes(data.authentication))
