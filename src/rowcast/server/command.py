"""What every command shares: which settings and which database it works on, and how it ends."""

import asyncio
import inspect
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl, urlsplit

import msgspec
import typer
import uvloop

from rowcast.core.errors import ConfigError, NotFoundError
from rowcast.core.pack import Pack
from rowcast.server.failure import crash_text, refusal_in
from rowcast.server.instance import Instance, read_instance
from rowcast.server.output import ExitCode, exit_code, print_refusal
from rowcast.server.plugins import load_packs
from rowcast.server.settings import Loaded, load_settings
from rowcast.store.pool import Database, PoolSettings, open_database

T = TypeVar("T")
DEFAULT_FOLDER = Path(".rowcast")

Json = Annotated[bool, typer.Option("--json", help="print JSON")]
DatabaseFlag = Annotated[str | None, typer.Option("--database", help="postgresql://... to work on", metavar="URL")]
ConfigFlag = Annotated[Path | None, typer.Option("--config", help="settings file instead of ./rowcast.toml")]
DataFlag = Annotated[Path | None, typer.Option("--data", help="folder of the development server instead of ./.rowcast")]
_GLOBAL_FLAGS = {"database": DatabaseFlag, "config": ConfigFlag, "data": DataFlag}


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


def asked(context: typer.Context, is_json: bool = False) -> Place:
    """Give where this command works and whether it prints JSON."""
    return msgspec.structs.replace(place_of(context), is_json=is_json)


def placed(verb: Callable[..., None]) -> Callable[..., None]:
    """Give the verb with the global flags as flags of its own: they may stand before the verb and after it."""

    @wraps(verb)
    def command(context: typer.Context, **flags: Any) -> None:
        given = {name: flags.pop(name) for name in _GLOBAL_FLAGS}
        context.obj = narrowed(place_of(context), **given)
        verb(context, **flags)

    extra = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=kind)
        for name, kind in _GLOBAL_FLAGS.items()
    ]
    own = inspect.signature(verb, eval_str=True)
    vars(command)["__signature__"] = own.replace(parameters=[*own.parameters.values(), *extra])
    vars(command)["__annotations__"] = {**inspect.get_annotations(verb, eval_str=True), **_GLOBAL_FLAGS}
    return command


def narrowed(place: Place, *, database: str | None, config: Path | None, data: Path | None) -> Place:
    """Give the place with what further flags say; None says nothing."""
    return msgspec.structs.replace(
        place,
        database_url=database or place.database_url,
        config=config or place.config,
        folder=data or place.folder,
    )


def warn_of_password(place: Place) -> None:
    """Say once that a password stands where everybody on the machine can read it, for as long as the process runs."""
    if _has_password(place.database_url or ""):
        print(
            "The password in --database can be read by every user of this machine (ps). Set ROWCAST_DATABASE__URL "
            "instead, ROWCAST_DATABASE__URL_FILE, or leave the password to ~/.pgpass.",
            file=sys.stderr,
        )


def _has_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return bool(parts.password) or any(name == "password" for name, _ in parse_qsl(parts.query))


def loaded_settings(place: Place, flags: dict[str, object] | None = None) -> Loaded:
    """Give the settings as this command sees them."""
    return load_settings({"database.url": place.database_url, **(flags or {})}, file=place.config)


def running_instance(place: Place) -> Instance | None:
    """Give the development server of this folder, or None where none runs."""
    try:
        return read_instance(place.folder)
    except NotFoundError:
        return None


def database_url(place: Place) -> str:
    """Give the database to work on: the setting `database.url`, or that of the running development server.

    Raises:
        ConfigError: `config.no_database`, when neither is there.
    """
    url = loaded_settings(place).settings.database.url
    if url is not None:
        return url.get_secret_value()
    instance = running_instance(place)
    if instance is None:
        raise ConfigError(
            "No database is named. Pass --database URL, set ROWCAST_DATABASE__URL, or start 'rowcast dev' in this "
            "folder.",
            code="config.no_database",
        )
    return instance.database_url


def command_packs(place: Place) -> tuple[Pack, ...]:
    """Give the packs that are declared here, the sample shop among them where the development server shows it.

    Raises:
        ConfigError: `config.pack`.
    """
    settings = loaded_settings(place).settings
    packs = load_packs(settings.packs)
    instance = running_instance(place) if settings.database.url is None else None
    if instance is None or not instance.is_sampled:
        return packs
    from rowcast.server.sample_shop import pack  # noqa: PLC0415 - importing it declares its event types

    return (pack, *packs)


@asynccontextmanager
async def command_database(place: Place) -> AsyncIterator[Database]:
    """Open the database for the time of one command."""
    settings = PoolSettings(max_size=2, application_name="rowcast command")
    async with open_database(database_url(place), settings) as database:
        yield database


def run(place: Place, command: Callable[[], Awaitable[T]]) -> T:
    """Run a command to its end; a refusal or a fault is printed and becomes the exit code."""
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_awaited(command))
    except (typer.Exit, typer.Abort, typer.BadParameter, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - the end of the road: whatever it is, it is told once and has its code
        refusal = refusal_in(error)
        if refusal is None:
            print(crash_text(error), file=sys.stderr)
            raise typer.Exit(ExitCode.CRASHED) from None
        print_refusal(refusal.code, str(refusal), is_json=place.is_json)
        raise typer.Exit(exit_code(refusal)) from None


async def _awaited(command: Callable[[], Awaitable[T]]) -> T:
    return await command()


def parsed_json(text: str) -> Any:
    """Give a JSON argument's value; `@file` reads it from a file, `-` from standard input.

    Raises:
        typer.BadParameter: When it cannot be read or is not JSON.
    """
    try:
        return msgspec.json.decode(read_argument(text))
    except (OSError, msgspec.DecodeError, UnicodeError) as error:
        raise typer.BadParameter(f"not JSON: {error}") from error


def parsed_uuid(text: str) -> uuid.UUID:
    """Give an id argument's value.

    Raises:
        typer.BadParameter: When it is no UUID.
    """
    try:
        return uuid.UUID(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text[:60]!r} is no UUID") from error


def parsed_time(text: str) -> datetime:
    """Give a time argument's value: ISO 8601, UTC where it names no zone, or seconds since 1970.

    Raises:
        typer.BadParameter: When it is neither.
    """
    try:
        moment = datetime.fromtimestamp(int(text), UTC) if text.isdigit() else datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError) as error:
        raise typer.BadParameter(f"{text[:60]!r} is no time") from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def parsed_headers(texts: Sequence[str]) -> dict[str, str]:
    """Give the values of `name: value` arguments by name; `@file` holds one on each line.

    Raises:
        typer.BadParameter: When a file cannot be read, or a line has no colon.
    """
    lines = [line for text in texts for line in secret_argument(text).splitlines() if line.strip()]
    pairs = [line.partition(":") for line in lines]
    if not all(colon for _, colon, _ in pairs):
        raise typer.BadParameter("a header is written as 'name: value'")
    return {name.strip(): value.strip() for name, _, value in pairs}


def read_argument(text: str) -> bytes:
    """Give an argument's bytes; `@file` reads them from a file, `-` from standard input."""
    if text == "-":
        return sys.stdin.buffer.read()
    return Path(text[1:]).read_bytes() if text.startswith("@") else text.encode()


def secret_argument(text: str) -> str:
    """Give a secret, or what stands in the file that it names: arguments can be read by everybody on the machine.

    Raises:
        typer.BadParameter: When the file cannot be read.
    """
    if not text.startswith("@") and text != "-":
        return text
    try:
        return read_argument(text).decode().strip()
    except (OSError, UnicodeError) as error:
        raise typer.BadParameter(f"cannot be read: {error}") from error
