"""A watched table and what its triggers wrote, for the tests of capture."""

import json
from collections.abc import Sequence
from typing import Any

import psycopg

from rowcast.capture.table import describe_table
from rowcast.capture.table_description import TableDescription
from rowcast.capture.triggers import watch_sql
from rowcast.capture.watch import Watch, split_table
from rowcast.store.pool import connect

_EVENTS = """
select tenant_id, aggregate_type, aggregate_id, event_type, topic, payload::text from rowcast.event order by seq
"""


class Told:
    """One event as the table holds it."""

    def __init__(self, row: Sequence[Any]) -> None:
        self.tenant_id, self.aggregate_type, self.aggregate_id, self.event_type, self.topic, payload = row
        self.payload: dict[str, Any] = json.loads(payload)
        self.record = self.payload["record"]
        self.old_record = self.payload["old_record"]


class Application:
    """An application's own connection, which knows nothing of rowcast; warnings of the server are kept."""

    def __init__(self, dsn: str) -> None:
        self.connection = psycopg.connect(dsn, autocommit=True)
        self.warnings: list[str] = []
        self.connection.add_notice_handler(lambda notice: self.warnings.append(notice.message_primary or ""))

    def run(self, text: str, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        cursor = self.connection.execute(text, values)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []

    def told(self) -> list[Told]:
        """Give every event, in the order in which they were written."""
        return [Told(row) for row in self.run(_EVENTS)]

    def forget(self) -> None:
        self.run("delete from rowcast.event")
        self.warnings.clear()


async def described(dsn: str, table: str) -> TableDescription:
    connection = await connect(dsn)
    try:
        return await describe_table(connection, *split_table(table))
    finally:
        await connection.close()


async def install(dsn: str, watch: Watch, *, times: int = 1) -> str:
    """Install a watch as its migration says, and give the migration."""
    script = watch_sql(watch, await described(dsn, watch.table))
    connection = await connect(dsn)
    try:
        for _ in range(times):
            await connection.run_script(script)
    finally:
        await connection.close()
    return script
