"""A database of one's own: an owner without superuser rights, with and without what streaming needs, on both servers."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from rowcast.core.clock import SystemClock
from rowcast.core.ids import uuid7
from rowcast.server.embedded import EmbeddedPostgres
from rowcast.server.feed_choice import is_log_streamed, read_stream_rights
from rowcast.store.migrate import migrate_database
from rowcast.store.pool import open_database
from rowcast.store.sql import parse_query
from rowcast.testing.cluster import Cluster
from tests.integration.server.processes import started

EMIT = parse_query("emit", "select rowcast.emit('acme', 'orders.made', '{}')")


class Owners:
    """Makes roles that own a new database, as managed servers hand them out."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._made: list[tuple[str, str]] = []

    def dsn(self, rights: str, *, is_owner: bool = True) -> str:
        """Give the URL of an empty database, for a role with these attributes."""
        empty = self._cluster.create("template1")
        role, database = f"o_{uuid7(SystemClock().now()).hex}", urlsplit(empty).path[1:]
        self._made.append((empty, role))
        self.run(f"create role {role} login password 'secret' {rights}")
        # As an administrator does it once: the role that applications share belongs to the whole server.
        self.run("do $$ begin create role rowcast_app nologin; exception when duplicate_object then null; end $$")
        self.run(f"grant rowcast_app to {role}")
        self.run(f"alter database {database} owner to {role}" if is_owner else "select 1")
        place = urlsplit(empty)
        return place._replace(netloc=f"{role}:secret@{place.hostname}:{place.port}").geturl()

    def run(self, statement: str, dsn: str = "") -> None:
        with psycopg.connect(dsn or self._cluster.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL(statement))  # type: ignore[arg-type]

    def drop(self) -> None:
        for dsn, role in self._made:
            self._cluster.drop(dsn)
            self.run(f"drop role {role}")


@pytest.fixture
def owners(any_cluster: Cluster) -> Iterator[Owners]:
    made = Owners(any_cluster)
    yield made
    made.drop()


def serve(dsn: str, folder: Path, feed: str) -> tuple[str, set[str]]:
    """Start a relay and an event before it; gives the feed it opened and what it said before."""
    with started(
        "serve", "--port", "0", "--database", dsn, "--roles", "relay", "--feed", feed, folder=folder
    ) as process:
        opened = process.until("feed.opened")
        return opened["feed"], {line["event"] for line in process.log}


def refusal(dsn: str, folder: Path, *words: str) -> tuple[int, str]:
    with started(*words, "--database", dsn, folder=folder) as process:
        code, _, err = process.end()
        return code, err


@pytest.mark.parametrize("feed", ["auto", "wal"])
async def test_an_owner_that_may_replicate_migrates_emits_and_streams(
    owners: Owners, tmp_path: Path, feed: str
) -> None:
    dsn = owners.dsn("createrole replication")

    assert await migrate_database(dsn)
    async with open_database(dsn) as database:
        await database.execute(EMIT)
    opened, _ = await asyncio.to_thread(serve, dsn, tmp_path, feed)

    assert opened == "wal"


async def test_an_owner_that_may_not_replicate_claims_and_says_why(owners: Owners, tmp_path: Path) -> None:
    dsn = owners.dsn("noreplication")
    await migrate_database(dsn)

    opened, said = await asyncio.to_thread(serve, dsn, tmp_path, "auto")

    assert opened == "claim"
    assert "feed.log_not_streamed" in said


async def test_the_log_asked_for_by_a_role_that_may_not_replicate_is_refused(owners: Owners, tmp_path: Path) -> None:
    dsn = owners.dsn("noreplication")
    await migrate_database(dsn)

    code, err = await asyncio.to_thread(
        refusal, dsn, tmp_path, "serve", "--port", "0", "--roles", "relay", "--feed", "wal"
    )

    assert (code, "(config.replication_role)" in err, "Traceback" in err) == (3, True, False), err


async def test_a_role_that_may_make_no_schema_is_refused_with_the_servers_words(owners: Owners, tmp_path: Path) -> None:
    dsn = owners.dsn("replication", is_owner=False)

    code, err = await asyncio.to_thread(refusal, dsn, tmp_path, "migrate")

    assert (code, "(config.privileges)" in err, "permission denied for database" in err) == (3, True, True), err
    assert "Traceback" not in err


async def test_a_role_that_may_make_no_publication_claims_unless_somebody_made_it(
    owners: Owners, any_cluster: Cluster
) -> None:
    dsn = owners.dsn("replication")
    await migrate_database(dsn)
    role, name = urlsplit(dsn).username, urlsplit(dsn).path[1:]
    owners.run(f"alter database {name} owner to postgres")
    async with open_database(dsn) as database:
        before = await is_log_streamed(database, "auto")
        owners.run(f"grant create on database {name} to {role}")
        granted = await read_stream_rights(database)
        owners.run(f"revoke create on database {name} from {role}")
        as_admin = urlsplit(any_cluster.dsn)._replace(path=f"/{name}").geturl()
        owners.run("create publication rowcast_events for table rowcast.event", as_admin)
        after = await is_log_streamed(database, "auto")

    assert (before, granted.may_publish, after) == (False, True, True)


@pytest.mark.parametrize("words", [("serve", "--port", "0", "--roles", "relay"), ("status",)])
async def test_a_role_that_does_not_own_the_schema_is_refused(
    owners: Owners, tmp_path: Path, words: tuple[str, ...]
) -> None:
    dsn, stranger = owners.dsn("replication"), urlsplit(owners.dsn("replication")).username
    await migrate_database(dsn)
    other = dsn.replace(f"//{urlsplit(dsn).username}:", f"//{stranger}:", 1)

    code, err = await asyncio.to_thread(refusal, other, tmp_path, *words)

    assert (code, "(config.privileges)" in err, "Traceback" in err) == (3, True, False), err


async def test_the_log_asked_for_by_a_role_that_may_make_no_publication_is_refused(
    owners: Owners, tmp_path: Path
) -> None:
    dsn = owners.dsn("replication")
    await migrate_database(dsn)
    owners.run(f"alter database {urlsplit(dsn).path[1:]} owner to postgres")

    code, err = await asyncio.to_thread(
        refusal, dsn, tmp_path, "serve", "--port", "0", "--roles", "relay", "--feed", "wal"
    )

    assert (code, "(config.privileges)" in err, "Traceback" in err) == (3, True, False), err


async def test_a_server_without_the_logical_log_is_claimed_from_and_that_is_told(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder / "pg", settings={"wal_level": "replica"}) as postgres:
        await migrate_database(postgres.dsn)
        opened, said = await asyncio.to_thread(serve, postgres.dsn, server_folder, "auto")

    assert opened == "claim"
    assert "feed.log_not_streamed" in said
