"""The key of the bus, read from the database."""

import pytest

from rowcast.bus.bus_key import read_bus_key
from rowcast.core.errors import ConfigError
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query

EMPTY = parse_query("empty", "delete from rowcast.bus_key")


async def test_every_reader_gets_the_same_32_bytes(database: Database) -> None:
    first, second = await read_bus_key(database), await read_bus_key(database)

    assert first == second
    assert len(first) == 32


async def test_a_database_without_a_key_says_what_to_do(database: Database) -> None:
    await database.execute(EMPTY)

    with pytest.raises(ConfigError, match="rowcast migrate"):
        await read_bus_key(database)
