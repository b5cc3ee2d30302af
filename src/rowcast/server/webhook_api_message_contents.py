"""The webhook API: removing what messages held, one by one, several at once, or all of an application."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, Literal

import msgspec
from litestar import Router, delete, post
from litestar.handlers import HTTPRouteHandler

from rowcast.server.described import Described
from rowcast.server.webhook_api import NAME_MOST, PREFIX, Asked, EmptyReply, Reply, WebhookApi
from rowcast.server.webhook_api_answers import Answer
from rowcast.server.webhook_api_body import read_body
from rowcast.server.webhook_api_recovery import TaskOut, task_out
from rowcast.store.pool import Connection
from rowcast.webhooks.background_task import Chosen, TaskTable
from rowcast.webhooks.expunge import Expunge
from rowcast.webhooks.message_table import MessageTable

_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
# The database keeps no NUL.
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_MOST, pattern=r"\A[^\x00]*\Z")]


class BulkExpungeIn(msgspec.Struct, frozen=True):
    """Which messages are meant, each by its id or by its caller's own."""

    ids: Annotated[list[Name], msgspec.Meta(max_length=250)] | None = None


class BulkExpungeOut(msgspec.Struct, frozen=True):
    """What came of each message that was named."""

    results: dict[str, Literal["expunged", "not-found"]]


class ContentRoutes:
    """What the routes that remove contents share."""

    __slots__ = ("api", "expunge", "messages", "nudge", "tasks")

    def __init__(
        self,
        api: WebhookApi,
        *,
        messages: MessageTable,
        expunge: Expunge,
        tasks: TaskTable,
        nudge: Callable[[], None] | None = None,
    ) -> None:
        """Ask for what they need; `nudge` is for whoever does tasks in this process."""
        self.api = api
        self.messages = messages
        self.expunge = expunge
        self.tasks = tasks
        self.nudge = nudge


def content_routes(own: ContentRoutes) -> Router:
    """Give the routes under /api/v1/app/{app_id}/msg that remove what messages held."""
    return Router(f"{PREFIX}/app", route_handlers=[*_some(own), _all(own)], tags=["webhook API"])


def _some(own: ContentRoutes) -> list[HTTPRouteHandler]:
    api = own.api
    may_write = api.may("events:write")

    @delete("/{app_id:str}/msg/{message_id:str}/content", guards=may_write, status_code=204)
    async def expunge_message(request: Asked, app_id: str, message_id: str) -> EmptyReply:
        """Remove what a message held and what was answered to it; what still waits to be posted is cancelled."""

        async def act(connection: Connection) -> None:
            tenant_id = (await api.application(request, app_id, connection)).tenant_id
            found = await own.messages.get(connection, tenant_id, api.named(message_id))
            await own.expunge.contents(tenant_id, [found.event_id], session=connection)

        return await api.write_empty(request, act)

    @post(
        "/{app_id:str}/msg/bulk-expunge",
        guards=may_write,
        status_code=200,
        described=Described(BulkExpungeIn, BulkExpungeOut),
    )
    async def expunge_messages(request: Asked, app_id: str) -> Reply:
        """Do the same with several messages at once."""
        names = read_body(await request.body(), BulkExpungeIn).ids or []

        async def act(connection: Connection) -> Answer:
            tenant_id = (await api.application(request, app_id, connection)).tenant_id
            known = await own.messages.known(connection, tenant_id, names)
            await own.expunge.contents(tenant_id, known.values(), session=connection)
            return Answer(200, BulkExpungeOut({name: "expunged" if name in known else "not-found" for name in names}))

        return await api.write(request, act)

    return [expunge_message, expunge_messages]


def _all(own: ContentRoutes) -> HTTPRouteHandler:
    @post(
        "/{app_id:str}/msg/expunge-all-contents",
        guards=own.api.may("events:write"),
        status_code=202,
        described=Described(gives={202: TaskOut}, refuses=(429,)),
    )
    async def expunge_all_contents(request: Asked, app_id: str) -> Reply:
        """Begin a task that removes what all messages of an application held that were written until now."""

        async def act(connection: Connection) -> Answer:
            tenant_id = (await own.api.application(request, app_id, connection)).tenant_id
            task = await own.tasks.begin(
                connection, tenant_id, "", task="application.purge_content", chosen=Chosen(since=_BEGINNING)
            )
            return Answer(202, task_out(task))

        reply = await own.api.write(request, act)
        if own.nudge is not None:
            own.nudge()
        return reply

    return expunge_all_contents
