"""Commands that run a server: dev and serve."""

from typing import Annotated

import typer

from rowcast.server.command import asked, loaded_settings, run
from rowcast.server.output import ExitCode


def add_commands(application: typer.Typer) -> None:
    """Add the verbs of this module."""
    application.command("dev")(dev)
    application.command("serve")(serve)


def dev(
    context: typer.Context,
    port: Annotated[int | None, typer.Option(help="port to listen on; 0 takes a free one")] = None,
    data: Annotated[str | None, typer.Option("--data", help="folder that keeps database and keys")] = None,
    is_sampled: Annotated[bool, typer.Option("--sample/--no-sample", help="the sample shop")] = True,
    is_moving: Annotated[
        bool, typer.Option("--traffic/--no-traffic", help="let the sample shop change orders all the time")
    ] = True,
    is_opened: Annotated[bool, typer.Option("--open/--no-open", help="open the live page in a browser")] = True,
) -> None:
    """Start everything for development: PostgreSQL, a sample shop, HTTP, sockets, a live page and a webhook catcher."""
    from rowcast.server.dev import DevelopmentOptions, run_development  # the other commands need none of what it loads

    place = asked(context, False, folder=data)
    options = DevelopmentOptions(
        port=port, folder=place.folder, is_sampled=is_sampled, is_moving=is_moving, is_opened=is_opened
    )

    async def command() -> None:
        await run_development(loaded_settings(place, {"server.port": port}), options)

    run(place, command)


def serve(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="address to listen on")] = None,
    port: Annotated[int | None, typer.Option(help="port to listen on; 0 takes a free one")] = None,
    roles: Annotated[str | None, typer.Option(help="comma-separated: gateway, relay, delivery")] = None,
    feed: Annotated[str | None, typer.Option(help="auto, wal or claim")] = None,
    is_migrated: Annotated[
        bool, typer.Option("--migrate/--no-migrate", help="bring the schema up to date first")
    ] = False,
) -> None:
    """Serve a database: route its events, deliver, and answer HTTP and sockets."""
    from rowcast.server.production import run_production  # the other commands need none of what it loads

    place = asked(context, False)
    chosen = tuple(role.strip() for role in roles.split(",")) if roles else None
    flags: dict[str, object] = {"server.host": host, "server.port": port, "server.roles": chosen, "relay.feed": feed}

    async def command() -> None:
        await run_production(loaded_settings(place, flags).settings, is_migrated=is_migrated)

    run(place, command)
    raise typer.Exit(ExitCode.OK)
