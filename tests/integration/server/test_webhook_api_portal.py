"""Health, links into the portal, and hosted paths over the webhook API."""

from typing import Any

import pytest

from rowcast.server.webhook_api_portal import scopes_of
from tests.integration.server.running import Running, running
from tests.integration.server.webhook_calls import assert_refused, made_application, places_in

LINK = "/api/v1/auth/app-portal-access"
HOSTED = [
    ("GET", "/api/v1/connector"), ("PATCH", "/api/v1/connector/x"), ("POST", "/api/v1/environment/export"),
    ("GET", "/api/v1/operational-webhook/endpoint"), ("GET", "/api/v1/operational-webhook/endpoint/x/secret"),
    ("POST", "/api/v1/stats/usage/app"), ("PUT", "/api/v1/stats/usage/event-types"), ("GET", "/api/v1/stream"),
    ("POST", "/api/v1/stream/x/events"), ("POST", "/api/v1/auth/stream-logout"), ("POST", "/api/v1/auth/stream/x/expire-all"),
    ("POST", "/api/v1/auth/stream-portal-access/x"), ("GET", "/api/v1/auth/stream/x/sink/y/poller/token"),
    ("POST", "/api/v1/auth/dashboard-access/x"), ("POST", "/api/v1/event-type/import/openapi"),
    ("POST", "/api/v1/app/x/autoconfig"), ("DELETE", "/api/v1/app/x/autoconfig/y"), ("GET", "/api/v1/app/x/destination"),
    ("GET", "/api/v1/app/x/destination/y/transformation"), ("GET", "/api/v1/app/x/integration"),
    ("POST", "/api/v1/app/x/integration/y/key/rotate"), ("GET", "/ingest/api/v1/source"),
    ("PATCH", "/ingest/api/v1/source/x/endpoint/y/transformation"),
]  # fmt: skip


async def traded(api: Running, token: str) -> dict[str, str]:
    reply = await api.client.post("/api/v1/auth/portal-key", json={"token": token})
    assert reply.status_code == 200, reply.text
    return {"authorization": f"Bearer {reply.json()['key']}"}


async def linked(api: Running, **options: Any) -> str:
    reply = await api.client.post(f"{LINK}/acme", headers=await api.key(), json=options)
    assert reply.status_code == 200, reply.text
    token: str = reply.json()["token"]
    return token


async def test_health_needs_no_key(api: Running) -> None:
    reply = await api.client.get("/api/v1/health")

    assert (reply.status_code, reply.content) == (204, b"")


async def test_hosted_paths_are_answered_501_to_who_has_a_key(api: Running) -> None:
    headers = await api.key()
    for method, path in HOSTED:
        assert_refused(await api.client.request(method, path, headers=headers), 501, "not_implemented")
        assert_refused(await api.client.request(method, path), 401, "authentication_failed")


async def test_a_link_leads_to_a_key_that_finds_its_own_application_only(api: Running) -> None:
    made = await made_application(api, await api.key(), uid="acme")
    await made_application(api, await api.key(), uid="other")
    token = await linked(api)

    own = await traded(api, token)
    again = await api.client.post("/api/v1/auth/portal-key", json={"token": token})

    assert (await api.client.get("/api/v1/app/acme", headers=own)).json() == made
    assert_refused(await api.client.get("/api/v1/app/other", headers=own), 404, "not_found")
    assert_refused(await api.client.post(f"{LINK}/acme", headers=own, json={}), 403, "insufficient access")
    assert_refused(again, 401, "authentication_failed")


async def test_a_link_may_add_the_application_that_it_opens(api: Running) -> None:
    headers = await api.key()

    refused = await api.client.post(f"{LINK}/acme", headers=headers, json={})
    made = await api.client.post(f"{LINK}/acme", headers=headers, json={"application": {"name": "Acme"}})

    assert_refused(refused, 404, "not_found")
    assert made.json()["url"] == f"{api.client.base_url}/portal#token={made.json()['token']}"
    assert (await api.client.get("/api/v1/app/acme", headers=headers)).json()["uid"] == "acme"


async def test_a_link_leads_to_where_browsers_reach_the_server(dsn: str) -> None:
    async with running(dsn, server__public_url="https://hooks.example.com/rowcast/") as api:
        asked = {"application": {"name": "Acme"}}
        made = (await api.client.post(f"{LINK}/acme", headers=await api.key(), json=asked)).json()

    assert made["url"] == f"https://hooks.example.com/rowcast/portal#token={made['token']}"


async def test_a_link_opens_what_its_capabilities_say(api: Running) -> None:
    await made_application(api, await api.key(), uid="acme")
    endpoint = {"url": "https://hooks.example.com/in"}

    for options, status in (({"readOnly": True}, 403), ({"capabilities": ["ViewBase"]}, 403), ({}, 201)):
        own = await traded(api, await linked(api, **options))
        assert (await api.client.post("/api/v1/app/acme/endpoint", headers=own, json=endpoint)).status_code == status
        assert (await api.client.get("/api/v1/app/acme/endpoint", headers=own)).status_code == 200


async def test_a_removed_application_takes_its_portal_along(api: Running) -> None:
    await made_application(api, await api.key(), uid="acme")
    own, unused = await traded(api, await linked(api)), await linked(api)

    await api.client.delete("/api/v1/app/acme", headers=await api.key())

    assert_refused(await api.client.get("/api/v1/app", headers=own), 401)
    assert_refused(await api.client.post("/api/v1/auth/portal-key", json={"token": unused}), 401)


@pytest.mark.parametrize(
    ("options", "field"),
    [({"expiry": 3_599}, "expiry"), ({"expiry": 604_801}, "expiry"), ({"expiry": "1h"}, "expiry"), ({"sessionId": "a\x00"}, "sessionId"), ({"sessionId": "x" * 257}, "sessionId"),
     ({"capabilities": ["Everything"]}, "capabilities"), ({"application": {}}, "application")],
)  # fmt: skip
async def test_a_link_out_of_its_limits_is_refused_by_its_field(api: Running, options: object, field: str) -> None:
    reply = await api.client.post(f"{LINK}/acme", headers=await api.key(), json=options)

    assert places_in(reply)[0][:2] == ["body", field]


async def test_only_a_key_of_the_portal_logs_out(api: Running) -> None:
    await made_application(api, await api.key(), uid="acme")
    own, other = await traded(api, await linked(api)), await api.key(tenant="acme")

    out = await api.client.post("/api/v1/auth/logout", headers=own)

    assert (out.status_code, out.content) == (204, b"")
    assert_refused(await api.client.post("/api/v1/auth/logout", headers=own), 401)
    assert_refused(await api.client.post("/api/v1/auth/logout", headers=other), 403)


def test_scopes_follow_capabilities() -> None:
    looking = {"endpoints:read", "events:read", "deliveries:read"}

    assert set(scopes_of(None, is_read_only=True)) == set(scopes_of((), is_read_only=False)) == looking
    assert set(scopes_of(["ViewEndpointSecret"], is_read_only=False)) == {*looking, "endpoints:secrets"}
    managing = {*looking, "endpoints:secrets", "endpoints:rotate"}
    assert set(scopes_of(["ManageEndpointSecret"], is_read_only=False)) == managing
    assert set(scopes_of(["ManageTransformations", "ViewBase"], is_read_only=False)) == looking
    everything = {*managing, "endpoints:write", "deliveries:replay"}
    assert set(scopes_of(None, is_read_only=False)) == everything
