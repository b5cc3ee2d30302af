"""Watches in the server: declared ones are gathered, and development installs them by itself."""

from collections.abc import Iterable, Sequence

from rowcast.capture.table import describe_table
from rowcast.capture.triggers import watch_sql
from rowcast.capture.watch import Watch, parse_watches, split_table
from rowcast.core.errors import NotFoundError
from rowcast.core.pack import Pack
from rowcast.server.plugins import options_of
from rowcast.server.settings import Settings
from rowcast.store.pool import Connection, Database


def declared_watches(settings: Settings, packs: Iterable[Pack]) -> tuple[Watch, ...]:
    """Give the watches of all packs and of the settings.

    Raises:
        InvalidInputError: `input.watch`.
    """
    return (*options_of(packs)["watches"], *parse_watches(settings.watch))


async def watch_script(connection: Connection, watches: Sequence[Watch]) -> str:
    """Give the migration that installs `watches` as the tables stand now.

    Raises:
        NotFoundError: `input.no_table`.
        InvalidInputError: `input.watch`.
    """
    scripts = [watch_sql(watch, await describe_table(connection, *split_table(watch.table))) for watch in watches]
    return "\n".join(scripts)


async def install_watches(database: Database, watches: Sequence[Watch]) -> None:
    """Run the migrations of `watches` at once: what development does by itself and production by a reviewed file."""
    async with database.transaction() as connection:
        await connection.run_script(await watch_script(connection, watches))


async def install_present_watches(database: Database, watches: Sequence[Watch]) -> tuple[str, ...]:
    """Run the migrations of those watches whose tables are there, and give the names of the tables that are not."""
    missing: list[str] = []
    for watch in watches:
        try:
            await install_watches(database, (watch,))
        except NotFoundError:
            missing.append(watch.table)
    return tuple(missing)
