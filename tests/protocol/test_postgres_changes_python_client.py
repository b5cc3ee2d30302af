"""postgres_changes with the stock client `realtime` of PyPI, which drops every frame that is not as it expects."""

import asyncio
from typing import Any

from realtime import AsyncRealtimeClient, RealtimeSubscribeStates

from rowcast.store.pool import Database
from tests.integration.realtime.changing import publish, run
from tests.protocol.changes_server import serving_changes
from tests.protocol.socket_server import token


async def test_the_stock_python_client_hears_inserts_updates_and_deletes(dsn: str, database: Database) -> None:
    publish(dsn, "create table orders (id bigint primary key, status text)", tables="orders")
    heard: asyncio.Queue[dict[str, Any]] = asyncio.Queue(100)
    states: asyncio.Queue[RealtimeSubscribeStates] = asyncio.Queue(100)
    async with serving_changes(dsn, database) as server, asyncio.timeout(30):
        client = AsyncRealtimeClient(server.url(), token(role="service_role"), hb_interval=1)
        await client.connect()
        channel = client.channel("changes")
        channel.on_postgres_changes(
            "*", heard.put_nowait, schema="public", table="orders", filter="status=in.(new,paid)"
        )
        await channel.subscribe(lambda state, _: states.put_nowait(state))
        state = await states.get()
        run(
            dsn,
            "insert into orders values (7, 'new'), (8, 'other')",
            "update orders set status = 'paid' where id = 7",
            "alter table orders replica identity full",
            "delete from orders",
        )
        changes = [(await heard.get())["data"] for _ in range(3)]
        await client.close()

    assert state is RealtimeSubscribeStates.SUBSCRIBED
    assert [change["type"] for change in changes] == ["INSERT", "UPDATE", "DELETE"]
    assert changes[0]["record"] == {"id": 7, "status": "new"}
    assert changes[1]["old_record"] == {"id": 7}
    assert changes[2]["old_record"] == {"id": 7, "status": "paid"}
