"""Commands about messages: the events of a tenant as its endpoints are owed them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any

import typer

from rowcast.core.codec import decode_json
from rowcast.core.errors import InvalidInputError
from rowcast.core.event import DECLARED
from rowcast.server.command import Json, asked, command_packs, parsed_time, placed, read_argument, run
from rowcast.server.output import print_json, print_rows, show_pairs
from rowcast.server.webhook_desk import webhook_desk
from rowcast.webhooks.attempt_list import AttemptList
from rowcast.webhooks.event_type import declared_types
from rowcast.webhooks.event_type_table import EventTypeTable
from rowcast.webhooks.expunge import Expunge
from rowcast.webhooks.ids import event_id_of
from rowcast.webhooks.message_draft import MessageDraft, checked_message
from rowcast.webhooks.message_table import Message, MessageFilter, MessageTable
from rowcast.webhooks.payload_check import PayloadCheck

STATUSES = ("success", "pending", "fail", "sending", "canceled")
"""What the numbers of the API mean, in their order."""

Tenant = Annotated[str, typer.Option("--tenant", help="whose it is")]
Name = Annotated[str, typer.Argument(metavar="MESSAGE", help="its id, or its caller's own")]
Limit = Annotated[int, typer.Option(min=1, max=250, help="rows at most")]
Types = Annotated[list[str] | None, typer.Option("--event-type", help="only this type; again for more")]
Channel = Annotated[str | None, typer.Option(help="only of this channel")]
Tag = Annotated[str | None, typer.Option(help="only with this tag")]
Since = Annotated[str, typer.Option(help="from this time on, ISO 8601")]
Until = Annotated[str, typer.Option(help="and before this one")]
After = Annotated[str, typer.Option("--cursor", help="where an earlier page ended")]

messages = typer.Typer(help="A tenant's messages.", no_args_is_help=True)


@messages.command("list")
@placed
def list_messages(
    context: typer.Context,
    tenant: Tenant,
    event_types: Types = None,
    channel: Channel = None,
    tag: Tag = None,
    since: Since = "",
    until: Until = "",
    cursor: After = "",
    limit: Limit = 20,
    is_json: Json = False,
) -> None:
    """List messages, newest first."""
    place = asked(context, is_json)
    chosen = message_filter(event_types=event_types, channel=channel, tag=tag, since=since, until=until)
    after = passed(cursor)

    async def command() -> Sequence[Message]:
        async with webhook_desk(place) as desk:
            table = MessageTable()
            return await table.page(desk.database, tenant, chosen=chosen, after=after, is_falling=True, most=limit + 1)

    found = run(place, command)
    rows = [message_shown(each) for each in found[:limit]]
    columns = ("id", "eventId", "eventType", "channels", "timestamp")
    show_part(rows, columns, empty="No message yet.", is_more=len(found) > limit, is_json=is_json)


@messages.command("show")
@placed
def show_message(context: typer.Context, name: Name, tenant: Tenant, is_json: Json = False) -> None:
    """Show a message with its payload, and where it stands with each endpoint."""
    place = asked(context, is_json)

    async def command() -> dict[str, Any]:
        async with webhook_desk(place) as desk:
            found = await MessageTable().get(desk.database, tenant, name)
            legs = await AttemptList().legs_of(desk.database, tenant, found.event_id)
            shown = [
                {"endpointId": each.endpoint_id, "status": STATUSES[each.status], "nextAttempt": each.next_at}
                for each in legs.values()
            ]
            return {**message_shown(found), "payload": found.payload, "endpoints": shown}

    message = run(place, command)
    if is_json:
        print_json(message)
        return
    legs = message.pop("endpoints")
    show_pairs(message, is_json=False)
    print()
    print_rows(legs, ("endpointId", "status", "nextAttempt"), empty="It is owed to no endpoint.")


@messages.command("send")
@placed
def send_message(
    context: typer.Context,
    event_type: Annotated[str, typer.Argument(help="such as orders.confirmed")],
    payload: Annotated[str, typer.Argument(help="a JSON object, @file, or - for standard input")],
    tenant: Tenant,
    uid: Annotated[str | None, typer.Option("--id", help="your own id of it; one id is sent once")] = None,
    channels: Annotated[list[str] | None, typer.Option("--channel", help="for endpoints of it; again for more")] = None,
    tags: Annotated[list[str] | None, typer.Option("--tag", help="a word to find it by; again for more")] = None,
    kept_days: Annotated[int | None, typer.Option("--kept-days", min=5, max=90, help="then expunge it")] = None,
    is_json: Json = False,
) -> None:
    """Send a message to every endpoint that wants it, checked against its type."""
    place = asked(context, is_json)
    text = read_argument(payload)

    async def command() -> dict[str, Any]:
        command_packs(place)
        async with webhook_desk(place) as desk:
            now = desk.clock.now()
            draft = MessageDraft(
                event_type=event_type,
                payload=_object(text),
                uid=uid,
                channels=channels or None,
                tags=tags or None,
                expires_at=now + timedelta(days=kept_days) if kept_days else None,
            )
            checked_message(draft, now=now)
            types = EventTypeTable(declared=declared_types(DECLARED, at=now))
            async with desk.database.transaction() as session:
                about = await PayloadCheck(types=types, declared=DECLARED).check(session, draft)
                return message_shown(await MessageTable().create(session, tenant, draft, about=about))

    show_pairs(run(place, command), is_json=is_json)


@messages.command("expunge")
@placed
def expunge_messages(
    context: typer.Context,
    names: Annotated[list[str], typer.Argument(metavar="MESSAGES", help="ids, or their callers' own")],
    tenant: Tenant,
    is_json: Json = False,
) -> None:
    """Remove what messages held and what was answered to them; what still waits is cancelled."""
    place = asked(context, is_json)

    async def command() -> int:
        async with webhook_desk(place) as desk:
            found = [await MessageTable().get(desk.database, tenant, name) for name in names]
            return await Expunge(database=desk.database).contents(tenant, [each.event_id for each in found])

    count = run(place, command)
    print_json({"expunged": count}) if is_json else print(f"{count} expunged")


def message_filter(
    *, event_types: Sequence[str] | None, channel: str | None, tag: str | None, since: str, until: str
) -> MessageFilter:
    """Give which messages are meant."""
    return MessageFilter(
        event_types=tuple(event_types) if event_types else None,
        channel=channel,
        tag=tag,
        since=parsed_time(since) if since else None,
        until=parsed_time(until) if until else None,
    )


def message_shown(message: Message) -> dict[str, Any]:
    """Give a message as people and programs see it, without its payload."""
    return {
        "id": message.id,
        "eventId": message.uid,
        "eventType": message.event_type,
        "channels": message.channels,
        "tags": message.tags,
        "timestamp": message.created_at,
        "isExpunged": message.is_expunged,
    }


def show_part(
    rows: Sequence[dict[str, Any]], columns: tuple[str, ...], *, empty: str, is_more: bool, is_json: bool
) -> None:
    """Print a page of rows, and how to get the next one."""
    cursor = rows[-1]["id"] if is_more else None
    if is_json:
        print_json({"data": rows, "cursor": cursor})
        return
    print_rows(rows, columns, empty=empty)
    if cursor is not None:
        print(f"There is more: --cursor {cursor}")


def passed(cursor: str) -> Any:
    """Give the event of the message that a page goes on from; None at the beginning.

    Raises:
        typer.BadParameter: For what no page gave.
    """
    event_id = event_id_of(cursor)
    if cursor and event_id is None:
        raise typer.BadParameter(f"{cursor[:60]!r} is no message")
    return event_id


def _object(text: bytes) -> bytes:
    if not isinstance(decode_json(text), dict):
        raise InvalidInputError("The payload is a JSON object.", code="input.payload")
    return text
