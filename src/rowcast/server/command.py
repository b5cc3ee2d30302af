"""What every command shares: which settings and which database it works on, and how a refusal is printed."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import typer
import uvloop

from rowcast.core.errors import ConfigError, NotFoundError, RowcastError
from rowcast.server.instance import read_instance
from rowcast.server.output import exit_code, print_json
from rowcast.server.settings import Loaded, load_settings
from rowcast.store.pool import Database, PoolSettings, open_database

T = TypeVar("T")
DEFAULT_FOLDER = Path(".rowcast")


class Place(msgspec.Struct, frozen=True):
    """Where a command works, as its global flags say."""

    database_url: str | None = None
    config: Path | None = None
    folder: Path = DEFAULT_FOLDER
    is_json: bool = False


def place_of(context: typer.Context) -> Place:
    """Give what the global flags said."""
    place = context.obj
    return place if isinstance(place, Place) else Place()


def asked(context: typer.Context, is_json: bool, *, folder: str | None = None) -> Place:
    """Give where this command works and whether it prints JSON; `folder` overrules the global flag."""
    place = place_of(context)
    return msgspec.structs.replace(place, is_json=is_json, folder=Path(folder) if folder else place.folder)


def loaded_settings(place: Place, flags: dict[str, object] | None = None) -> Loaded:
    """Give the settings as this command sees them."""
    return load_settings({"database.url": place.database_url, **(flags or {})}, file=place.config)


def database_url(place: Place) -> str:
    """Give the database to work on: the setting `database.url`, or that of the running development server.

    Raises:
        ConfigError: `config.no_database`, when neither is there.
    """
    url = loaded_settings(place).settings.database.url
    if url is not None:
        return url.get_secret_value()
    try:
        return read_instance(place.folder).database_url
    except NotFoundError as error:
        raise ConfigError(
            "No database is named. Pass --database URL, set ROWCAST_DATABASE__URL, or start 'rowcast dev' in this folder.",
            code="config.no_database",
        ) from error


@asynccontextmanager
async def command_database(place: Place) -> AsyncIterator[Database]:
    """Open the database for the time of one command."""
    async with open_database(
        database_url(place), PoolSettings(max_size=2, application_name="rowcast command")
    ) as database:
        yield database


def run(place: Place, command: Callable[[], Awaitable[T]]) -> T:
    """Run a command to its end; a refusal is printed and becomes the exit code."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_awaited(command))
    except RowcastError as error:
        refuse(error, is_json=place.is_json)
        raise typer.Exit(exit_code(error)) from error


def refuse(error: RowcastError, *, is_json: bool) -> None:
    """Print a refusal: its code and its sentence, on standard error or as JSON."""
    if is_json:
        print_json({"error": {"code": error.code, "detail": str(error)}})
    else:
        print(f"rowcast: {error}\n         ({error.code})", file=sys.stderr)


async def _awaited(command: Callable[[], Awaitable[T]]) -> T:
    return await command()


def parsed_json(text: str) -> Any:
    """Give a JSON argument's value; `@file` reads it from a file, `-` from standard input.

    Raises:
        typer.BadParameter: When it cannot be read or is not JSON.
    """
    try:
        raw = (
            sys.stdin.buffer.read()
            if text == "-"
            else Path(text[1:]).read_bytes()
            if text.startswith("@")
            else text.encode()
        )
        return msgspec.json.decode(raw)
    except (OSError, msgspec.DecodeError, UnicodeError) as error:
        raise typer.BadParameter(f"not JSON: {error}") from error
