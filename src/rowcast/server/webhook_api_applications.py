"""The webhook API: applications."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar import Router, delete, get, patch, post, put
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter
from msgspec import UNSET, UnsetType

from rowcast.core.errors import NotFoundError
from rowcast.server.described import Described, NamedText, Rate, Uid
from rowcast.server.portal_links import end_keys
from rowcast.server.webhook_api import (
    PREFIX,
    Asked,
    EmptyReply,
    Iterator,
    PageLimit,
    PageOrder,
    Reply,
    WebhookApi,
    caller,
    replied,
)
from rowcast.server.webhook_api_answers import Answer
from rowcast.server.webhook_api_body import read_body
from rowcast.server.webhook_api_pages import Page, page_of, turn_of
from rowcast.store.pool import Connection
from rowcast.webhooks.application import (
    Application,
    ApplicationChange,
    ApplicationDraft,
    changed,
    checked_uid,
    draft_of,
    is_uid,
)
from rowcast.webhooks.ids import APPLICATION_PREFIX

GetIfExists = Annotated[bool, Parameter(query="get_if_exists")]


class ApplicationIn(msgspec.Struct, frozen=True, rename="camel"):
    """What a caller says about an application. `rateLimit` is what older SDKs call `throttleRate`."""

    name: NamedText
    uid: Uid | UnsetType | None = UNSET
    throttle_rate: Rate | None = None
    rate_limit: Rate | None = None
    metadata: dict[str, str] | None = None

    @property
    def draft(self) -> ApplicationDraft:
        """Give it as the table takes it."""
        return ApplicationDraft(
            name=self.name,
            uid=self.uid or None,
            throttle_rate=self.throttle_rate if self.throttle_rate is not None else self.rate_limit,
            metadata=self.metadata or {},
        )


class ApplicationPatch(msgspec.Struct, frozen=True, rename="camel"):
    """What a caller changes of an application: absent stays, null unsets."""

    name: NamedText | UnsetType = UNSET
    uid: Uid | UnsetType | None = UNSET
    throttle_rate: Rate | UnsetType | None = UNSET
    rate_limit: Rate | UnsetType | None = UNSET
    metadata: dict[str, str] | UnsetType | None = UNSET

    @property
    def change(self) -> ApplicationChange:
        """Give it as the table takes it."""
        rate = self.rate_limit if self.throttle_rate is UNSET else self.throttle_rate
        metadata = {} if self.metadata is None else self.metadata
        return ApplicationChange(name=self.name, uid=self.uid, throttle_rate=rate, metadata=metadata)


class ApplicationOut(msgspec.Struct, frozen=True, rename="camel"):
    """An application as it is answered, with the names of all SDKs."""

    id: str
    uid: str | None
    name: str
    throttle_rate: int | None
    rate_limit: int | None
    metadata: dict[str, str]
    created_at: datetime
    updated_at: datetime


def application_out(application: Application) -> ApplicationOut:
    """Give an application as it is answered."""
    return ApplicationOut(
        id=application.id,
        uid=application.uid,
        name=application.name,
        throttle_rate=application.throttle_rate,
        rate_limit=application.throttle_rate,
        metadata=application.metadata,
        created_at=application.created_at,
        updated_at=application.changed_at,
    )


def application_named(data: ApplicationIn, app_id: str) -> ApplicationDraft:
    """Give the draft of an application that is put where none is: without a uid of its own it has that of the path."""
    if not is_uid(app_id, prefix=APPLICATION_PREFIX):
        raise NotFoundError("There is no such application for this API key.")
    return data.draft if data.uid else msgspec.structs.replace(data.draft, uid=app_id)


def application_routes(api: WebhookApi) -> Router:
    """Give the routes under /api/v1/app that are about applications themselves."""
    handlers = [*_looking(api), *_adding(api), *_changing(api)]
    return Router(f"{PREFIX}/app", route_handlers=handlers, tags=["webhook API"])


def _looking(api: WebhookApi) -> list[HTTPRouteHandler]:
    may_read = api.may("endpoints:read")

    @get("/", guards=may_read, described=Described(gives=Page[ApplicationOut]))
    async def list_applications(
        request: Asked, limit: PageLimit = 50, iterator: Iterator = None, order: PageOrder = None
    ) -> Reply:
        """List applications, oldest first; a tenant's key sees its own."""
        turn = turn_of(limit=limit, iterator=iterator, is_falling=order == "descending", prefix=APPLICATION_PREFIX)
        rows = await api.applications.page(
            api.database, after=turn.after, is_falling=turn.reads_falling, most=turn.rows,
            tenant_id=caller(request).tenant_id,
        )  # fmt: skip
        return replied(Answer(200, page_of(rows, turn, key=lambda each: each.id, show=application_out)))

    @get("/{app_id:str}", guards=may_read, described=Described(gives=ApplicationOut))
    async def read_application(request: Asked, app_id: str) -> Reply:
        """Give one application."""
        return replied(Answer(200, application_out(await api.application(request, app_id))))

    return [list_applications, read_application]


def _adding(api: WebhookApi) -> list[HTTPRouteHandler]:
    may_write = api.may_for_all("applications:write")

    @post("/", guards=may_write, described=Described(ApplicationIn, {201: ApplicationOut, 200: ApplicationOut}))
    async def create_application(request: Asked, get_if_exists: GetIfExists = False) -> Reply:
        """Add an application; with `get_if_exists` give the one that has the uid already."""
        draft = read_body(await request.body(), ApplicationIn).draft

        async def act(connection: Connection) -> Answer:
            if get_if_exists and draft.uid and checked_uid(draft.uid, prefix=APPLICATION_PREFIX):
                found = await api.applications.find(connection, draft.uid)
                if found is not None:
                    return Answer(200, application_out(found))
            return Answer(201, application_out(await api.applications.create(connection, draft)))

        return await (api.find_or_write(request, act) if get_if_exists else api.write(request, act))

    @put(
        "/{app_id:str}",
        guards=may_write,
        described=Described(ApplicationIn, {200: ApplicationOut, 201: ApplicationOut}),
    )
    async def upsert_application(request: Asked, app_id: str) -> Reply:
        """Replace what is said about an application, or add it under the uid in the path."""
        data = read_body(await request.body(), ApplicationIn)

        async def act(connection: Connection) -> Answer:
            found = await api.applications.find(connection, api.named(app_id))
            if found is None:
                return Answer(
                    201, application_out(await api.applications.create(connection, application_named(data, app_id)))
                )
            draft = data.draft if data.uid is not UNSET else msgspec.structs.replace(data.draft, uid=found.uid)
            made = await api.applications.replace(connection, found.tenant_id, draft)
            return Answer(200, application_out(made))

        return await api.find_or_write(request, act)

    return [create_application, upsert_application]


def _changing(api: WebhookApi) -> list[HTTPRouteHandler]:
    may_write = api.may_for_all("applications:write")

    @patch("/{app_id:str}", guards=may_write, described=Described(ApplicationPatch, ApplicationOut))
    async def patch_application(request: Asked, app_id: str) -> Reply:
        """Change what is given of an application."""
        change = read_body(await request.body(), ApplicationPatch).change

        async def act(connection: Connection) -> Answer:
            named = await api.application(request, app_id, connection)
            found = await api.applications.held(connection, named.tenant_id)
            draft = changed(draft_of(found), change)
            return Answer(200, application_out(await api.applications.replace(connection, found.tenant_id, draft)))

        return await api.write(request, act)

    @delete("/{app_id:str}", guards=may_write, status_code=204)
    async def delete_application(request: Asked, app_id: str) -> EmptyReply:
        """Remove an application with its endpoints; what is owed to them is cancelled."""

        async def act(connection: Connection) -> None:
            found = await api.application(request, app_id, connection)
            await api.applications.delete(connection, found.tenant_id)
            await end_keys(connection, found.tenant_id)

        return await api.write_empty(request, act)

    return [patch_application, delete_application]
