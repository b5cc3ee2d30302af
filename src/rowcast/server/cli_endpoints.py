"""Commands about webhook endpoints."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import typer

from rowcast.core.clock import SystemClock
from rowcast.server.command import Json, Place, asked, command_database, loaded_settings, placed, run
from rowcast.server.key_ring import command_ring
from rowcast.server.output import print_json, show_pairs, show_rows
from rowcast.server.policy import egress_policy
from rowcast.server.wire import shown, shown_all
from rowcast.webhooks.endpoint_draft import EndpointDraft
from rowcast.webhooks.secrets_table import SecretTable
from rowcast.webhooks.table import EndpointTable

Tenant = Annotated[str, typer.Option("--tenant", help="whose it is")]
Types = Annotated[list[str] | None, typer.Option("--event-type", help="a type or orders.*; none means all")]
Secret = Annotated[str, typer.Option(help="whsec_... to sign with; none means a new one")]

endpoints = typer.Typer(help="A tenant's webhook endpoints.", no_args_is_help=True)


@endpoints.command("create")
@placed
def create_endpoint(
    context: typer.Context,
    tenant: Tenant,
    url: Annotated[str, typer.Option(help="https://... to post to")],
    event_types: Types = None,
    description: Annotated[str, typer.Option(help="words for people")] = "",
    secret: Secret = "",
    is_json: Json = False,
) -> None:
    """Add an endpoint and print it with its secret."""
    place = asked(context, is_json)
    chosen = tuple(event_types) if event_types else None
    draft = EndpointDraft(url=url, description=description, event_types=chosen, secret=secret)

    async def command() -> dict[str, Any]:
        async with _endpoint_table(place) as table:
            endpoint = await table.create(tenant, draft)
            return {**shown(endpoint), "secret": await table.secrets.current(tenant, endpoint.id)}

    show_pairs(run(place, command), is_json=is_json)


@endpoints.command("list")
@placed
def list_endpoints(context: typer.Context, tenant: Tenant, is_json: Json = False) -> None:
    """List a tenant's endpoints."""
    place = asked(context, is_json)

    async def command() -> list[dict[str, Any]]:
        async with _endpoint_table(place) as table:
            return shown_all(await table.page(tenant, most=250))

    columns = ("id", "url", "eventTypes", "isDisabled", "createdAt")
    empty = f"{tenant} has no endpoint. Add one with 'rowcast endpoints create'."
    show_rows(run(place, command), columns, empty=empty, is_json=is_json)


@endpoints.command("delete")
@placed
def delete_endpoint(context: typer.Context, endpoint_id: str, tenant: Tenant, is_json: Json = False) -> None:
    """Remove an endpoint."""
    place = asked(context, is_json)

    async def command() -> None:
        async with _endpoint_table(place) as table:
            await table.delete(tenant, endpoint_id)

    run(place, command)
    print_json({"removed": endpoint_id}) if is_json else print(f"{endpoint_id} removed")


@asynccontextmanager
async def _endpoint_table(place: Place) -> AsyncIterator[EndpointTable]:
    policy, clock = egress_policy(loaded_settings(place).settings), SystemClock()
    async with command_database(place) as database:
        secrets = SecretTable(database=database, ring=command_ring(place), clock=clock)
        yield EndpointTable(database=database, policy=policy, clock=clock, secrets=secrets)
