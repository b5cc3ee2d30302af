"""Commands about the keys of the HTTP API."""

from typing import Annotated

import typer

from rowcast.server.command import asked, command_database, run
from rowcast.server.keys import SCOPES, ApiKey, NewApiKey, create_key, list_keys, revoke_key
from rowcast.server.output import print_json, print_pairs, print_rows
from rowcast.server.wire import shown, shown_all

Json = Annotated[bool, typer.Option("--json", help="print JSON")]

keys = typer.Typer(help="Keys of the HTTP API.", no_args_is_help=True)


@keys.command("create")
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(help="what it is for")],
    scopes: Annotated[list[str], typer.Option("--scope", help=f"one of: {', '.join(SCOPES)}")],
    tenant: Annotated[str | None, typer.Option("--tenant", help="bind it to this tenant")] = None,
    is_json: Json = False,
) -> None:
    """Make a key and print it; nobody can read it again."""
    place = asked(context, is_json)

    async def command() -> NewApiKey:
        async with command_database(place) as database:
            return await create_key(database, name=name, scopes=scopes, tenant_id=tenant)

    made = shown(run(place, command))
    print_json(made) if is_json else print_pairs(made)


@keys.command("list")
def list_all(context: typer.Context, is_json: Json = False) -> None:
    """List all keys, in force or not."""
    place = asked(context, is_json)

    async def command() -> tuple[ApiKey, ...]:
        async with command_database(place) as database:
            return await list_keys(database)

    rows = shown_all(run(place, command))
    columns = ("id", "name", "tenantId", "scopes", "createdAt", "expiresAt", "revokedAt")
    print_json({"data": rows}) if is_json else print_rows(
        rows, columns, empty="There is no key. Make one with 'rowcast keys create'."
    )


@keys.command("revoke")
def revoke(context: typer.Context, key_id: str) -> None:
    """End a key at once."""
    place = asked(context, False)

    async def command() -> None:
        async with command_database(place) as database:
            await revoke_key(database, key_id)

    run(place, command)
    print(f"{key_id} revoked")
