"""A connection that hears notifications."""

import asyncio

import pytest

from rowcast.core.errors import ConfigError, StoreUnavailableError
from rowcast.store.listen import listen
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query

NOTIFY = parse_query("notify", "select pg_notify('a channel', :text)")
CUT = parse_query(
    "cut",
    "select pg_terminate_backend(pid) from pg_stat_activity"
    " where datname = current_database() and application_name = 'rowcast listen a channel'",
)


async def test_what_others_notify_is_heard_in_order(dsn: str, database: Database) -> None:
    heard: list[str] = []
    connection = await listen(dsn, "a channel", on_message=heard.append, on_lost=lambda: None, timeout_s=5)
    for text in ("one", "two"):
        await database.fetch(NOTIFY, text=text)
    async with asyncio.timeout(5):
        while len(heard) < 2:
            await asyncio.sleep(0.005)
    await connection.close()

    assert heard == ["one", "two"]


async def test_the_end_of_the_connection_is_told_once(dsn: str, database: Database) -> None:
    lost: list[str] = []
    connection = await listen(dsn, "a channel", on_message=print, on_lost=lambda: lost.append("lost"), timeout_s=5)
    await database.fetch(CUT)
    async with asyncio.timeout(5):
        while not lost:
            await asyncio.sleep(0.005)
    await connection.close()

    assert lost == ["lost"]


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    with pytest.raises(StoreUnavailableError):
        await listen("postgresql://a@127.0.0.1:1/b", "c", on_message=print, on_lost=lambda: None, timeout_s=5)


async def test_a_database_that_is_not_there_is_a_wrong_setting(dsn: str) -> None:
    with pytest.raises(ConfigError):
        await listen(dsn + "_not", "c", on_message=print, on_lost=lambda: None, timeout_s=5)
