"""Commands about webhook endpoints."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import typer

from rowcast.core.clock import SystemClock
from rowcast.server.app import egress_policy
from rowcast.server.command import Place, asked, command_database, loaded_settings, run
from rowcast.server.output import print_json, print_pairs, print_rows
from rowcast.server.wire import shown, shown_all
from rowcast.webhooks.table import EndpointDraft, EndpointTable

Json = Annotated[bool, typer.Option("--json", help="print JSON")]
Tenant = Annotated[str, typer.Option("--tenant", help="whose it is")]

endpoints = typer.Typer(help="A tenant's webhook endpoints.", no_args_is_help=True)


@endpoints.command("create")
def create_endpoint(
    context: typer.Context,
    tenant: Tenant,
    url: Annotated[str, typer.Option(help="https://... to post to")],
    event_types: Annotated[
        list[str] | None, typer.Option("--event-type", help="a type or orders.*; none means all")
    ] = None,
    description: str = "",
    is_json: Json = False,
) -> None:
    """Add an endpoint and print it with its secret."""
    place = asked(context, is_json)
    draft = EndpointDraft(url=url, description=description, event_types=tuple(event_types) if event_types else None)

    async def command() -> dict[str, Any]:
        async with _endpoint_table(place) as table:
            endpoint = await table.create(tenant, draft)
            return {**shown(endpoint), "secret": await table.secret(tenant, endpoint.id)}

    made = run(place, command)
    print_json(made) if is_json else print_pairs(made)


@endpoints.command("list")
def list_endpoints(context: typer.Context, tenant: Tenant, is_json: Json = False) -> None:
    """List a tenant's endpoints."""
    place = asked(context, is_json)

    async def command() -> list[dict[str, Any]]:
        async with _endpoint_table(place) as table:
            return shown_all(await table.page(tenant, most=250))

    rows = run(place, command)
    columns = ("id", "url", "eventTypes", "isDisabled", "createdAt")
    print_json({"data": rows}) if is_json else print_rows(
        rows, columns, empty=f"{tenant} has no endpoint. Add one with 'rowcast endpoints create'."
    )


@endpoints.command("delete")
def delete_endpoint(context: typer.Context, endpoint_id: str, tenant: Tenant) -> None:
    """Remove an endpoint."""
    place = asked(context, False)

    async def command() -> None:
        async with _endpoint_table(place) as table:
            await table.delete(tenant, endpoint_id)

    run(place, command)
    print(f"{endpoint_id} removed")


@asynccontextmanager
async def _endpoint_table(place: Place) -> AsyncIterator[EndpointTable]:
    policy = egress_policy(loaded_settings(place).settings)
    async with command_database(place) as database:
        yield EndpointTable(database=database, policy=policy, clock=SystemClock())
