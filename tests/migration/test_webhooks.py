"""Endpoints of an older release keep their secrets: what was a column becomes a row, unsealed until it is rotated."""

import os
from collections.abc import Iterator

import psycopg
import pytest

from rowcast.store import migrate
from rowcast.store.migrate import migrate_database
from rowcast.store.pool import open_database
from rowcast.testing.cluster import Cluster
from rowcast.testing.fake_clock import FakeClock
from rowcast.webhooks.sealing import KeyRing, SealKey
from rowcast.webhooks.secrets_table import SecretTable
from rowcast.webhooks.signature import secret_text

SECRET = secret_text(b"s" * 32)
OLDER = tuple(each for each in migrate.load_migrations() if each.name < "0030")


@pytest.fixture
def older_dsn(any_cluster: Cluster) -> Iterator[str]:
    """A database in which nothing was done yet."""
    dsn = any_cluster.create(template="template1")
    yield dsn
    any_cluster.drop(dsn)


async def test_an_endpoint_made_before_secrets_were_rows_signs_on(
    older_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(migrate, "load_migrations", lambda: OLDER)
        await migrate_database(older_dsn)
    with psycopg.connect(older_dsn, autocommit=True) as connection:
        row = ("ep_1", "acme", "https://hooks.example.com/", SECRET)
        connection.execute("insert into rowcast.endpoint (id, tenant_id, url, secret) values (%s, %s, %s, %s)", row)

    await migrate_database(older_dsn)

    async with open_database(older_dsn) as database:
        ring = KeyRing([SealKey("one", b"1" * 32)], noise=os.urandom)
        secrets = SecretTable(database=database, ring=ring, clock=FakeClock())
        assert await secrets.current("acme", "ep_1") == SECRET
        assert (await secrets.rotate("acme", "ep_1")).startswith("whsec_")
