"""One embedded PostgreSQL for a whole test run, and a fresh, migrated database for each test in a few milliseconds.

All processes of a run (pytest-xdist) share it: the first one that needs it starts it, and the server's guard stops it
and removes its folder when the last one is gone, by whatever way.
"""

import asyncio
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from rowcast.core.clock import SystemClock
from rowcast.core.ids import uuid7
from rowcast.server.embedded import EmbeddedPostgres
from rowcast.server.embedded_guard import hold_pipe
from rowcast.store.migrate import migrate
from rowcast.store.pool import connect

TEMPLATE = "rowcast_template"
_ROOM_BYTES = 6 * 2**30

# Nobody keeps these data, so nothing waits for the disk. Never for tests about crashes.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "autovacuum": "off",
    "jit": "off",
    "max_connections": "300",
    "max_prepared_transactions": "20",
    "max_wal_senders": "64",
    "max_replication_slots": "64",
}


class Cluster:
    """The run's server. Every database that it gives is new; the caller drops it."""

    def __init__(self, dsn: str) -> None:
        """Take the URL of the server's own database."""
        self._dsn = dsn
        self._admin = psycopg.connect(dsn, autocommit=True)

    @property
    def dsn(self) -> str:
        """Give the URL of the server's own database, `postgres`."""
        return self._dsn

    def create(self, template: str = TEMPLATE) -> str:
        """Make a database and give its URL. `template1` gives an empty one."""
        name = f"t_{uuid7(SystemClock().now()).hex}"
        self._admin.execute(
            sql.SQL("create database {} template {}").format(sql.Identifier(name), sql.Identifier(template))
        )
        return urlsplit(self._dsn)._replace(path=f"/{name}").geturl()

    def drop(self, dsn: str) -> None:
        """Drop a database with its sessions and its replication slots."""
        name = urlsplit(dsn).path.removeprefix("/")
        self._admin.execute("select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = %s", [name])
        self._admin.execute(
            "select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = %s", [name]
        )
        self._admin.execute(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def close(self) -> None:
        """Let go of the server."""
        self._admin.close()


@contextmanager
def shared_cluster(run_folder: Path, *, bin_folder: Path | None = None) -> Iterator[Cluster]:
    """Give the cluster of the test run whose processes all see `run_folder`; start it where it does not run yet."""
    name = f"rowcast-cluster-{bin_folder.as_posix().replace('/', '_') if bin_folder else 'wheel'}"
    with _locked(run_folder / f"{name}.lock"):
        pipe, dsn = _join(run_folder / f"{name}.json") or _start(run_folder / f"{name}.json", bin_folder)
    cluster = Cluster(dsn)
    try:
        yield cluster
    finally:
        cluster.close()
        os.close(pipe)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _join(card: Path) -> tuple[int, str] | None:
    """Hold the server that the card names; None where there is none, or where it is just ending."""
    try:
        known: Mapping[str, str] = json.loads(card.read_text())
    except FileNotFoundError:
        return None
    pipe = hold_pipe(Path(known["folder"]))
    if pipe is None:
        return None
    try:
        psycopg.connect(known["dsn"], connect_timeout=5).close()
    except psycopg.OperationalError:
        os.close(pipe)
        return None
    return pipe, known["dsn"]


def _start(card: Path, bin_folder: Path | None) -> tuple[int, str]:
    # Not in the run's folder: pytest keeps that closed to others, and as root we run PostgreSQL as another user.
    folder = Path(tempfile.mkdtemp(prefix="rowcast-test-", dir=_ground()))
    with ThreadPoolExecutor(1) as thread:
        pipe, dsn = thread.submit(asyncio.run, _start_and_migrate(folder, bin_folder)).result()
    card.write_text(json.dumps({"folder": str(folder), "dsn": dsn}))
    return pipe, dsn


def _ground() -> str:
    """Give where the data lie: in memory where there is room.

    A disk's file system looks long for a free inode when thousands were just freed, as dropping databases does.
    """
    memory = Path("/dev/shm")  # noqa: S108 - a folder is made in it, which is ours alone
    is_roomy = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free >= _ROOM_BYTES
    return str(memory) if is_roomy else "/tmp"  # noqa: S108 - likewise


async def _start_and_migrate(folder: Path, bin_folder: Path | None) -> tuple[int, str]:
    async with EmbeddedPostgres(folder, bin_folder=bin_folder, settings=_SETTINGS, is_temporary=True) as server:
        dsn = server.dsn
        await _make_template(dsn)
        pipe = hold_pipe(folder)
        if pipe is None:
            raise RuntimeError("the guard of the test cluster is gone")
        server.hand_over()
    return pipe, dsn


async def _make_template(dsn: str) -> None:
    admin = await connect(dsn)
    await admin.run_script(f"create database {TEMPLATE}")
    connection = await connect(urlsplit(dsn)._replace(path=f"/{TEMPLATE}").geturl())
    await migrate(connection)
    await connection.driver.close()
    await admin.run_script(f"alter database {TEMPLATE} is_template true allow_connections false")
    await admin.driver.close()
