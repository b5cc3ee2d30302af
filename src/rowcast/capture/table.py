"""What the catalogue says of a table: what a watch needs to know before it is made."""

import msgspec

from rowcast.core.errors import NotFoundError
from rowcast.store.pool import Session
from rowcast.store.sql import load_queries


class TableDescription(msgspec.Struct, frozen=True):
    """A table as it stands. `key` is its primary key in order; `kind` is `r` (table) or `p` (partitioned)."""

    schema: str
    name: str
    kind: str
    columns: tuple[str, ...]
    key: tuple[str, ...]


async def describe_table(session: Session, schema: str, name: str) -> TableDescription:
    """Give a table's columns and primary key.

    Raises:
        NotFoundError: `input.no_table`, when there is no such table.
    """
    row = await session.fetch_one(load_queries("rowcast.capture")["describe_table"], schema=schema, name=name)
    if row is None:
        raise NotFoundError(
            f"There is no table {schema}.{name}. Create it first, or check the name.", code="input.no_table"
        )
    return TableDescription(schema, name, row["kind"], tuple(row["columns"]), tuple(row["key"]))
