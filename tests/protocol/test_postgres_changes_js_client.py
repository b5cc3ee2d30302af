"""postgres_changes with the stock JavaScript client, unchanged, in both serializer versions."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rowcast.store.pool import Database
from tests.integration.realtime.changing import publish, run
from tests.protocol.changes_server import serving_changes
from tests.protocol.js_client import JS, VERSIONS, JsClient, require_js
from tests.protocol.socket_server import SocketServer, token

TABLE = "create table orders (id bigint primary key, status text, paid bool, at timestamptz, tags text[], doc jsonb)"


@asynccontextmanager
async def listening(server: SocketServer, vsn: str, *bindings: dict[str, Any]) -> AsyncIterator[JsClient]:
    require_js()
    command = ["node", "changes.mjs", server.url(), token(role="service_role"), vsn, json.dumps(bindings)]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=JS, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield JsClient(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(10):
            await process.wait()


@VERSIONS
async def test_the_stock_client_hears_inserts_updates_and_deletes(dsn: str, database: Database, vsn: str) -> None:
    publish(dsn, TABLE, tables="orders")
    everything = {"event": "*", "schema": "public", "table": "orders"}
    paid = {"event": "UPDATE", "schema": "public", "table": "orders", "filter": "paid=eq.true"}
    async with serving_changes(dsn, database) as server, listening(server, vsn, everything, paid) as client:
        subscribed = await client.fact(lambda fact: "status" in fact)
        run(
            dsn,
            "insert into orders values (7, 'new', false, '2026-01-01 10:00:00+00', '{a,b}', '{\"x\": 1}')",
            "update orders set paid = true",
            "delete from orders",
        )
        inserted = await client.fact(lambda fact: fact.get("place") == 0)
        updated = await client.fact(lambda fact: fact.get("place") == 0)
        of_paid = await client.fact(lambda fact: fact.get("place") == 1)
        deleted = await client.fact(lambda fact: fact.get("place") == 0)
        system = await client.fact(lambda fact: "system" in fact)

    assert subscribed["status"] == "SUBSCRIBED"
    assert system["system"]["message"] == "Subscribed to PostgreSQL"
    assert inserted["change"]["eventType"] == "INSERT"
    assert inserted["change"]["new"] == {
        "id": 7,
        "status": "new",
        "paid": False,
        "at": "2026-01-01T10:00:00+00:00",
        "tags": ["a", "b"],
        "doc": {"x": 1},
    }
    assert (inserted["change"]["schema"], inserted["change"]["table"], inserted["change"]["errors"]) == (
        "public",
        "orders",
        None,
    )
    assert (updated["change"]["new"]["paid"], updated["change"]["old"]) == (True, {"id": 7})
    assert of_paid["change"] == updated["change"]
    assert (deleted["change"]["eventType"], deleted["change"]["old"]) == ("DELETE", {"id": 7})


async def test_the_stock_client_is_told_what_is_wrong_and_its_channel_stays(dsn: str, database: Database) -> None:
    asked = {"event": "INSERT", "schema": "public", "table": "nope"}
    async with serving_changes(dsn, database) as server, listening(server, "2.0.0", asked) as client:
        subscribed = await client.fact(lambda fact: "status" in fact)
        system = await client.fact(lambda fact: "system" in fact)

    assert subscribed["status"] == "SUBSCRIBED"
    assert system["system"]["extension"] == "postgres_changes"
    assert system["system"]["status"] == "error"
    assert "table: nope" in system["system"]["message"]


async def test_a_row_that_is_written_once_the_client_is_subscribed_is_never_missed(
    dsn: str, database: Database
) -> None:
    publish(dsn, TABLE, tables="orders")
    asked = {"event": "*", "schema": "public", "table": "orders"}
    async with serving_changes(dsn, database) as server:
        for number in range(3):
            async with listening(server, "2.0.0", asked) as client:
                await client.fact(lambda fact: fact.get("status") == "SUBSCRIBED")
                run(dsn, f"insert into orders values ({number})")
                heard = await client.fact(lambda fact: "change" in fact)
                assert heard["change"]["new"]["id"] == number
