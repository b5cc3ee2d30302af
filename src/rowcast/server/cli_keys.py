"""Commands about the keys of the HTTP API."""

from datetime import timedelta
from typing import Annotated

import typer

from rowcast.core.clock import SystemClock
from rowcast.server.command import Json, asked, command_database, placed, run
from rowcast.server.keys import SCOPES, ApiKey, NewApiKey, create_key, list_keys, revoke_key
from rowcast.server.output import print_json, show_pairs, show_rows
from rowcast.server.wire import shown, shown_all

Days = Annotated[int | None, typer.Option("--expires-days", min=1, max=3650, help="let it end after so many days")]

keys = typer.Typer(help="Keys of the HTTP API.", no_args_is_help=True)


@keys.command("create")
@placed
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="what it is for")],
    scopes: Annotated[list[str], typer.Option("--scope", help=f"one of: {', '.join(SCOPES)}")],
    tenant: Annotated[str | None, typer.Option("--tenant", help="bind it to this tenant")] = None,
    days: Days = None,
    is_json: Json = False,
) -> None:
    """Make a key and print it; nobody can read it again."""
    place = asked(context, is_json)
    expires_at = None if days is None else SystemClock().now() + timedelta(days=days)

    async def command() -> NewApiKey:
        async with command_database(place) as database:
            return await create_key(database, name=name, scopes=scopes, tenant_id=tenant, expires_at=expires_at)

    show_pairs(shown(run(place, command)), is_json=is_json)


@keys.command("list")
@placed
def list_all(context: typer.Context, is_json: Json = False) -> None:
    """List all keys, in force or not."""
    place = asked(context, is_json)

    async def command() -> tuple[ApiKey, ...]:
        async with command_database(place) as database:
            return await list_keys(database)

    columns = ("id", "name", "tenantId", "scopes", "createdAt", "expiresAt", "revokedAt")
    empty = "There is no key. Make one with 'rowcast keys create'."
    show_rows(shown_all(run(place, command)), columns, empty=empty, is_json=is_json)


@keys.command("revoke")
@placed
def revoke(context: typer.Context, key_id: str, is_json: Json = False) -> None:
    """End a key at once."""
    place = asked(context, is_json)

    async def command() -> None:
        async with command_database(place) as database:
            await revoke_key(database, key_id)

    run(place, command)
    print_json({"revoked": key_id}) if is_json else print(f"{key_id} revoked")
