"""Commands that write: emit, replay, migrate."""

import uuid
from typing import Annotated, Any

import typer

from rowcast.core.errors import InvalidInputError
from rowcast.core.event import DECLARED
from rowcast.delivery.dead_letter import DeadFilter, DeadLetters, Leg
from rowcast.outbox.emit import emit
from rowcast.server.command import (
    Json,
    asked,
    command_database,
    command_packs,
    database_url,
    parsed_json,
    parsed_uuid,
    placed,
    run,
)
from rowcast.server.output import print_json
from rowcast.server.wire import GREATEST_ID
from rowcast.store.migrate import migrate, plan_migrations, render_migrations
from rowcast.store.pool import Connection, connect

Tenant = Annotated[str, typer.Option("--tenant", help="whose it is")]
OptionalTenant = Annotated[str | None, typer.Option("--tenant", help="only this tenant's")]


def add_commands(application: typer.Typer) -> None:
    """Add the verbs of this module."""
    application.command("emit")(placed(emit_event))
    application.command("replay")(placed(replay))
    application.command("migrate")(placed(run_migrations))


def emit_event(
    context: typer.Context,
    event_type: Annotated[str, typer.Argument(help="such as orders.confirmed")],
    payload: Annotated[str, typer.Argument(help="JSON, @file, or - for standard input")],
    tenant: Tenant,
    aggregate_id: Annotated[str | None, typer.Option("--aggregate-id", help="which thing it is about")] = None,
    event_id: Annotated[str | None, typer.Option("--id", help="a UUIDv7; one id is written once")] = None,
    is_json: Json = False,
) -> None:
    """Emit one event, checked against its declared type."""
    place = asked(context, is_json)
    options: dict[str, Any] = {"type": event_type}
    options |= {"aggregate_id": aggregate_id} if aggregate_id else {}
    options |= {"id": parsed_uuid(event_id)} if event_id else {}
    value = parsed_json(payload)

    async def command() -> uuid.UUID:
        command_packs(place)
        async with command_database(place) as database, database.transaction() as connection:
            made: uuid.UUID = await emit(connection.driver, value, tenant_id=tenant, catalogue=DECLARED, **options)
            return made

    made = run(place, command)
    print_json({"id": made}) if is_json else print(made)


def replay(
    context: typer.Context,
    ids: Annotated[list[int] | None, typer.Argument(min=1, max=GREATEST_ID, help="ids of dead deliveries")] = None,
    fingerprint: Annotated[str | None, typer.Option(help="all dead letters of one group")] = None,
    sink: Annotated[str | None, typer.Option(help="only of this sink")] = None,
    event: Annotated[str | None, typer.Option(help="deliver this event again on all its legs, dead or not")] = None,
    tenant: OptionalTenant = None,
    is_all: Annotated[bool, typer.Option("--all", help="every dead letter")] = False,
    is_json: Json = False,
) -> None:
    """Deliver dead letters, or one event, again."""
    place = asked(context, is_json)
    event_id = parsed_uuid(event) if event else None
    chosen = DeadFilter(tenant_id=tenant, ids=tuple(ids) if ids else None, fingerprint=fingerprint, sink=sink)

    async def command() -> int:
        if not (ids or fingerprint or sink or event_id or is_all):
            raise InvalidInputError(
                "Say what to replay: ids, --fingerprint, --sink, --event or --all.", code="input.replay"
            )
        async with command_database(place) as database:
            letters = DeadLetters(database=database)
            if event_id is not None:
                return len(await letters.replay_event(event_id, tenant_id=tenant, leg=Leg(sink=sink)))
            return await letters.replay(chosen)

    count = run(place, command)
    print_json({"replayed": count}) if is_json else print(f"{count} replayed")


def run_migrations(
    context: typer.Context,
    is_dry: Annotated[bool, typer.Option("--dry-run", help="only name what would be run")] = False,
    is_sql: Annotated[bool, typer.Option("--sql", help="print the SQL instead of running it")] = False,
    is_json: Json = False,
) -> None:
    """Bring the database to this version's schema."""
    place = asked(context, is_json)

    async def command() -> tuple[tuple[str, ...], str]:
        connection = await connect(database_url(place), timeout_s=600.0 if not (is_dry or is_sql) else 30.0)
        try:
            return await _migrated(connection, is_run=not (is_dry or is_sql))
        finally:
            await connection.close()

    names, script = run(place, command)
    if is_json:
        shown = {"sql": script} if is_sql else {}
        print_json({"migrations": names, "applied": not (is_dry or is_sql), **shown})
    elif is_sql:
        print(script, end="")
    else:
        print("\n".join(names) or "The schema is up to date.")


async def _migrated(connection: Connection, *, is_run: bool) -> tuple[tuple[str, ...], str]:
    """Give the names and the SQL of what was run, or would be."""
    if is_run:
        return await migrate(connection), ""
    pending = await plan_migrations(connection)
    return tuple(migration.name for migration in pending), render_migrations(pending)
