"""The `rowcast` command: its global flags and the list of its verbs. Each verb lives in a `cli_*` module."""

from importlib.metadata import version as package_version
from pathlib import Path
from typing import Annotated

import typer

from rowcast.server import cli_check, cli_look, cli_make, cli_run
from rowcast.server.cli_endpoints import endpoints
from rowcast.server.cli_keys import keys
from rowcast.server.command import DEFAULT_FOLDER, Place, place_of
from rowcast.server.output import print_json

application = typer.Typer(
    name="rowcast",
    help="Commit a row or an event in PostgreSQL, and everyone who should know is told.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@application.callback()
def global_flags(
    context: typer.Context,
    database: Annotated[
        str | None, typer.Option("--database", help="postgresql://... to work on", metavar="URL")
    ] = None,
    config: Annotated[Path | None, typer.Option("--config", help="settings file instead of ./rowcast.toml")] = None,
    data: Annotated[Path, typer.Option("--data", help="folder of the development server")] = DEFAULT_FOLDER,
) -> None:
    """Say where the commands work."""
    context.obj = Place(database_url=database, config=config, folder=data)


@application.command()
def version(context: typer.Context, is_json: Annotated[bool, typer.Option("--json")] = False) -> None:
    """Print the version."""
    place_of(context)
    number = package_version("rowcast")
    print_json({"version": number}) if is_json else print(number)


for module in (cli_run, cli_look, cli_make, cli_check):
    module.add_commands(application)
application.add_typer(endpoints, name="endpoints")
application.add_typer(keys, name="keys")
