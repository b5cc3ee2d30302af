"""Alive, ready and measured: /livez, /readyz, /metrics on a server whose database comes and goes."""

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx

from rowcast.server.embedded import EmbeddedPostgres
from rowcast.store.migrate import migrate_database
from tests.integration.server.running import Running, running


async def until_readiness(server: Running, status: int, **components: str) -> dict[str, Any]:
    """Wait until /readyz answers so, and give its body."""
    deadline = time.monotonic() + 40
    while True:
        found, body = await server.readiness()
        states = {component["name"]: component["status"] for component in body["components"]}
        if found == status and components.items() <= states.items():
            return body
        assert time.monotonic() < deadline, body
        await asyncio.sleep(0.1)


async def test_a_started_server_is_alive_and_ready(dsn: str) -> None:
    async with running(dsn, roles=("gateway", "relay", "delivery")) as server:
        body = await until_readiness(server, 200, database="ok", relay="ok", delivery="ok", bus="ok")
        alive = await server.client.get("/livez")

    assert body["is_ready"] is True
    assert (alive.status_code, alive.json()) == (200, {"status": "ok"})


async def test_readiness_names_only_the_components_of_its_roles(api: Running) -> None:
    body = await until_readiness(api, 200, database="ok")

    assert {component["name"] for component in body["components"]} == {"database", "bus"}


async def test_readiness_is_red_while_the_database_is_away_and_green_after(server_folder: Path) -> None:
    async with EmbeddedPostgres(server_folder / "pg") as postgres:
        await migrate_database(postgres.dsn)
        async with running(postgres.dsn, roles=("gateway", "relay", "delivery")) as server:
            await until_readiness(server, 200, relay="ok")
            await postgres.stop("immediate")
            red = await until_readiness(server, 503, database="down", relay="degraded", bus="degraded")
            alive = await server.client.get("/livez")
            await postgres.start()
            await until_readiness(server, 200, database="ok", relay="ok", bus="ok")

    assert {component["name"]: bool(component["reason"]) for component in red["components"]}["database"]
    assert alive.status_code == 200


async def test_a_server_that_stops_is_not_ready_and_still_alive(api: Running) -> None:
    await until_readiness(api, 200)

    api.health.stop()
    status, body = await api.readiness()

    assert (status, body["status"], body["is_ready"]) == (503, "stopping", False)
    assert (await api.client.get("/livez")).status_code == 200


async def test_metrics_are_in_prometheus_own_form_and_name_no_tenant(api: Running) -> None:
    await api.client.post(
        "/api/v1/events", headers=await api.key(), json={"eventType": "a.b", "payload": {}, "tenantId": "tenant-x"}
    )

    reply = await api.client.get("/metrics")

    assert reply.status_code == 200
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "# TYPE rowcast_" in reply.text
    assert "tenant-x" not in reply.text


async def test_health_needs_no_key(api: Running) -> None:
    async with httpx.AsyncClient(base_url=str(api.client.base_url)) as stranger:
        answers = [(await stranger.get(path)).status_code for path in ("/livez", "/metrics")]

    assert answers == [200, 200]
