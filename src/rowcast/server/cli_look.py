"""Commands that look: status, events, deliveries, dead letters, configuration, psql."""

import os
import shutil
import uuid
from typing import Annotated, Any

import msgspec
import typer

from rowcast.core.errors import NotFoundError
from rowcast.delivery.dead_letter import DeadLetters
from rowcast.delivery.history import DeliveryFilter, History
from rowcast.observe.status import StatusReader
from rowcast.outbox.table import EventFilter, EventTable
from rowcast.outbox.table import Status as EventStatus
from rowcast.server.command import asked, command_database, database_url, loaded_settings, run
from rowcast.server.instance import Instance, read_instance
from rowcast.server.output import ExitCode, print_json, print_pairs, print_rows
from rowcast.server.settings import leaf_names, shown_value
from rowcast.server.wire import shown, shown_all

Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Tenant = Annotated[str | None, typer.Option("--tenant", help="only this tenant's")]
Limit = Annotated[int, typer.Option(min=1, max=500, help="rows at most")]
Cursor = Annotated[str | None, typer.Option(help="where an earlier page ended")]

config = typer.Typer(help="The settings in force.", no_args_is_help=True)


def add_commands(application: typer.Typer) -> None:
    """Add the verbs of this module."""
    application.command("status")(status)
    application.command("events")(events)
    application.command("deliveries")(deliveries)
    application.command("dead-letters")(dead_letters)
    application.command("psql")(psql)
    application.add_typer(config, name="config")


def status(
    context: typer.Context,
    is_json: Json = False,
    is_env: Annotated[bool, typer.Option("--env", help="print shell assignments")] = False,
) -> None:
    """Say what runs here and how the outbox and the deliveries stand."""
    place = asked(context, is_json)
    instance = _instance_or_none(place.folder)
    if is_env:
        _print_env(instance)
        return

    async def command() -> Any:
        async with command_database(place) as database:
            return msgspec.to_builtins(await StatusReader(database=database).read())

    state = run(place, command)
    if is_json:
        print_json({"instance": instance, **state})
        return
    if instance is not None:
        print_pairs({name.replace("_", " "): value for name, value in _shown_instance(instance).items()})
        print()
    print_pairs(state["events"])
    print()
    print_rows(
        state["deliveries"], ("sink", "status", "deliveries", "overdue_seconds"), empty="Nothing is owed to anybody."
    )
    print()
    print_rows(state["slots"], ("name", "is_active", "wal_status", "lag_bytes"), empty="No replication slot.")


def events(
    context: typer.Context,
    tenant: Tenant = None,
    event_type: Annotated[str | None, typer.Option("--type", help="only this event type")] = None,
    state: Annotated[EventStatus | None, typer.Option("--status")] = None,
    cursor: Cursor = None,
    limit: Limit = 20,
    is_json: Json = False,
) -> None:
    """List events, newest first."""
    place = asked(context, is_json)

    async def command() -> dict[str, Any]:
        async with command_database(place) as database:
            page = await EventTable(database=database).page(
                EventFilter(event_type=event_type, status=state), tenant_id=tenant, cursor=cursor, limit=limit
            )
            return {"data": msgspec.to_builtins(page.events, enc_hook=str), "cursor": page.next_cursor}

    page = run(place, command)
    columns = ("id", "tenantId", "eventType", "aggregateId", "status", "occurredAt")
    print_json(page) if is_json else print_rows(
        page["data"], columns, empty="No event yet. Emit one with 'rowcast emit'."
    )


def deliveries(
    context: typer.Context,
    delivery_id: Annotated[int | None, typer.Argument(help="show this one with its attempts")] = None,
    tenant: Tenant = None,
    event: Annotated[str | None, typer.Option(help="only of this event")] = None,
    sink: Annotated[str | None, typer.Option(help="only of this sink")] = None,
    state: Annotated[
        str | None, typer.Option("--status", help="waiting, running, delivered, dead or cancelled")
    ] = None,
    limit: Limit = 20,
    is_json: Json = False,
) -> None:
    """List deliveries, newest first, or show one with its attempts."""
    place = asked(context, is_json)

    async def command() -> dict[str, Any]:
        async with command_database(place) as database:
            history = History(database=database)
            if delivery_id is not None:
                record = await history.read(delivery_id, tenant_id=tenant)
                return {**shown(record), "attempts": shown_all(await history.attempts([delivery_id], tenant_id=tenant))}
            chosen = DeliveryFilter(event_id=uuid.UUID(event) if event else None, status=state, sink=sink)
            page = await history.page(chosen, tenant_id=tenant, limit=limit)
            return {"data": shown_all(page.deliveries), "cursor": page.cursor}

    answer = run(place, command)
    if is_json:
        print_json(answer)
    elif delivery_id is None:
        columns = ("id", "tenantId", "sink", "target", "status", "attempt", "dueAt", "error")
        print_rows(answer["data"], columns, empty="No delivery yet.")
    else:
        attempts = answer.pop("attempts")
        print_pairs(answer)
        print()
        print_rows(
            attempts,
            ("attempt", "outcome", "reason", "code", "latencyMs", "startedAt", "worker"),
            empty="No attempt yet.",
        )


def dead_letters(context: typer.Context, tenant: Tenant = None, is_json: Json = False) -> None:
    """List dead letters, grouped by what went wrong."""
    place = asked(context, is_json)

    async def command() -> list[dict[str, Any]]:
        async with command_database(place) as database:
            return shown_all(await DeadLetters(database=database).groups(tenant_id=tenant))

    groups = run(place, command)
    columns = ("fingerprint", "sink", "deliveries", "tenants", "lastAt", "sampleId", "sampleError")
    print_json({"data": groups}) if is_json else print_rows(
        groups, columns, empty="No dead letter. Everything owed is on its way or delivered."
    )


def psql(
    context: typer.Context, words: Annotated[list[str] | None, typer.Argument(help="passed on to psql")] = None
) -> None:
    """Open psql on the database."""
    place = asked(context, False)

    async def command() -> str:
        return database_url(place)

    url = run(place, command)
    program = shutil.which("psql")
    if program is None:
        print("psql is not installed (apt-get install postgresql-client). The database is", url)
        raise typer.Exit(ExitCode.CONFIG)
    os.execv(program, [program, url, *(words or [])])  # noqa: S606 - the operator's own psql


@config.command("show")
def show_config(
    context: typer.Context,
    is_origin: Annotated[bool, typer.Option("--origin", help="say where each value came from")] = False,
    is_json: Json = False,
) -> None:
    """Print every setting in force; secrets are hidden."""
    place = asked(context, is_json)

    async def command() -> list[dict[str, str]]:
        loaded = loaded_settings(place)
        return [
            {"setting": name, "value": shown_value(loaded.settings, name), "origin": loaded.origins[name]}
            for name in leaf_names()
        ]

    rows = run(place, command)
    columns = ("setting", "value", "origin") if is_origin else ("setting", "value")
    print_json({"data": rows}) if is_json else print_rows(rows, columns, empty="")


def _instance_or_none(folder: Any) -> Instance | None:
    try:
        return read_instance(folder)
    except NotFoundError:
        return None


def _shown_instance(instance: Instance) -> dict[str, Any]:
    return {name: value for name, value in shown(instance).items() if name not in ("pid", "dataFolder")}


def _print_env(instance: Instance | None) -> None:
    """Print names and values that a shell can read in: `eval "$(rowcast status --env)"`."""
    if instance is None:
        print("# no rowcast runs here")
        raise typer.Exit(ExitCode.NOT_FOUND)
    names = {
        "ROWCAST_API_URL": instance.api_url, "ROWCAST_WEBSOCKET_URL": instance.websocket_url,
        "ROWCAST_ANON_KEY": instance.anon_key, "ROWCAST_SERVICE_KEY": instance.service_key,
        "ROWCAST_API_KEY": instance.api_key, "DATABASE_URL": instance.database_url,
    }  # fmt: skip
    for name, value in names.items():
        print(f"export {name}='{value}'")
