"""Tenants named beside the token, over HTTP: broadcasts, streams, subscriptions and the tenants' own routes."""

import asyncio
import time
from typing import Any

import httpx
import pytest

from rowcast.realtime.authorize import sign_token
from rowcast.realtime.messages import unpack_broadcasts
from tests.integration.server.running import JWT_SECRET, Running, assert_problem, running

ONE = {"messages": [{"topic": "room", "event": "e", "payload": {}}]}
WAYS: dict[str, Any] = {"auth__tenant_from": ("claim", "header", "path", "host"), "auth__tenant_host": "rt.test"}


def bearer(role: str = "authenticated", tenant_id: str | None = None) -> dict[str, str]:
    claims: dict[str, object] = {"role": role, "exp": int(time.time()) + 86_400, "sub": "ann"}
    claims |= {"tenant_id": tenant_id} if tenant_id else {}
    return {"authorization": f"Bearer {sign_token(claims, JWT_SECRET)}"}


def named(way: str, tenant: str, path: str) -> tuple[str, dict[str, str]]:
    """Give the address and the headers that name a tenant."""
    match way:
        case "path":
            return f"/t/{tenant}{path}", {}
        case "host":
            return path, {"host": f"{tenant}.rt.test:7400"}
    return path, {"x-tenant": tenant}


BY = pytest.mark.parametrize("way", ["header", "path", "host"])


@BY
@pytest.mark.parametrize("path", ["/api/broadcast", "/realtime/v1/api/broadcast", "/api/broadcast/room/events/e"])
async def test_a_broadcast_goes_to_the_public_topics_of_the_tenant_that_is_named(dsn: str, way: str, path: str) -> None:
    heard: list[bytes] = []
    async with running(dsn, **WAYS) as server:
        server.app.bus.subscribe("realtime", heard.append)
        url, headers = named(way, "acme", path)
        guest = await server.client.post(url, headers=bearer() | headers, json=ONE)
        url, headers = named(way, "globex", path)
        stranger = await server.client.post(url, headers=bearer(tenant_id="acme") | headers, json=ONE)
        async with asyncio.timeout(20):
            while not heard:
                await asyncio.sleep(0.01)

    assert guest.status_code == 202, guest.text
    assert (stranger.status_code, stranger.json()["code"]) == (403, "auth.denied")
    assert [told.tenant_id for message in heard for told in unpack_broadcasts(message)] == ["acme"]


@BY
async def test_a_guest_broadcasts_and_hears_nothing_private(dsn: str, way: str) -> None:
    async with running(dsn, **WAYS) as server:
        url, headers = named(way, "acme", "/api/broadcast/room/events/e")
        said = await server.client.post(f"{url}?private=true", headers=bearer() | headers, json={})
        url, headers = named(way, "acme", "/api/realtime/sse")
        heard = await server.client.get(f"{url}?topic=room", headers=bearer() | headers)
        url, headers = named(way, "acme", "/api/realtime/status")
        own = await server.client.get(url, headers=bearer() | headers)

    assert said.status_code == 403
    assert_problem(heard, 403, "auth.denied")
    assert_problem(own, 403, "auth.denied")


@BY
@pytest.mark.parametrize("path", ["/api/realtime/sse?topic=tenant:acme", "/api/realtime/status"])
async def test_a_token_of_another_tenant_is_refused(dsn: str, way: str, path: str) -> None:
    async with running(dsn, **WAYS) as server:
        url, headers = named(way, "globex", path)
        assert_problem(await server.client.get(url, headers=bearer(tenant_id="acme") | headers), 403, "auth.denied")
        url, headers = named(way, "acme", "/api/realtime/status")
        own = await server.client.get(url, headers=bearer(tenant_id="acme") | headers)

    assert own.status_code == 200


@BY
@pytest.mark.parametrize("name", ["a,b", "-a", "a" * 129, "%61cme", "a%2Fb"])
async def test_what_is_no_tenant_is_refused_by_its_code(dsn: str, way: str, name: str) -> None:
    async with running(dsn, **WAYS) as server:
        url, headers = named(way, name, "/api/realtime/status")
        problem = await server.client.get(url, headers=bearer(tenant_id="acme") | headers)
        url, headers = named(way, name, "/api/broadcast")
        stock = await server.client.post(url, headers=bearer(tenant_id="acme") | headers, json=ONE)

    assert_problem(problem, 400, "input.tenant")
    assert (stock.status_code, stock.json()["code"]) == (400, "input.tenant")


async def test_a_header_that_comes_twice_names_nobody(dsn: str) -> None:
    twice = [*bearer(tenant_id="acme").items(), ("x-tenant", "acme"), ("x-tenant", "globex")]
    async with running(dsn, **WAYS) as server:
        assert_problem(await server.client.get("/api/realtime/status", headers=twice), 400, "input.tenant")


async def shown(server: Running, way: str, tenant: str, path: str) -> httpx.Response:
    url, headers = named(way, tenant, path)
    return await server.client.get(url, headers=bearer("service_role") | headers)


@BY
async def test_a_service_sees_of_the_tenants_only_the_one_that_is_named(dsn: str, way: str) -> None:
    async with running(dsn, **WAYS) as server:
        own = await shown(server, way, "default", "/api/tenants")
        health = await shown(server, way, "default", "/api/tenants/default/health")
        others = await shown(server, way, "acme", "/api/tenants/default/health")
        empty = await shown(server, way, "acme", "/api/tenants")

    assert [tenant["external_id"] for tenant in own.json()["data"]] == ["default"]
    assert (health.status_code, others.status_code, empty.json()) == (200, 404, {"data": []})


async def test_only_what_takes_tokens_has_a_tenants_path_and_only_where_the_setting_says_so(dsn: str) -> None:
    async with running(dsn, **WAYS) as server:
        closed = [await server.client.get(f"/t/acme{path}") for path in ("/api/v1/events", "/metrics", "/readyz", "/")]
    async with running(dsn) as server:
        headers = bearer(tenant_id="acme") | {"x-tenant": "globex", "host": "globex.rt.test"}
        unheard = await server.client.get("/api/realtime/status", headers=headers)
        no_path = await server.client.get("/t/acme/api/realtime/status", headers=headers)

    assert [reply.status_code for reply in closed] == [404] * 4
    assert (unheard.status_code, no_path.status_code) == (200, 404)
