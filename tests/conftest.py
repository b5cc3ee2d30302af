"""Fixtures for everybody: a fresh migrated database per test, and a clock that stands still."""

import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import psycopg
import pytest
import pytest_asyncio

from rowcast.store.pool import Database, open_database
from rowcast.testing.cluster import Cluster, shared_cluster
from rowcast.testing.fake_clock import FakeClock

OLDER = Path("/usr/lib/postgresql/15/bin")


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--postgres /usr/lib/postgresql/16/bin` runs every test with a database on the PostgreSQL in that folder."""
    parser.addoption("--postgres", type=Path, help="folder of the programs of the PostgreSQL to test on")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the runs of minutes over the first half: together they would disturb each other, and last hold up the end."""
    files: dict[str, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.nodeid.partition("::")[0], []).append(item)
    long = [file for file in files if "/reliability/" in file]
    others = [file for file in files if file not in long]
    gap = len(others) // (2 * len(long)) if long else 0
    for number, file in enumerate(long):
        others.insert(number * (gap + 1), file)
    items[:] = [item for file in others for item in files[file]]


def pytest_collection_finish() -> None:
    """Keep thousands of tests out of the collector's rounds."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def rowcast_cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The PostgreSQL of this run: the newest, from the wheel, or the one that `--postgres` names."""
    base = tmp_path_factory.getbasetemp()
    run_folder = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with shared_cluster(run_folder, bin_folder=request.config.getoption("--postgres")) as cluster:
        yield cluster


@pytest.fixture(scope="session", params=["18", "15"])
def any_cluster(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, rowcast_cluster: Cluster
) -> Iterator[Cluster]:
    """The newest and the oldest PostgreSQL that rowcast runs on, one after the other."""
    if request.param == "18":
        yield rowcast_cluster
        return
    if not OLDER.exists():
        pytest.skip(f"NOT TESTED: there is no PostgreSQL 15 in {OLDER}; install it to test the oldest server.")
    base = tmp_path_factory.getbasetemp()
    with shared_cluster(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base, bin_folder=OLDER) as older:
        yield older


@pytest.fixture(scope="module")
def any_module_dsn(any_cluster: Cluster) -> Iterator[str]:
    """The URL of one fresh, migrated database for all tests of a module, on the newest and on the oldest server."""
    dsn = any_cluster.create()
    yield dsn
    any_cluster.drop(dsn)


@pytest.fixture
def any_dsn(any_cluster: Cluster) -> Iterator[str]:
    """The URL of a fresh, migrated database on the newest and on the oldest server."""
    dsn = any_cluster.create()
    yield dsn
    any_cluster.drop(dsn)


@pytest.fixture
def make_dsn(rowcast_cluster: Cluster) -> Iterator[Callable[[], str]]:
    """`make_dsn()` gives the URL of a fresh, migrated database; all are dropped after the test."""
    made: list[str] = []

    def make() -> str:
        made.append(rowcast_cluster.create())
        return made[-1]

    yield make
    for dsn in made:
        rowcast_cluster.drop(dsn)


@pytest.fixture
def dsn(make_dsn: Callable[[], str]) -> str:
    """The URL of this test's own fresh, migrated database."""
    return make_dsn()


@pytest.fixture(scope="module")
def module_dsn(rowcast_cluster: Cluster) -> Iterator[str]:
    """The URL of one fresh, migrated database for all tests of a module, which only read or clean up."""
    dsn = rowcast_cluster.create()
    yield dsn
    rowcast_cluster.drop(dsn)


@pytest.fixture
def emptied_dsn(module_dsn: str) -> str:
    """The module's database without events and deliveries: for hundreds of tests that write nothing else."""
    with psycopg.connect(module_dsn, autocommit=True) as connection:
        connection.execute("truncate rowcast.event, rowcast.event_state, rowcast.delivery, rowcast.attempt")
    return module_dsn


@pytest_asyncio.fixture
async def database(dsn: str) -> AsyncIterator[Database]:
    """This test's own fresh, migrated database: the one that `dsn` names."""
    async with open_database(dsn) as opened:
        yield opened


@pytest_asyncio.fixture
async def make_database(make_dsn: Callable[[], str]) -> AsyncIterator[Callable[[], Awaitable[Database]]]:
    """`await make_database()` gives a further fresh, migrated database."""
    async with AsyncExitStack() as stack:

        async def make() -> Database:
            return await stack.enter_async_context(open_database(make_dsn()))

        yield make


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands still until `clock.tick(seconds)`."""
    return FakeClock()


@pytest.fixture
def server_folder() -> Iterator[Path]:
    """A folder for a PostgreSQL of the test's own; root runs that as another user, to whom `tmp_path` is closed."""
    folder = Path(tempfile.mkdtemp(prefix="rowcast-server-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
