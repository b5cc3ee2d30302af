"""Databases as Supabase's are: new tables of schema public are granted to the roles of tokens."""

import psycopg
import pytest


@pytest.fixture
def dsn(dsn: str) -> str:
    """This test's own database, with those grants."""
    return _granting(dsn)


@pytest.fixture
def any_dsn(any_dsn: str) -> str:
    """The same on the newest and on the oldest server."""
    return _granting(any_dsn)


def _granting(dsn: str) -> str:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select rowcast.grant_new_tables()")
    return dsn
