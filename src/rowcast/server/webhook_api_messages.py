"""The webhook API: messages."""

from functools import partial

from litestar import Router, get, post
from litestar.handlers import HTTPRouteHandler

from rowcast.core.clock import Clock
from rowcast.core.errors import InvalidFieldError, NotFoundError
from rowcast.core.topic import checked_event_type
from rowcast.server.described import Described
from rowcast.server.keys import require_scope
from rowcast.server.webhook_api import (
    PREFIX,
    Asked,
    Reply,
    WebhookApi,
    caller,
    replied,
)
from rowcast.server.webhook_api_answers import Answer
from rowcast.server.webhook_api_applications import ApplicationIn, application_named
from rowcast.server.webhook_api_body import read_body
from rowcast.server.webhook_api_message_forms import (
    MessageIn,
    MessageOut,
    PrecheckIn,
    PrecheckOut,
    message_out,
)
from rowcast.server.webhook_api_pages import Page, page_of
from rowcast.server.webhook_api_query import (
    CHOSEN,
    EVENT_TYPES,
    AskedTurn,
    ChosenMessages,
    WithContent,
    newest_first,
    passed_message,
)
from rowcast.store.pool import Connection
from rowcast.webhooks.application import Application
from rowcast.webhooks.fan_out import hears
from rowcast.webhooks.ids import MESSAGE_PREFIX
from rowcast.webhooks.message_draft import checked_message
from rowcast.webhooks.message_reader import Terms
from rowcast.webhooks.message_table import MessageTable
from rowcast.webhooks.payload_check import PayloadCheck
from rowcast.webhooks.table import EndpointTable


class MessageRoutes:
    """What the routes of messages share."""

    __slots__ = ("api", "check", "clock", "endpoints", "table")

    def __init__(
        self, api: WebhookApi, *, table: MessageTable, endpoints: EndpointTable, check: PayloadCheck, clock: Clock
    ) -> None:
        """Ask for what they need."""
        self.endpoints = endpoints
        self.api = api
        self.table = table
        self.check = check
        self.clock = clock


def message_routes(own: MessageRoutes) -> Router:
    """Give the routes under /api/v1/app/{app_id}/msg that are about messages themselves."""
    return Router(f"{PREFIX}/app", route_handlers=[*_looking(own), _sending(own), _asking(own)], tags=["webhook API"])


def _sending(own: MessageRoutes) -> HTTPRouteHandler:
    @post(
        "/{app_id:str}/msg",
        guards=own.api.may("events:write"),
        status_code=202,
        described=Described(MessageIn, MessageOut, (404, 409, 413)),
    )
    async def create_message(request: Asked, app_id: str, with_content: WithContent = True) -> Reply:
        """Send a message to every endpoint that wants it; its event and what is said beside it are one commit."""
        data, now = read_body(await request.body(), MessageIn), own.clock.now()
        draft = checked_message(data.draft(now=now), now=now)

        async def act(connection: Connection) -> Answer:
            application = await _meant(own, request, app_id, connection, data.application)
            checked = await own.check.check(connection, draft)
            made = await own.table.create(connection, application.tenant_id, draft, about=checked)
            about = f"{application.tenant_id} {made.id}"
            return Answer(202, message_out(made, has_content=with_content), about)

        async def again(connection: Connection, about: str) -> Answer:
            # Of a message that was expunged nothing is left, in a kept answer neither.
            tenant_id, _, name = about.partition(" ")
            return Answer(202, message_out(await own.table.get(connection, tenant_id, name), has_content=with_content))

        return await own.api.write(request, act, again=again)

    return create_message


def _asking(own: MessageRoutes) -> HTTPRouteHandler:
    @post(
        "/{app_id:str}/msg/precheck/active",
        guards=own.api.may("events:read"),
        status_code=200,
        described=Described(PrecheckIn, PrecheckOut),
    )
    async def precheck_message(request: Asked, app_id: str) -> Reply:
        """Tell whether any endpoint that works would get such a message."""
        data = read_body(await request.body(), PrecheckIn)
        event_type, terms = checked_event_type(data.event_type), Terms(frozenset(data.channels or ()))
        tenant_id = (await own.api.application(request, app_id)).tenant_id
        endpoints = (await own.endpoints.for_tenants([tenant_id])).get(tenant_id, [])
        is_active = any(not each.is_disabled and each.wants(event_type) and hears(each, terms) for each in endpoints)
        return replied(Answer(200, PrecheckOut(is_active)))

    return precheck_message


def _looking(own: MessageRoutes) -> list[HTTPRouteHandler]:
    api = own.api
    may_read = api.may("events:read")

    @get(
        "/{app_id:str}/msg",
        guards=may_read,
        dependencies={"turn": newest_first(MESSAGE_PREFIX), "chosen": CHOSEN},
        described=Described(gives=Page[MessageOut], asks=EVENT_TYPES),
    )
    async def list_messages(
        request: Asked, app_id: str, turn: AskedTurn, chosen: ChosenMessages, with_content: WithContent = True
    ) -> Reply:
        """List messages, newest first, those that fit everything that is asked for."""
        after = passed_message(turn)
        application = await api.application(request, app_id)
        rows = await own.table.page(
            api.database,
            application.tenant_id,
            chosen=chosen,
            after=after,
            is_falling=turn.reads_falling,
            most=turn.rows,
        )
        show = partial(message_out, has_content=with_content)
        return replied(Answer(200, page_of(rows, turn, key=lambda each: each.id, show=show)))

    @get("/{app_id:str}/msg/{message_id:str}", guards=may_read, described=Described(gives=MessageOut))
    async def read_message(request: Asked, app_id: str, message_id: str, with_content: WithContent = True) -> Reply:
        """Give one message, named by its id or by its caller's own."""
        application = await api.application(request, app_id)
        found = await own.table.get(api.database, application.tenant_id, api.named(message_id))
        return replied(Answer(200, message_out(found, has_content=with_content)))

    return [list_messages, read_message]


async def _meant(
    own: MessageRoutes, request: Asked, app_id: str, connection: Connection, draft: ApplicationIn | None
) -> Application:
    """Give the application that a message is for; one that is not there is added where the request describes it."""
    key = caller(request)
    found = await own.api.applications.find(connection, own.api.named(app_id), tenant_id=key.tenant_id)
    if found is not None:
        return found
    if draft is None or key.tenant_id is not None:
        raise NotFoundError("There is no such application for this API key.")
    require_scope(key, "applications:write")
    if draft.uid and draft.uid != app_id:
        raise InvalidFieldError(
            "The application of a message has the uid of the path.", place=("body", "application", "uid")
        )
    return await own.api.applications.create(connection, application_named(draft, app_id))
