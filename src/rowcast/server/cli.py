"""The `rowcast` command: its global flags and the list of its verbs. Each verb lives in a `cli_*` module."""

import os
import sys
from collections.abc import Sequence
from importlib.metadata import version as package_version

import typer

from rowcast.core.errors import RowcastError
from rowcast.server import cli_attempts, cli_check, cli_listen, cli_look, cli_make, cli_run
from rowcast.server.cli_endpoints import endpoints
from rowcast.server.cli_event_types import event_types
from rowcast.server.cli_keys import keys
from rowcast.server.cli_messages import messages
from rowcast.server.cli_secrets import secrets
from rowcast.server.cli_sources import sources
from rowcast.server.cli_webhooks import webhooks
from rowcast.server.command import ConfigFlag, DatabaseFlag, DataFlag, Json, Place, narrowed
from rowcast.server.output import ExitCode, exit_code, print_json, print_refusal

application = typer.Typer(
    name="rowcast",
    help="Commit a row or an event in PostgreSQL, and everyone who should know is told.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
# What the command line's library raises for words that it does not take.
_BadUsage: type[Exception] = typer.BadParameter.__mro__[1]


@application.callback()
def global_flags(
    context: typer.Context, database: DatabaseFlag = None, config: ConfigFlag = None, data: DataFlag = None
) -> None:
    """Say where the commands work; every verb takes these flags too."""
    context.obj = narrowed(Place(), database=database, config=config, data=data)


@application.command()
def version(is_json: Json = False) -> None:
    """Print the version."""
    number = package_version("rowcast")
    print_json({"version": number}) if is_json else print(number)


for module in (cli_run, cli_look, cli_make, cli_check, cli_listen, cli_attempts):
    module.add_commands(application)
application.add_typer(endpoints, name="endpoints")
application.add_typer(event_types, name="event-types")
application.add_typer(keys, name="keys")
application.add_typer(messages, name="messages")
application.add_typer(sources, name="sources")
application.add_typer(secrets, name="secrets")
application.add_typer(webhooks, name="webhooks")


def run_command_line(words: Sequence[str]) -> int:
    """Run one command and give its exit code. Nothing that a person does ends in a traceback."""
    try:
        code = _ran(words)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read the output has gone, as `head` does. What is still buffered goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.REFUSED
    return code


def _ran(words: Sequence[str]) -> int:
    is_json = "--json" in words
    try:
        ended = application(list(words), prog_name="rowcast", standalone_mode=False)
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    except typer.Abort:
        print("rowcast: Nothing was done.", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except RowcastError as error:
        print_refusal(error.code, str(error), is_json=is_json)
        return exit_code(error)
    except _BadUsage as error:
        _print_usage(error, is_json=is_json)
        return ExitCode.USAGE
    return ended if isinstance(ended, int) else ExitCode.OK


def _print_usage(error: Exception, *, is_json: bool) -> None:
    sentence = error.format_message() if hasattr(error, "format_message") else str(error)
    if is_json and sentence:
        print_refusal("input.invalid", sentence, is_json=True)
    elif hasattr(error, "show"):
        error.show()
