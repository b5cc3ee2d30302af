"""Fixtures for applications that use rowcast. Nothing is imported or started before a test asks for a fixture."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rowcast.store.pool import Database
    from rowcast.testing.cluster import Cluster
    from rowcast.testing.fake_clock import FakeClock
    from rowcast.testing.webhook_catcher import WebhookCatcher


@pytest.fixture(scope="session")
def rowcast_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The PostgreSQL of this test run, shared by all its processes."""
    from rowcast.testing.cluster import shared_cluster

    base = tmp_path_factory.getbasetemp()
    with shared_cluster(base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) as cluster:
        yield cluster


@pytest.fixture
def rowcast_dsn(rowcast_cluster: Cluster) -> Iterator[str]:
    """The URL of this test's own fresh database with rowcast's schema."""
    dsn = rowcast_cluster.create()
    yield dsn
    rowcast_cluster.drop(dsn)


@pytest.fixture
async def rowcast_database(rowcast_dsn: str) -> AsyncIterator[Database]:
    """This test's own fresh database; needs pytest-asyncio in its auto mode."""
    from rowcast.store.pool import open_database

    async with open_database(rowcast_dsn) as database:
        yield database


@pytest.fixture
def rowcast_clock() -> FakeClock:
    """A clock that stands still until `rowcast_clock.tick(seconds)`."""
    from rowcast.testing.fake_clock import FakeClock

    return FakeClock()


@pytest.fixture
async def rowcast_webhook_catcher() -> AsyncIterator[WebhookCatcher]:
    """A receiver of webhooks on this machine; needs pytest-asyncio in its auto mode."""
    from rowcast.testing.webhook_catcher import WebhookCatcher

    async with WebhookCatcher() as catcher:
        yield catcher
