"""Commands about attempts: what was posted to whom, what came back, and sending it again."""

import asyncio
from typing import Annotated, Any, Literal

import typer

from rowcast.core.envelope import Envelope
from rowcast.core.errors import NotFoundError
from rowcast.delivery.history import History
from rowcast.outbox.table import EventTable
from rowcast.server.cli_messages import (
    STATUSES,
    Channel,
    Limit,
    Since,
    Tag,
    Tenant,
    Types,
    Until,
    message_filter,
    show_part,
)
from rowcast.server.command import Json, asked, parsed_time, placed, run
from rowcast.server.output import print_json, show_pairs
from rowcast.server.webhook_desk import WebhookDesk, webhook_desk
from rowcast.server.webhook_engine import Ground, recovery
from rowcast.server.wire import shown
from rowcast.webhooks.attempt_list import Attempt, AttemptFilter, AttemptKey, AttemptList
from rowcast.webhooks.background_task import BackgroundTask, Chosen, TaskTable
from rowcast.webhooks.curl import curl_command
from rowcast.webhooks.ids import message_id, parse_attempt_id
from rowcast.webhooks.message_reader import MessageReader
from rowcast.webhooks.message_table import MessageTable
from rowcast.webhooks.poster import posted_body

_LOOK_EVERY_S = 0.2

Status = Literal["success", "pending", "fail", "sending", "canceled"]
MessageName = Annotated[str, typer.Argument(metavar="MESSAGE", help="its id, or its caller's own")]
EndpointName = Annotated[str, typer.Argument(metavar="ENDPOINT", help="its id or its uid")]
Missing = Annotated[bool, typer.Option("--missing", help="what it was never owed, in place of what failed")]
Waited = Annotated[bool, typer.Option("--wait/--no-wait", help="do it here, or leave it to a server")]

attempts = typer.Typer(help="Attempts to post a tenant's messages.", no_args_is_help=True)


def add_commands(application: typer.Typer) -> None:
    """Add the verbs of this module."""
    application.add_typer(attempts, name="attempts")
    application.command("resend")(placed(resend))
    application.command("recover")(placed(recover))


@attempts.command("list")
@placed
def list_attempts(
    context: typer.Context,
    tenant: Tenant,
    endpoint: Annotated[str, typer.Option(help="at this endpoint: its id or its uid")] = "",
    message: Annotated[str, typer.Option(help="at this message: its id, or its caller's own")] = "",
    status: Annotated[Status | None, typer.Option(help="only what came to this")] = None,
    event_types: Types = None,
    channel: Channel = None,
    tag: Tag = None,
    since: Since = "",
    until: Until = "",
    cursor: Annotated[str, typer.Option(help="where an earlier page ended")] = "",
    limit: Limit = 20,
    is_json: Json = False,
) -> None:
    """List attempts at an endpoint or at a message, newest first."""
    if not (endpoint or message):
        raise typer.BadParameter("say of what: with --endpoint, --message, or both")
    place = asked(context, is_json)
    chosen = AttemptFilter(
        statuses=None if status is None else (STATUSES.index(status),),
        messages=message_filter(event_types=event_types, channel=channel, tag=tag, since=since, until=until),
    )
    page: dict[str, Any] = {"chosen": chosen, "after": _passed(cursor), "is_falling": True, "most": limit + 1}

    async def command() -> list[Attempt]:
        async with webhook_desk(place) as desk:
            target = await desk.endpoint(tenant, endpoint) if endpoint else None
            if message:
                found = await MessageTable().get(desk.database, tenant, message)
                meant = (tenant, found.event_id, target.id if target else None)
                return list(await AttemptList().of_message(desk.database, meant, **page))
            assert target is not None  # one of them was given
            return list(await AttemptList().of_endpoint(desk.database, target, **page))

    found = run(place, command)
    rows = [_row(each) for each in found[:limit]]
    columns = ("id", "messageId", "endpointId", "status", "code", "reason", "latencyMs", "startedAt", "trigger")
    show_part(rows, columns, empty="No attempt yet.", is_more=len(found) > limit, is_json=is_json)


@attempts.command("show")
@placed
def show_attempt(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="ATTEMPT", help="its id")],
    tenant: Tenant,
    is_curl: Annotated[bool, typer.Option("--curl", help="print it as a command for a shell")] = False,
    is_json: Json = False,
) -> None:
    """Show what was sent and what came back, and where the time went."""
    place = asked(context, is_json)

    async def command() -> tuple[dict[str, Any], str]:
        async with webhook_desk(place) as desk:
            found = await _attempt(desk, tenant, name)
            detail = shown(found.detail) if found.detail is not None else {}
            whole = {**_row(found), **detail, "response": found.response}
            return whole, await _curl(desk, tenant, found) if is_curl else ""

    whole, line = run(place, command)
    if is_curl:
        print_json({"curl": line}) if is_json else print(line)
    else:
        show_pairs(whole, is_json=is_json)


def resend(
    context: typer.Context, message: MessageName, endpoint: EndpointName, tenant: Tenant, is_json: Json = False
) -> None:
    """Owe a message to an endpoint again, whatever became of it; what waits for its next attempt is tried now."""
    place = asked(context, is_json)

    async def command() -> bool:
        async with webhook_desk(place) as desk:
            target = await desk.endpoint(tenant, endpoint)
            async with desk.database.transaction() as session:
                found = await MessageTable().get(session, tenant, message)
                return await AttemptList().resend(session, target, found)

    is_new = run(place, command)
    if is_json:
        print_json({"resent": is_new})
    else:
        print(f"{message} goes out again" if is_new else f"{message} is on its way already")


def recover(
    context: typer.Context,
    endpoint: EndpointName,
    tenant: Tenant,
    since: Annotated[str, typer.Option(help="messages from this time on, ISO 8601")],
    until: Until = "",
    is_missing: Annotated[
        bool, typer.Option("--missing", help="what it was never owed, in place of what failed")
    ] = False,
    is_waited: Annotated[bool, typer.Option("--wait/--no-wait", help="do it here, or leave it to a server")] = True,
    is_json: Json = False,
) -> None:
    """Deliver again what an endpoint missed: what is dead, and what was cancelled while it was disabled."""
    place = asked(context, is_json)
    chosen = Chosen(since=parsed_time(since), until=parsed_time(until) if until else None)

    async def command() -> BackgroundTask:
        async with webhook_desk(place) as desk:
            table, target = TaskTable(clock=desk.clock), await desk.endpoint(tenant, endpoint)
            kind: Any = "endpoint.replay" if is_missing else "endpoint.recover"
            begun = await table.begin(desk.database, tenant, target.id, task=kind, chosen=chosen)
            return await _ended(desk, table, begun) if is_waited else begun

    task = run(place, command)
    done = {"id": task.id, "status": task.status, "replayed": task.replayed, "reason": task.reason}
    show_pairs(done, is_json=is_json)


async def _ended(desk: WebhookDesk, table: TaskTable, begun: BackgroundTask) -> BackgroundTask:
    """Do steps until a task has ended, by whomever. Whoever stops this leaves the rest to a server."""
    ground = Ground(desk.settings, desk.database, desk.clock, lambda: 0.5, desk.policy, desk.ring)
    worker, task = recovery(ground), begun
    while task.status == "running":
        if not await worker.step():
            await asyncio.sleep(_LOOK_EVERY_S)
        task = await table.get(desk.database, begun.id)
    return task


async def _attempt(desk: WebhookDesk, tenant_id: str, name: str) -> Attempt:
    key = parse_attempt_id(name)
    if key is None:
        raise NotFoundError("There is no such attempt. 'rowcast attempts list' has those there are.")
    delivery = await History(database=desk.database).read(key[0], tenant_id=tenant_id)
    if delivery.event_id is None:
        raise NotFoundError("There is no such attempt. 'rowcast attempts list' has those there are.")
    return await AttemptList().get(desk.database, tenant_id, delivery.event_id, name=name)


async def _curl(desk: WebhookDesk, tenant_id: str, attempt: Attempt) -> str:
    """Give the command; its body is made anew, as the endpoint would get it now.

    Raises:
        NotFoundError: `input.not_found`, when headers or body are not kept any more.
    """
    event = await EventTable(database=desk.database).get(attempt.event_id, tenant_id=tenant_id)
    signing = (await desk.endpoints.for_signing([(tenant_id, attempt.endpoint_id)])).get(
        (tenant_id, attempt.endpoint_id)
    )
    body = None
    if event is not None and signing is not None:
        fields = {name: getattr(event, name) for name in Envelope.__struct_fields__ if name != "seq"}
        reader = MessageReader(database=desk.database, clock=desk.clock)
        body = await posted_body(reader, signing, Envelope(**fields))
    if body is None or attempt.detail is None:
        raise NotFoundError("What was sent is not kept any more: it was expunged, or only failures are kept.")
    text = body.content.decode("utf-8", "replace")
    return curl_command(attempt.detail.url, headers=attempt.detail.request_headers, body=text)


def _passed(cursor: str) -> AttemptKey | None:
    key = parse_attempt_id(cursor)
    if cursor and key is None:
        raise typer.BadParameter(f"{cursor[:60]!r} is no attempt")
    return key


def _row(attempt: Attempt) -> dict[str, Any]:
    return {
        "id": attempt.id,
        "messageId": message_id(attempt.event_id),
        "endpointId": attempt.endpoint_id,
        "status": STATUSES[attempt.status],
        "code": attempt.code,
        "reason": attempt.reason,
        "attempt": attempt.attempt,
        "trigger": "manual" if attempt.is_manual else "scheduled",
        "url": attempt.url,
        "startedAt": attempt.started_at,
        "latencyMs": round(attempt.latency_ms, 1),
    }
