"""Commands about the sources of incoming webhooks."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import typer

from rowcast.core.clock import SystemClock
from rowcast.server.command import Json, Place, asked, command_database, parsed_json, placed, run, secret_argument
from rowcast.server.key_ring import command_ring
from rowcast.server.output import print_json, show_pairs, show_rows
from rowcast.server.routes_sources import source_shown
from rowcast.webhooks.incoming import SourceOptions
from rowcast.webhooks.incoming_schemes import SCHEMES
from rowcast.webhooks.incoming_source import GRACE_S, SourceDraft, options_of
from rowcast.webhooks.incoming_table import SourceTable

Tenant = Annotated[str, typer.Option("--tenant", help="whose it is")]
Secrets = Annotated[list[str] | None, typer.Option("--secret", help="what the sender signs with; @file reads it")]
Options = Annotated[str, typer.Option(help='JSON such as {"header": "X-Signature"}')]

sources = typer.Typer(help="A tenant's sources of incoming webhooks.", no_args_is_help=True)


@sources.command("add")
@placed
def add_source(
    context: typer.Context,
    scheme: Annotated[str, typer.Argument(help=f"one of: {', '.join(SCHEMES)}")],
    tenant: Tenant,
    name: Annotated[str, typer.Option(help="begins the types of its events; by default the scheme")] = "",
    secrets: Secrets = None,
    options: Options = "{}",
    is_json: Json = False,
) -> None:
    """Add a source and print it with its path and its secrets."""
    place = asked(context, is_json)
    chosen: SourceOptions = options_of(parsed_json(options))
    texts = tuple(secret_argument(secret) for secret in secrets or ())
    draft = SourceDraft(name=name or scheme, scheme=scheme, secrets=texts, options=chosen)

    async def command() -> dict[str, Any]:
        async with _source_table(place) as table:
            source, shown_secrets = await table.create(tenant, draft)
            return {**source_shown(source), "secrets": shown_secrets}

    show_pairs(run(place, command), is_json=is_json)


@sources.command("list")
@placed
def list_sources(context: typer.Context, tenant: Tenant, is_json: Json = False) -> None:
    """List a tenant's sources."""
    place = asked(context, is_json)

    async def command() -> list[dict[str, Any]]:
        async with _source_table(place) as table:
            return [source_shown(source) for source in await table.page(tenant, most=250)]

    columns = ("id", "name", "scheme", "path", "isDisabled", "activeSecrets", "createdAt")
    empty = f"{tenant} has no source. Add one with 'rowcast sources add'."
    show_rows(run(place, command), columns, empty=empty, is_json=is_json)


@sources.command("remove")
@placed
def remove_source(context: typer.Context, source_id: str, tenant: Tenant, is_json: Json = False) -> None:
    """Remove a source; its URL then answers 404."""
    place = asked(context, is_json)

    async def command() -> None:
        async with _source_table(place) as table:
            await table.delete(tenant, source_id)

    run(place, command)
    print_json({"removed": source_id}) if is_json else print(f"{source_id} removed")


@sources.command("rotate")
@placed
def rotate_source(
    context: typer.Context,
    source_id: str,
    tenant: Tenant,
    secret: Annotated[str, typer.Option(help="the sender's new one; @file reads it; none makes one")] = "",
    grace_s: Annotated[float, typer.Option("--grace-s", help="how long the others stay valid")] = GRACE_S,
    is_json: Json = False,
) -> None:
    """Make a secret the first of a source and print it."""
    place = asked(context, is_json)
    text = secret_argument(secret)

    async def command() -> dict[str, Any]:
        async with _source_table(place) as table:
            return {"secret": await table.rotate(tenant, source_id, secret=text, grace_s=grace_s)}

    show_pairs(run(place, command), is_json=is_json)


@asynccontextmanager
async def _source_table(place: Place) -> AsyncIterator[SourceTable]:
    ring = command_ring(place)
    async with command_database(place) as database:
        yield SourceTable(database=database, ring=ring, clock=SystemClock())
