"""Commands that look: status, events, deliveries, dead letters, configuration, psql."""

import os
import shutil
from typing import Annotated, Any

import msgspec
import typer

from rowcast.delivery.dead_letter import DeadLetters
from rowcast.delivery.history import DeliveryFilter, History
from rowcast.observe.status import StatusReader
from rowcast.outbox.table import EventFilter, EventTable
from rowcast.outbox.table import Status as EventStatus
from rowcast.server.command import (
    Json,
    asked,
    command_database,
    database_url,
    loaded_settings,
    parsed_uuid,
    placed,
    run,
    running_instance,
)
from rowcast.server.instance import Instance, shell_lines
from rowcast.server.output import ExitCode, print_json, print_pairs, print_rows, show_rows
from rowcast.server.psql import psql_call
from rowcast.server.settings import leaf_names, shown_value
from rowcast.server.wire import GREATEST_ID, DeliveryStatus, shown, shown_all

Tenant = Annotated[str | None, typer.Option("--tenant", help="only this tenant's")]
Limit = Annotated[int, typer.Option(min=1, max=500, help="rows at most")]

config = typer.Typer(help="The settings in force.", no_args_is_help=True)


def add_commands(application: typer.Typer) -> None:
    """Add the verbs of this module."""
    application.command("status")(placed(status))
    application.command("events")(placed(events))
    application.command("deliveries")(placed(deliveries))
    application.command("dead-letters")(placed(dead_letters))
    application.command("psql")(placed(psql))
    config.command("show")(placed(show_config))
    application.add_typer(config, name="config")


def status(
    context: typer.Context,
    is_json: Json = False,
    is_env: Annotated[bool, typer.Option("--env", help="print shell assignments")] = False,
) -> None:
    """Say what runs here and how the outbox and the deliveries stand."""
    place = asked(context, is_json)
    instance = running_instance(place)
    if is_env:
        _print_env(instance)
        return

    async def command() -> Any:
        async with command_database(place) as database:
            return msgspec.to_builtins(await StatusReader(database=database).read())

    state = run(place, command)
    if is_json:
        print_json({"instance": instance, **state})
    else:
        _print_status(instance, state)


def events(
    context: typer.Context,
    tenant: Tenant = None,
    event_type: Annotated[str | None, typer.Option("--type", help="only this event type")] = None,
    state: Annotated[EventStatus | None, typer.Option("--status", help="only in this state")] = None,
    cursor: Annotated[str | None, typer.Option(help="where an earlier page ended")] = None,
    limit: Limit = 20,
    is_json: Json = False,
) -> None:
    """List events, newest first."""
    place = asked(context, is_json)
    chosen = EventFilter(event_type=event_type, status=state)

    async def command() -> dict[str, Any]:
        async with command_database(place) as database:
            page = await EventTable(database=database).page(chosen, tenant_id=tenant, cursor=cursor, limit=limit)
            return {"data": shown_all(page.events), "cursor": page.next_cursor}

    columns = ("id", "tenantId", "eventType", "aggregateId", "status", "occurredAt")
    empty = "No event yet. Emit one with 'rowcast emit'."
    _show_page(run(place, command), columns, empty=empty, is_json=is_json)


def deliveries(
    context: typer.Context,
    delivery_id: Annotated[
        int | None, typer.Argument(min=1, max=GREATEST_ID, help="show this one with its attempts")
    ] = None,
    tenant: Tenant = None,
    event: Annotated[str | None, typer.Option(help="only of this event")] = None,
    sink: Annotated[str | None, typer.Option(help="only of this sink")] = None,
    state: Annotated[DeliveryStatus | None, typer.Option("--status", help="only in this state")] = None,
    cursor: Annotated[int | None, typer.Option(min=1, max=GREATEST_ID, help="where an earlier page ended")] = None,
    limit: Limit = 20,
    is_json: Json = False,
) -> None:
    """List deliveries, newest first, or show one with its attempts."""
    place = asked(context, is_json)
    chosen = DeliveryFilter(event_id=parsed_uuid(event) if event else None, status=state, sink=sink)

    async def one(number: int) -> dict[str, Any]:
        async with command_database(place) as database:
            history = History(database=database)
            record = await history.read(number, tenant_id=tenant)
            return {**shown(record), "attempts": shown_all(await history.attempts([number], tenant_id=tenant))}

    async def command() -> dict[str, Any]:
        async with command_database(place) as database:
            page = await History(database=database).page(chosen, tenant_id=tenant, cursor=cursor, limit=limit)
            return {"data": shown_all(page.deliveries), "cursor": page.cursor}

    if delivery_id is not None:
        number = delivery_id
        _show_delivery(run(place, lambda: one(number)), is_json=is_json)
        return
    columns = ("id", "tenantId", "sink", "target", "status", "attempt", "dueAt", "error")
    _show_page(run(place, command), columns, empty="No delivery yet.", is_json=is_json)


def dead_letters(context: typer.Context, tenant: Tenant = None, is_json: Json = False) -> None:
    """List dead letters, grouped by what went wrong."""
    place = asked(context, is_json)

    async def command() -> list[dict[str, Any]]:
        async with command_database(place) as database:
            return shown_all(await DeadLetters(database=database).groups(tenant_id=tenant))

    columns = ("fingerprint", "sink", "deliveries", "tenants", "lastAt", "sampleId", "sampleError")
    empty = "No dead letter. Everything owed is on its way or delivered."
    show_rows(run(place, command), columns, empty=empty, is_json=is_json)


def psql(
    context: typer.Context, words: Annotated[list[str] | None, typer.Argument(help="passed on to psql")] = None
) -> None:
    """Open psql on the database."""
    place = asked(context)

    async def command() -> str:
        return database_url(place)

    url = run(place, command)
    program = shutil.which("psql")
    if program is None:
        print("psql is not installed (apt-get install postgresql-client). The database is", url)
        raise typer.Exit(ExitCode.CONFIG)
    arguments, variables = psql_call(url, words or [])
    os.execve(program, [program, *arguments], {**os.environ, **variables})  # noqa: S606 - the operator's own psql


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

    columns = ("setting", "value", "origin") if is_origin else ("setting", "value")
    show_rows(run(place, command), columns, empty="", is_json=is_json)


def _show_page(page: dict[str, Any], columns: tuple[str, ...], *, empty: str, is_json: bool) -> None:
    if is_json:
        print_json(page)
        return
    print_rows(page["data"], columns, empty=empty)
    if page["cursor"] is not None:
        print(f"There is more: --cursor {page['cursor']}")


def _show_delivery(delivery: dict[str, Any], *, is_json: bool) -> None:
    if is_json:
        print_json(delivery)
        return
    attempts = delivery.pop("attempts")
    print_pairs(delivery)
    print()
    columns = ("attempt", "outcome", "reason", "code", "latencyMs", "startedAt", "worker")
    print_rows(attempts, columns, empty="No attempt yet.")


def _print_status(instance: Instance | None, state: dict[str, Any]) -> None:
    if instance is not None:
        print_pairs({name: value for name, value in shown(instance).items() if name not in ("pid", "isSampled")})
        print()
    print_pairs(state["events"])
    print()
    columns = ("sink", "status", "deliveries", "overdue_seconds")
    print_rows(state["deliveries"], columns, empty="Nothing is owed to anybody.")
    print()
    print_rows(state["slots"], ("name", "is_active", "wal_status", "lag_bytes"), empty="No replication slot.")


def _print_env(instance: Instance | None) -> None:
    if instance is None:
        print("# no rowcast runs here")
        raise typer.Exit(ExitCode.NOT_FOUND)
    print("\n".join(shell_lines(instance)))
