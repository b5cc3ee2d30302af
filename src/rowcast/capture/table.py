"""What the catalogue says of a table: what a watch needs to know before it is made."""

from rowcast.capture.table_description import TableDescription
from rowcast.core.errors import NotFoundError
from rowcast.store.pool import Session
from rowcast.store.sql import load_queries


async def describe_table(session: Session, schema: str, name: str) -> TableDescription:
    """Give a table's columns and primary key.

    Raises:
        NotFoundError: `input.no_table`, when there is no such table.
    """
    row = await session.fetch_one(load_queries("rowcast.capture")["describe_table"], schema=schema, name=name)
    if row is None:
        raise NotFoundError(
            f"There is no table {schema}.{name}. Create it first, or check schema and name.", code="input.no_table"
        )
    return TableDescription(
        schema, name, row["kind"], tuple(row["columns"]), tuple(row["key"]), risky=tuple(row["risky"])
    )
