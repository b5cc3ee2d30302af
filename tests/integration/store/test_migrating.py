"""Migrations run once, whoever asks and however many ask, on the oldest and the newest server."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from rowcast.core.errors import ConfigError
from rowcast.server.embedded import EmbeddedPostgres
from rowcast.store.migrate import (
    check_version,
    load_migrations,
    migrate,
    migrate_database,
    plan_migrations,
    render_migrations,
)
from rowcast.store.pool import connect, open_database
from rowcast.store.sql import parse_query
from rowcast.testing.cluster import Cluster

OLDER = Path("/usr/lib/postgresql/15/bin")
_ALL = tuple(migration.name for migration in load_migrations())
_MIGRATE = """
import asyncio, sys
from rowcast.store.migrate import migrate_database
print(len(asyncio.run(migrate_database(sys.argv[1]))))
"""


@pytest.fixture
def empty_dsn(any_cluster: Cluster) -> Iterator[str]:
    dsn = any_cluster.create(template="template1")
    yield dsn
    any_cluster.drop(dsn)


async def test_a_new_database_gets_all_migrations_and_a_second_run_none(empty_dsn: str) -> None:
    assert await migrate_database(empty_dsn) == _ALL
    assert await migrate_database(empty_dsn) == ()


def test_four_processes_at_once_apply_each_migration_once(empty_dsn: str) -> None:
    processes = [
        subprocess.Popen([sys.executable, "-c", _MIGRATE, empty_dsn], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]

    printed = sorted(int(process.communicate(timeout=60)[0]) for process in processes)

    assert printed == [0, 0, 0, len(_ALL)]


async def test_a_dry_run_names_what_is_pending_and_changes_nothing(empty_dsn: str) -> None:
    connection = await connect(empty_dsn)

    planned = await plan_migrations(connection)

    assert tuple(migration.name for migration in planned) == _ALL
    row = await connection.fetch_one(parse_query("schema", "select to_regnamespace('rowcast') is null as is_absent"))
    assert row is not None
    assert row["is_absent"]
    await connection.close()


async def test_the_shown_sql_run_by_another_tool_counts_as_migrated(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as other_tool:
        other_tool.execute(render_migrations(load_migrations()))  # type: ignore[call-overload]

    assert await migrate_database(empty_dsn) == ()


async def test_a_migration_that_fails_leaves_those_before_it_and_nothing_of_itself(empty_dsn: str) -> None:
    with psycopg.connect(empty_dsn, autocommit=True) as intruder:
        intruder.execute("create schema rowcast; create table rowcast.event ()")

    with pytest.raises(Exception, match="already exists"):
        await migrate_database(empty_dsn)

    with psycopg.connect(empty_dsn) as reader:
        assert reader.execute("select name from rowcast.migration").fetchall() == [(_ALL[0],)]
        assert reader.execute("select to_regclass('rowcast.event_seq')").fetchone() == (None,)


async def test_the_lock_is_free_again_after_a_failure(empty_dsn: str) -> None:
    connection = await connect(empty_dsn)
    await connection.run_script("create schema rowcast; create table rowcast.event ()")
    with pytest.raises(Exception, match="already exists"):
        await migrate(connection)

    await connection.run_script("drop table rowcast.event")

    async with asyncio.timeout(20):
        assert await migrate_database(empty_dsn) == _ALL[1:]
    await connection.close()


async def test_a_migration_changed_after_it_ran_stops_the_start(any_dsn: str) -> None:
    with psycopg.connect(any_dsn) as editor:
        editor.execute("update rowcast.migration set checksum = 'other' where name = %s", [_ALL[0]])

    with pytest.raises(ConfigError) as caught:
        await migrate_database(any_dsn)

    assert caught.value.code == "config.schema"


def _add_owner(admin: psycopg.Connection, name: str) -> None:
    admin.execute(sql.SQL("create role {} login createrole nosuperuser password 'p'").format(sql.Identifier(name)))
    admin.execute(sql.SQL("create database {0} owner {0}").format(sql.Identifier(name)))


@pytest.fixture(params=["18", "15"])
def bin_folder(request: pytest.FixtureRequest) -> Path | None:
    if request.param == "18":
        return None
    if not OLDER.exists():
        pytest.skip(f"NOT TESTED: there is no PostgreSQL 15 in {OLDER}; install it to test the oldest server.")
    return OLDER


async def test_owners_without_superuser_rights_migrate_and_speak_for_a_tenant(
    server_folder: Path, bin_folder: Path | None
) -> None:
    async with EmbeddedPostgres(server_folder, bin_folder=bin_folder) as server:
        with psycopg.connect(server.dsn, autocommit=True) as admin:
            for name in ("first", "second"):
                _add_owner(admin, name)
            first, second = (f"postgresql://{name}:p@127.0.0.1:{server.port}/{name}" for name in ("first", "second"))

            await migrate_database(first)
            if bin_folder is None:
                with pytest.raises(ConfigError, match="let an administrator run: grant rowcast_app to second"):
                    await migrate_database(second)
                admin.execute("grant rowcast_app to second")
            await migrate_database(second)

        assert await _seen_by_acme(first) == await _seen_by_acme(second) == ["acme"]


async def test_an_owner_that_may_not_make_roles_needs_an_administrator_once(
    server_folder: Path, bin_folder: Path | None
) -> None:
    async with EmbeddedPostgres(server_folder, bin_folder=bin_folder) as server:
        with psycopg.connect(server.dsn, autocommit=True) as admin:
            _add_owner(admin, "modest")
            admin.execute("alter role modest nocreaterole")
            dsn = f"postgresql://modest:p@127.0.0.1:{server.port}/modest"

            with pytest.raises(ConfigError, match="create role rowcast_app; grant rowcast_app to modest") as caught:
                await migrate_database(dsn)
            admin.execute("create role rowcast_app; grant rowcast_app to modest")

            assert caught.value.code == "config.role"
            assert await migrate_database(dsn) == _ALL


async def _seen_by_acme(dsn: str) -> list[str]:
    emit = parse_query("emit", "select rowcast.emit(:tenant, 'orders.made', '{}') as id")
    async with open_database(dsn) as database:
        for tenant in ("acme", "globex"):
            await database.fetch(emit, tenant=tenant)
        async with database.as_tenant("acme") as connection:
            rows = await connection.fetch(parse_query("seen", "select tenant_id from rowcast.outbox"))
    return [row["tenant_id"] for row in rows]


async def test_the_servers_version_is_read(any_dsn: str) -> None:
    connection = await connect(any_dsn)

    assert await check_version(connection) // 10_000 in range(15, 19)
    await connection.close()
