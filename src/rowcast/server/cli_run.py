"""Commands that run a server: dev and serve."""

from typing import Annotated

import typer

from rowcast.server.command import Place, asked, loaded_settings, placed, run, warn_of_password

Port = Annotated[int | None, typer.Option(min=0, max=65535, help="port to listen on; 0 takes a free one")]
Host = Annotated[str | None, typer.Option(help="address to listen on")]
Sampled = Annotated[bool, typer.Option("--sample/--no-sample", help="the sample shop")]
Moving = Annotated[bool, typer.Option("--traffic/--no-traffic", help="let the sample shop change orders all the time")]
Opened = Annotated[bool, typer.Option("--open/--no-open", help="open the live page in a browser")]
Reset = Annotated[bool, typer.Option("--reset", help="empty the data folder first")]
Shimmed = Annotated[bool | None, typer.Option("--shim/--no-shim", help="small /auth/v1 and /rest/v1 for test suites")]
Sure = Annotated[bool, typer.Option("--yes", help="do not ask before --reset")]
Roles = Annotated[str | None, typer.Option(help="comma-separated: gateway, relay, delivery")]
Migrated = Annotated[bool, typer.Option("--migrate/--no-migrate", help="bring the schema up to date first")]


def add_commands(application: typer.Typer) -> None:
    """Add the verbs of this module."""
    application.command("dev")(placed(dev))
    application.command("serve")(placed(serve))


def dev(
    context: typer.Context,
    port: Port = None,
    is_sampled: Sampled = True,
    is_moving: Moving = True,
    is_opened: Opened = True,
    is_reset: Reset = False,
    is_sure: Sure = False,
    is_shimmed: Shimmed = None,
) -> None:
    """Start everything for development: PostgreSQL, a sample shop, HTTP, sockets, a live page and a webhook catcher."""
    from rowcast.server.dev import DevelopmentOptions, run_development  # the other commands need none of what it loads

    place = asked(context)
    options = DevelopmentOptions(folder=place.folder, is_sampled=is_sampled, is_moving=is_moving, is_opened=is_opened)
    warn_of_password(place)
    if is_reset:
        _reset(place, is_sure=is_sure)

    async def command() -> None:
        await run_development(loaded_settings(place, {"server.port": port, "server.shim": is_shimmed}), options)

    run(place, command)


def serve(
    context: typer.Context,
    host: Host = None,
    port: Port = None,
    roles: Roles = None,
    feed: Annotated[str | None, typer.Option(help="auto, wal or claim")] = None,
    workers: Annotated[int | None, typer.Option(min=1, max=64, help="processes that share the port")] = None,
    is_migrated: Migrated = False,
) -> None:
    """Serve a database: route its events, deliver, and answer HTTP and sockets."""
    from rowcast.server.production import run_production  # the other commands need none of what it loads

    place = asked(context)
    chosen = tuple(role.strip() for role in roles.split(",") if role.strip()) if roles is not None else None
    flags: dict[str, object] = {"server.host": host, "server.port": port, "server.roles": chosen, "relay.feed": feed}
    flags["server.workers"] = workers
    warn_of_password(place)

    async def command() -> None:
        await run_production(loaded_settings(place, flags).settings, is_migrated=is_migrated)

    run(place, command)


def _reset(place: Place, *, is_sure: bool) -> None:
    """Empty the data folder, after a yes."""
    from rowcast.server.dev_folder import empty_folder

    if not is_sure:
        typer.confirm(f"Remove the development database and keys in {place.folder}?", abort=True)

    async def command() -> None:
        empty_folder(place.folder)

    run(place, command)
