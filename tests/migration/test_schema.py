"""`store/schema.sql` is the whole picture: a database made from it equals one made by the migrations."""

import re
import subprocess
from collections.abc import Iterator
from importlib import resources
from itertools import pairwise

import psycopg
import pytest

from rowcast.server.embedded_programs import find_programs
from rowcast.testing.cluster import Cluster

_SCHEMA = resources.files("rowcast.store").joinpath("schema.sql").read_text("utf-8")
# Lines that differ between two dumps of the same database, and partitions: made by the day, not by the schema.
_NOISE = re.compile(r"^(--.*|\\(un)?restrict .*|SET .*|SELECT pg_catalog\.set_config.*|\s*)$")


@pytest.fixture
def pictured_dsn(any_cluster: Cluster) -> Iterator[str]:
    """A database made from `schema.sql`."""
    dsn = any_cluster.create(template="template1")
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(_SCHEMA)  # type: ignore[call-overload]
    yield dsn
    any_cluster.drop(dsn)


def _dump(dsn: str) -> list[str]:
    words = ["--schema-only", "--no-owner", "--exclude-table=rowcast.event*_2*"]
    printed = subprocess.run(
        [find_programs().path("pg_dump"), *words, dsn], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    return [line for line in printed.splitlines() if not _NOISE.match(line)]


def _say(dsn: str, text: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn) as connection:
        return connection.execute(text).fetchall()  # type: ignore[call-overload]


def test_the_picture_equals_what_the_migrations_make(any_dsn: str, pictured_dsn: str) -> None:
    migrated, pictured = _dump(any_dsn), _dump(pictured_dsn)

    assert [line for line in migrated if line not in pictured] == [], (
        "the migrations make this; add it to store/schema.sql"
    )
    assert [line for line in pictured if line not in migrated] == [], (
        "no migration makes this; correct store/schema.sql"
    )
    assert migrated == pictured


def test_the_picture_has_the_same_partitions_and_the_same_triggers_on_them(any_dsn: str, pictured_dsn: str) -> None:
    text = """
        select p.relname::text, c.relname::text, c.relrowsecurity,
               array(select t.tgname::text from pg_trigger t where t.tgrelid = c.oid order by 1)
        from pg_inherits i join pg_class p on p.oid = i.inhparent join pg_class c on c.oid = i.inhrelid
        where p.relnamespace = 'rowcast'::regnamespace and p.relkind = 'p' order by 1, 2
    """

    assert _say(any_dsn, text) == _say(pictured_dsn, text)
    assert len(_say(any_dsn, text)) == 6


def test_an_event_can_be_emitted_into_the_picture(pictured_dsn: str) -> None:
    assert len(_say(pictured_dsn, "select rowcast.emit('acme', 'a.b', '{}')")) == 1


def test_the_picture_explains_every_table() -> None:
    lines = _SCHEMA.splitlines()
    bare = [
        line
        for before, line in pairwise(lines)
        if re.match(r"create (unlogged )?table rowcast\.\w+ \(", line) and not before.startswith("-- ")
    ]

    assert bare == []
