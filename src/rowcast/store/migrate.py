"""Migrations: numbered SQL files, forward only, one transaction each, under one advisory lock."""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from importlib import resources

import msgspec

from rowcast.core.errors import ConfigError, StoreError
from rowcast.core.telemetry import tell
from rowcast.store.pool import Connection, connect
from rowcast.store.sql import load_queries

OLDEST_POSTGRES = 150_000
_QUERIES = "rowcast.store"


class Migration(msgspec.Struct, frozen=True):
    """One file: its number and words (`0001_foundation`), its SQL and the SHA-256 of that."""

    name: str
    script: str
    checksum: str


def load_migrations() -> tuple[Migration, ...]:
    """Give all migrations that this version ships, in order."""
    folder = resources.files("rowcast.store").joinpath("migrations")
    files = sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda item: item.name)
    return tuple(_migration(item.name.removesuffix(".sql"), item.read_text("utf-8")) for item in files)


def _migration(name: str, script: str) -> Migration:
    return Migration(name, script, hashlib.sha256(script.encode()).hexdigest())


def pending_migrations(shipped: Sequence[Migration], applied: dict[str, str]) -> tuple[Migration, ...]:
    """Give what is still to be run.

    Args:
        shipped: All migrations, in order.
        applied: Name and checksum of those the database has had.
    Raises:
        ConfigError: `config.schema`, when an applied migration is another text than the shipped one, or unknown here.
    """
    known = {migration.name: migration for migration in shipped}
    for name, checksum in applied.items():
        if name not in known:
            raise ConfigError(
                f"The database has had migration {name}, which this version does not know. Install a newer rowcast.",
                code="config.schema",
            )
        if known[name].checksum != checksum:
            raise ConfigError(
                f"Migration {name} was changed after the database had it. Restore the shipped file.",
                code="config.schema",
            )
    return tuple(migration for migration in shipped if migration.name not in applied)


async def applied_migrations(connection: Connection) -> dict[str, str]:
    """Give name and checksum of every migration that the database has had; empty on a new one."""
    queries = load_queries(_QUERIES)
    known = await connection.fetch_one(queries["has_migration_table"])
    if known is None or not known["is_there"]:
        return {}
    return {row["name"]: row["checksum"] for row in await connection.fetch(queries["applied_migrations"])}


async def plan_migrations(connection: Connection) -> tuple[Migration, ...]:
    """Give what `migrate` would run now; changes nothing.

    Raises:
        ConfigError: `config.postgres_version` for a server older than 15, `config.schema` for a changed migration.
    """
    await check_version(connection)
    return pending_migrations(load_migrations(), await applied_migrations(connection))


def render_migrations(migrations: Sequence[Migration]) -> str:
    """Give the SQL that runs `migrations` and records them, for another tool: psql, Django, Alembic, Supabase."""
    if not migrations:
        return "-- Nothing to run: the schema is up to date.\n"
    prepare = load_queries(_QUERIES)["make_migration_table"].text
    pieces = [f"{prepare};\n", *(_render_migration(migration) for migration in migrations)]
    return "\n".join(pieces)


def _render_migration(migration: Migration) -> str:
    # Text for another tool; the name and the checksum are words of ours and can stand in quotes as they are.
    values = f"('{migration.name}', '{migration.checksum}')"
    record = f"insert into rowcast.migration (name, checksum) values {values};"  # noqa: S608
    return f"-- {migration.name}\nbegin;\n{migration.script.rstrip()}\n{record}\ncommit;\n"


async def migrate_database(dsn: str, *, timeout_s: float = 600.0) -> tuple[str, ...]:
    """Bring the schema of a database up to date over a connection of its own, and give what was run.

    Args:
        dsn: `postgresql://...`; its user becomes the owner of the schema.
        timeout_s: Bound of each migration, and of the wait for another process that migrates.
    Raises:
        StoreUnavailableError: `store.unavailable` or `store.timeout`.
        ConfigError: `config.database`, `config.postgres_version` or `config.schema`.
    """
    connection = await connect(dsn, timeout_s=timeout_s)
    try:
        return await migrate(connection)
    finally:
        await connection.close()


async def migrate(connection: Connection) -> tuple[str, ...]:
    """Run what is still to be run and give the names; several processes may call it at once.

    Raises:
        ConfigError: `config.postgres_version` for a server older than 15, `config.schema` for a changed migration.
    """
    queries = load_queries(_QUERIES)
    await check_version(connection)
    await connection.execute(queries["lock_migrations"])
    try:
        await connection.run_script(queries["make_migration_table"].text)
        return await _run_pending(connection)
    finally:
        # A connection that is gone has let go of the lock by itself.
        with suppress(StoreError):
            await connection.execute(queries["unlock_migrations"])


async def _run_pending(connection: Connection) -> tuple[str, ...]:
    pending = pending_migrations(load_migrations(), await applied_migrations(connection))
    for migration in pending:
        async with connection.transaction():
            await connection.run_script(migration.script)
            await connection.execute(
                load_queries(_QUERIES)["record_migration"], name=migration.name, checksum=migration.checksum
            )
        tell("store.migrated", migration=migration.name)
    return tuple(migration.name for migration in pending)


async def check_version(connection: Connection) -> int:
    """Give the server's version number, such as 180004.

    Raises:
        ConfigError: `config.postgres_version`, for a server older than PostgreSQL 15.
    """
    row = await connection.fetch_one(load_queries(_QUERIES)["server_version"])
    return require_version(int(row["version"]) if row else 0)


def require_version(version: int) -> int:
    """Give a server's version number back where it is new enough.

    Raises:
        ConfigError: `config.postgres_version`, for a server older than PostgreSQL 15.
    """
    if version < OLDEST_POSTGRES:
        raise ConfigError(
            f"The database is PostgreSQL {version // 10_000}; rowcast needs 15 or newer. Upgrade the server.",
            code="config.postgres_version",
        )
    return version
