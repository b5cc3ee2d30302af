"""What `rowcast dev` serves beside the API: the live page, the catcher, and nothing else of the disk."""

from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio

from rowcast.core.clock import SystemClock
from rowcast.delivery.history import History
from rowcast.server.http import create_application
from rowcast.server.routes_dev import LiveConfig, dev_routes
from rowcast.store.pool import Database
from rowcast.webhooks.catcher import Catcher
from tests.integration.server.running import assert_problem

CONFIG = LiveConfig(
    realtime_url="ws://x",
    anon_key="anon",
    token="user",
    tenant_id="acme",
    topics=("orders:acme",),
    example="update ...",
)


@pytest_asyncio.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    catcher = Catcher(clock=SystemClock(), secrets=())
    routes = dev_routes(config=CONFIG, catcher=catcher, history=History(database=database))
    transport = httpx.ASGITransport(create_application([routes]))
    async with httpx.AsyncClient(transport=transport, base_url="http://dev") as made:
        yield made


async def test_the_front_door_leads_to_the_live_page(client: httpx.AsyncClient) -> None:
    front = await client.get("/")
    page = await client.get(front.headers["location"])

    assert front.status_code in (301, 302, 307)
    assert page.headers["content-type"].startswith("text/html")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"


async def test_the_page_gets_what_it_needs_to_join(client: httpx.AsyncClient) -> None:
    config = (await client.get("/dev/config")).json()

    assert (config["realtimeUrl"], config["topics"]) == ("ws://x", ["orders:acme"])


async def test_whatever_is_posted_to_the_catcher_is_shown_with_what_is_wrong_with_it(client: httpx.AsyncClient) -> None:
    posted = await client.post("/catcher", json={"type": "a.b"})
    raw = await client.post("/catcher", content=b"\xff not json")
    rows = (await client.get("/catcher")).json()["data"]
    received = (await client.get("/dev/received")).json()

    assert (posted.status_code, raw.status_code) == (204, 204)
    assert [row["verified"] for row in rows] == [False, False]
    assert rows[1]["body"] == {"type": "a.b"}
    assert all(row["reason"] for row in rows)
    assert received["webhooks"]["total"] == 2
    assert received["jobs"] == {"total": 0, "rows": []}


@pytest.mark.parametrize(
    "name",
    ["../queries.sql", "..%2f..%2fserver%2fqueries.sql", "nothing.js", "__init__.py", "static", "", "a" * 300 + ".js"],
)
async def test_nothing_but_the_pages_files_is_served(client: httpx.AsyncClient, name: str) -> None:
    assert_problem(await client.get(f"/static/{name}"), 404, "input.not_found")
