"""The webhook API: delivering again what an endpoint missed, and the tasks that do it."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Router, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import Parameter

from rowcast.server.described import Described
from rowcast.server.webhook_api import (
    PREFIX,
    Asked,
    EmptyReply,
    Iterator,
    PageLimit,
    PageOrder,
    Reply,
    caller,
    replied,
)
from rowcast.server.webhook_api_answers import Answer
from rowcast.server.webhook_api_body import read_body
from rowcast.server.webhook_api_endpoints_frame import ENDPOINT_PATH, EndpointApi, EndpointName
from rowcast.server.webhook_api_pages import Page, page_of, turn_of
from rowcast.store.pool import Connection
from rowcast.webhooks.background_task import BackgroundTask, Chosen, TaskKind, TaskStatus, TaskTable
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.ids import TASK_PREFIX
from rowcast.webhooks.recovery import task_data

# Words of the SDKs for tasks that are done at once here: to ask for them is no mistake, there are none.
OtherTask = Literal["application.stats", "event-type.aggregate", "message.broadcast", "sdk.generate"]
AskedStatus = Annotated[TaskStatus | None, Parameter(query="status")]
AskedTask = Annotated[TaskKind | OtherTask | None, Parameter(query="task")]
# The database keeps no NUL.
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern=r"\A[^\x00-\x1f]*\Z")]

# What the numbers of the SDKs mean in the ledger: 0 success, 1 pending, 2 fail, 3 sending, 4 canceled.
_STATUSES = (("delivered",), ("waiting",), ("dead",), ("running",), ("cancelled",))
_SETTLED = ("delivered", "dead", "cancelled")


class RecoverIn(msgspec.Struct, frozen=True, rename="camel"):
    """Since when, and until when, messages are meant."""

    since: datetime
    until: datetime | None = None


class BulkReplayIn(msgspec.Struct, frozen=True, rename="camel"):
    """Which messages are delivered again; what is absent does not narrow."""

    since: datetime
    until: datetime | None = None
    event_types: tuple[Name, ...] | None = None
    channel: Name | None = None
    tag: Name | None = None
    status: Literal[0, 1, 2, 3, 4] | None = None
    status_code_class: Literal[0, 100, 200, 300, 400, 500] | None = None

    @property
    def chosen(self) -> Chosen:
        """Give it as a task takes it. What is still on its way is left alone, whatever was asked for."""
        return Chosen(
            since=self.since,
            until=self.until,
            event_types=self.event_types or None,
            channel=self.channel,
            tag=self.tag,
            statuses=_SETTLED if self.status is None else _STATUSES[self.status],
            code_class=self.status_code_class,
        )


class TaskOut(msgspec.Struct, frozen=True, rename="camel"):
    """A task as it is answered."""

    id: str
    status: TaskStatus
    task: TaskKind
    data: dict[str, Any]
    created_at: datetime
    updated_at: datetime


def task_out(task: BackgroundTask) -> TaskOut:
    """Give a task as it is answered."""
    return TaskOut(
        id=task.id,
        status=task.status,
        task=task.task,
        data=task_data(task),
        created_at=task.created_at,
        updated_at=task.changed_at,
    )


class RecoveryRoutes:
    """What the routes of recovery share."""

    __slots__ = ("endpoints", "nudge", "tasks")

    def __init__(self, *, endpoints: EndpointApi, tasks: TaskTable, nudge: Callable[[], None] | None = None) -> None:
        """Keep them; `nudge` is for whoever does tasks in this process."""
        self.endpoints = endpoints
        self.tasks = tasks
        self.nudge = nudge

    async def begin(self, request: Asked, name: EndpointName, task: TaskKind, chosen: Chosen) -> Reply:
        """Begin a task for the endpoint that a path names, and answer 202 with it."""

        async def act(connection: Connection, endpoint: Endpoint) -> Answer:
            begun = await self.tasks.begin(connection, endpoint.tenant_id, endpoint.id, task=task, chosen=chosen)
            return Answer(202, task_out(begun))

        reply = await self.endpoints.write(request, name, act)
        if self.nudge is not None:
            self.nudge()
        return reply


def recovery_routes(routes: RecoveryRoutes) -> Router:
    """Give the routes that begin tasks, and those under /api/v1/background-task."""
    return Router(PREFIX, route_handlers=[*_beginning(routes), *_tasks(routes)], tags=["webhook API"])


def _beginning(routes: RecoveryRoutes) -> list[HTTPRouteHandler]:
    may_replay = routes.endpoints.api.may("deliveries:replay")
    place = f"/app{ENDPOINT_PATH}"
    recovering, replaying = (Described(body, {202: TaskOut}, (429,)) for body in (RecoverIn, BulkReplayIn))

    @post(f"{place}/recover", guards=may_replay, status_code=202, described=recovering)
    async def recover_endpoint(request: Asked, app_id: str, endpoint_id: str) -> Reply:
        """Deliver again what is dead or was cancelled."""
        data = read_body(await request.body(), RecoverIn)
        return await routes.begin(request, (app_id, endpoint_id), "endpoint.recover", _chosen(data))

    @post(f"{place}/replay-missing", guards=may_replay, status_code=202, described=recovering)
    async def replay_missing(request: Asked, app_id: str, endpoint_id: str) -> Reply:
        """Deliver what the endpoint wants and was never owed."""
        data = read_body(await request.body(), RecoverIn)
        return await routes.begin(request, (app_id, endpoint_id), "endpoint.replay", _chosen(data))

    @post(f"{place}/bulk-replay", guards=may_replay, status_code=202, described=replaying)
    async def replay_in_bulk(request: Asked, app_id: str, endpoint_id: str) -> Reply:
        """Deliver again what is chosen by event type, channel, tag, status and code."""
        data = read_body(await request.body(), BulkReplayIn)
        return await routes.begin(request, (app_id, endpoint_id), "endpoint.bulk-replay", data.chosen)

    return [recover_endpoint, replay_missing, replay_in_bulk]


def _tasks(routes: RecoveryRoutes) -> list[HTTPRouteHandler]:
    api, tasks = routes.endpoints.api, routes.tasks
    may_read, may_replay = api.may("deliveries:read"), api.may("deliveries:replay")

    @get("/background-task", guards=may_read, described=Described(gives=Page[TaskOut]))
    async def list_background_tasks(
        request: Asked,
        status: AskedStatus = None,
        task: AskedTask = None,
        limit: PageLimit = 50,
        iterator: Iterator = None,
        order: PageOrder = None,
    ) -> Reply:
        """List tasks, newest first; a tenant's key sees its own."""
        turn = turn_of(limit=limit, iterator=iterator, is_falling=order != "ascending", prefix=TASK_PREFIX)
        rows = await tasks.page(
            api.database, after=turn.after, most=turn.rows, is_falling=turn.reads_falling,
            tenant_id=caller(request).tenant_id, status=status, task=task,
        )  # fmt: skip
        return replied(Answer(200, page_of(rows, turn, key=lambda each: each.id, show=task_out)))

    @get("/background-task/{task_id:str}", guards=may_read, described=Described(gives=TaskOut))
    async def read_background_task(request: Asked, task_id: str) -> Reply:
        """Give one task."""
        found = await tasks.get(api.database, api.named(task_id), tenant_id=caller(request).tenant_id)
        return replied(Answer(200, task_out(found)))

    @delete("/background-task/{task_id:str}", guards=may_replay, status_code=204, described=Described(gives=None))
    async def cancel_background_task(request: Asked, task_id: str) -> EmptyReply:
        """Stop a task; what it has done stays."""

        async def act(connection: Connection) -> None:
            await tasks.cancel(connection, api.named(task_id), tenant_id=caller(request).tenant_id)

        return await api.write_empty(request, act)

    return [list_background_tasks, read_background_task, cancel_background_task]


def _chosen(data: RecoverIn) -> Chosen:
    return Chosen(since=data.since, until=data.until)
