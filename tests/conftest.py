"""Fixtures for everybody: a fresh migrated database per test, and a clock that stands still."""

import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from rowcast.store.pool import Database, open_database
from rowcast.testing.cluster import Cluster
from rowcast.testing.fake_clock import FakeClock


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
    """A folder for a PostgreSQL of the test's own. Not `tmp_path`: pytest closes that to the user it runs as under root."""
    folder = Path(tempfile.mkdtemp(prefix="rowcast-server-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
