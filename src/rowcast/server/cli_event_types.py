"""Commands about event types."""

from typing import Annotated, Any

import typer

from rowcast.core.clock import SystemClock
from rowcast.core.event import DECLARED
from rowcast.server.command import Json, asked, command_database, command_packs, placed, run
from rowcast.server.output import show_rows
from rowcast.webhooks.event_type import KnownEventType, declared_types
from rowcast.webhooks.event_type_export import FORMATS, exported
from rowcast.webhooks.event_type_table import EventTypeTable

_HELP = "Types of events: those that classes declare, and those that the API added."

event_types = typer.Typer(help=_HELP, no_args_is_help=True)


@event_types.command("list")
@placed
def list_event_types(context: typer.Context, is_json: Json = False) -> None:
    """List the event types that are not archived."""
    place = asked(context, is_json)
    command_packs(place)

    async def command() -> list[dict[str, Any]]:
        async with command_database(place) as database:
            return [_shown(each) for each in await _table().all(database)]

    empty = "There is no event type. Declare a class, or add one by the API."
    show_rows(run(place, command), ("name", "versions", "declared", "description"), empty=empty, is_json=is_json)


@event_types.command("export")
@placed
def export_event_types(
    context: typer.Context,
    form: Annotated[str, typer.Option("--format", help=f"one of: {', '.join(FORMATS)}")] = "json-schema",
) -> None:
    """Print the event types as one document, the newest version of each."""
    place = asked(context)
    command_packs(place)
    if form not in FORMATS:
        raise typer.BadParameter(f"{form[:60]!r} is no format; choose from {', '.join(FORMATS)}")

    async def command() -> bytes:
        async with command_database(place) as database:
            return exported(await _table().all(database), form)

    print(run(place, command).decode())


def _table() -> EventTypeTable:
    return EventTypeTable(declared=declared_types(DECLARED, at=SystemClock().now()))


def _shown(each: KnownEventType) -> dict[str, Any]:
    return {
        "name": each.name,
        "versions": sorted(each.draft.schemas or (), key=int),
        "declared": each.is_declared,
        "description": each.draft.description,
    }
