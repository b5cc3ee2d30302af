"""What scripts for the stock server ask first: is it there, and which tenants it has."""

import time

import pytest

from rowcast.realtime.authorize import sign_token
from rowcast.store.sql import parse_query
from tests.integration.server.running import JWT_SECRET, Running, running

EMIT = parse_query("emit", "select rowcast.emit(tenant, 'a.b', '{}') from unnest('{acme,globex,acme}'::text[]) tenant")


def bearer(role: str = "service_role", tenant_id: str | None = None) -> dict[str, str]:
    claims: dict[str, object] = {"role": role, "exp": int(time.time()) + 600}
    claims |= {"tenant_id": tenant_id} if tenant_id else {}
    return {"authorization": f"Bearer {sign_token(claims, JWT_SECRET)}"}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/api/ping", '{"message":"Success"}'),
        ("/realtime/v1/api/ping", '{"message":"Success"}'),
        ("/healthcheck", "ok"),
    ],
)
async def test_it_says_that_it_is_there(dsn: str, path: str, body: str) -> None:
    async with running(dsn) as server:
        reply = await server.client.get(path)

    assert (reply.status_code, reply.text) == (200, body)


@pytest.mark.parametrize("path", ["/api/tenants", "/api/tenants/default", "/api/tenants/default/health"])
@pytest.mark.parametrize("who", ["nobody", "anon", "tenant"])
async def test_only_a_service_of_no_tenant_may_look(dsn: str, path: str, who: str) -> None:
    headers = {"nobody": {}, "anon": bearer("anon"), "tenant": bearer(tenant_id="acme")}[who]
    async with running(dsn) as server:
        reply = await server.client.get(path, headers=headers)

    assert (reply.status_code, reply.content) == (403, b"")


async def names(server: Running) -> list[str]:
    reply = await server.client.get("/api/tenants", headers=bearer())
    return [tenant["external_id"] for tenant in reply.json()["data"]]


async def test_the_default_tenant_and_those_with_events_are_listed(dsn: str) -> None:
    async with running(dsn) as server:
        before = await names(server)
        await server.app.database.execute(EMIT)

        assert before == ["default"]
        assert await names(server) == ["default", "acme", "globex"]


async def test_a_tenant_is_shown_with_its_limits_and_its_health(dsn: str) -> None:
    async with running(dsn) as server:
        tenant = (await server.client.get("/api/tenants/default", headers=bearer())).json()["data"]
        health = (await server.client.get("/api/tenants/default/health", headers=bearer())).json()["data"]

    assert tenant["max_channels_per_client"] == 100
    assert not {"jwt_secret", "jwt_jwks"} & tenant.keys()
    assert {"healthy", "db_connected", "replication_connected", "connected_cluster", "region", "node"} == health.keys()
    assert health["db_connected"] is True


@pytest.mark.parametrize("path", ["/api/tenants/nobody", "/api/tenants/nobody/health", "/api/tenants/%20"])
async def test_an_unknown_tenant_is_not_found(dsn: str, path: str) -> None:
    async with running(dsn) as server:
        reply = await server.client.get(path, headers=bearer())

    assert (reply.status_code, reply.json()) == (404, {"error": "not found"})
