from typing import Any

import asyncpg
import psycopg
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from rowcast.core.errors import UsageError
from rowcast.store.caller import runner_of


def test_a_class_made_from_a_known_one_is_known() -> None:
    class OurSession(Session):
        pass

    class OurConnection(psycopg.Connection[Any]):
        pass

    assert runner_of(OurSession) == runner_of(Session)
    assert runner_of(OurConnection) == runner_of(psycopg.Connection)


def test_a_connection_that_is_awaited_is_told_from_one_that_blocks() -> None:
    assert [runner_of(kind)[1] for kind in (psycopg.Connection, psycopg.AsyncConnection, asyncpg.Connection)] == [
        False,
        True,
        True,
    ]


@pytest.mark.parametrize("kind", [str, type(None), Engine, asyncpg.Pool, psycopg.Cursor])
def test_pools_engines_and_strangers_are_refused_with_what_to_pass_instead(kind: type) -> None:
    with pytest.raises(UsageError, match="Pass the one that holds your transaction") as refused:
        runner_of(kind)

    assert refused.value.code == "usage.connection"
