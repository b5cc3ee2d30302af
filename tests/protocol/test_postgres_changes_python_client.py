"""postgres_changes with the stock client `realtime` of PyPI, which drops every frame that is not as it expects."""

import asyncio
from typing import Any

from rowcast.store.pool import Database
from tests.integration.realtime.changing import publish, run
from tests.protocol.changes_server import serving_changes
from tests.protocol.python_client import PYTHONS, connected, room
from tests.protocol.socket_server import token

ORDERS = "create table orders (id bigint primary key, status text, note text)"


@PYTHONS
async def test_the_stock_python_client_hears_inserts_updates_and_deletes(
    dsn: str, database: Database, python: str
) -> None:
    publish(dsn, ORDERS, tables="orders")
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue(100)
    async with (
        serving_changes(dsn, database) as server,
        connected(server.url(), token(role="service_role"), python) as client,
    ):
        joined = room(client, "changes")
        joined.channel.on_postgres_changes(
            "*", heard.put_nowait, schema="public", table="orders", filter="status=in.(new,paid)"
        )
        state, _ = await joined.join()
        run(
            dsn,
            "insert into orders values (7, 'new'), (8, 'other')",
            "update orders set status = 'paid' where id = 7",
            "alter table orders replica identity full",
            "delete from orders",
        )
        async with asyncio.timeout(30):
            changes = [(await heard.get())["data"] for _ in range(3)]

    assert state == "SUBSCRIBED"
    assert [change["type"] for change in changes] == ["INSERT", "UPDATE", "DELETE"]
    assert changes[0]["record"] == {"id": 7, "status": "new", "note": None}
    assert changes[1]["old_record"] == {"id": 7}
    assert changes[2]["old_record"] == {"id": 7, "status": "paid", "note": None}


async def test_the_newest_python_client_chooses_columns(dsn: str, database: Database) -> None:
    """The older one has no `select`."""
    publish(dsn, ORDERS, tables="orders")
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue(100)
    async with (
        serving_changes(dsn, database) as server,
        connected(server.url(), token(role="service_role")) as client,
    ):
        joined = room(client, "changes")
        joined.channel.on_postgres_changes(
            "INSERT", heard.put_nowait, schema="public", table="orders", select=["status"]
        )
        await joined.join()
        run(dsn, "insert into orders values (7, 'new', 'long')")
        async with asyncio.timeout(30):
            change = (await heard.get())["data"]

    assert change["record"] == {"id": 7, "status": "new"}
