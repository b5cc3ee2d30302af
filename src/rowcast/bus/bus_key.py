"""The key that all nodes of a database share, for a bus that is not the database itself."""

from rowcast.core.errors import ConfigError
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries


async def read_bus_key(database: Database) -> bytes:
    """Give the 32 bytes with which nodes seal what they tell each other.

    Raises:
        ConfigError: `config.schema`, when the database has none.
        StoreUnavailableError: The database cannot be reached.
    """
    row = await database.fetch_one(load_queries("rowcast.bus")["read_key"])
    if row is None:
        raise ConfigError("The database has no key for the bus. Run 'rowcast migrate'.", code="config.schema")
    return bytes(row["key"])
