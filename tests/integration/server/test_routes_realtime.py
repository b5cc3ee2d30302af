"""What a browser asks of realtime over HTTP: validated, limited, about its own user only, and never a 500."""

import asyncio
import time
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import pytest

from rowcast import DeclaredChannel, Pack
from rowcast.realtime.authorize import sign_token
from tests.integration.server.running import JWT_SECRET, Running, assert_problem, running
from tests.protocol.raw_socket import raw_socket

SUPPLIER = "11111111-1111-4111-8111-111111111111"
OTHER = "11111111-1111-4111-8111-111111111112"
ORDERS = {"name": "orders", "table": "orders", "filter_field": "customer", "value_type": "text"}
FORMS = {
    "name": "form-responses", "table": "form_responses", "filter_field": "supplier_id",
    "needs": {"user_type": "supplier"}, "narrows": ["wedding_id"],
}  # fmt: skip
CHANNELS: tuple[dict[str, Any], ...] = (ORDERS, FORMS)


def user(
    name: str = "ada", *, secret: str = JWT_SECRET, expires_in_s: int = 86_400, **claims: object
) -> dict[str, str]:
    """Give the header of a user of the tenant `acme`."""
    known = {"role": "authenticated", "exp": int(time.time()) + expires_in_s, "tenant_id": "acme", "sub": name}
    chosen = {key: value for key, value in (known | claims).items() if value is not None}
    return {"authorization": f"Bearer {sign_token(chosen, secret)}"}


def supplier(name: str = "ada") -> dict[str, str]:
    return user(name, user_type="supplier", supplier_id=SUPPLIER)


async def test_a_supplier_subscribes_sees_his_status_and_unsubscribes(dsn: str) -> None:
    async with running(dsn, channel=CHANNELS) as api:
        body = {"channels": ["form-responses"], "filters": {"supplier_id": SUPPLIER}}
        subscribed = await api.client.post("/api/realtime/subscribe", json=body, headers=supplier())
        (granted,) = subscribed.json()["subscriptions"]
        status = (await api.client.get("/api/realtime/status", headers=supplier())).json()
        ended = await api.client.post(
            "/api/realtime/unsubscribe", json={"channelIds": [granted["channelId"]]}, headers=supplier()
        )
        after = (await api.client.get("/api/realtime/status", headers=supplier())).json()

    assert subscribed.status_code == 200
    assert granted == {
        "channel": "form-responses", "channelId": granted["channelId"], "status": "active",
        "topic": f"form-responses:{SUPPLIER}", "event": "*", "schema": "public", "table": "form_responses",
        "filter": f"supplier_id=eq.{SUPPLIER}",
    }  # fmt: skip
    assert [channel["channelId"] for channel in status["channels"]] == [granted["channelId"]]
    # Nothing has joined: a right is no connection.
    assert (status["connected"], status["activeChannels"], status["messageCount"]) == (False, 0, 0)
    assert ended.json() == {"success": True, "unsubscribed": 1}
    assert after["channels"] == []


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"channels": ["form-responses"], "filters": {"supplier_id": OTHER}}, 403, "auth.denied"),
        ({"channels": ["form-responses"]}, 400, "input.filter"),
        ({"channels": ["form-responses"], "filters": {"supplier_id": "1 or 1=1"}}, 400, "input.filter"),
        ({"channels": ["form-responses"], "filters": {"supplier_id": SUPPLIER, "x": "1"}}, 400, "input.filter"),
        ({"channels": ["guests"]}, 404, "input.no_channel"),
        ({"channels": ["a\x00b"]}, 404, "input.no_channel"),
        ({"channels": []}, 400, "input.channel"),
        ({"channels": "form-responses"}, 400, "input.invalid"),
        ({"channels": [7]}, 400, "input.invalid"),
        ({"channels": ["form-responses"], "filters": {"supplier_id": 7}}, 400, "input.invalid"),
        ({"channels": ["form-responses"], "userId": "bob"}, 400, "input.invalid"),
        ({}, 400, "input.invalid"),
        ([], 400, "input.invalid"),
    ],
)
async def test_a_subscription_that_cannot_be_is_refused_with_its_reason(
    dsn: str, body: object, status: int, code: str
) -> None:
    async with running(dsn, channel=CHANNELS) as api:
        assert_problem(await api.client.post("/api/realtime/subscribe", json=body, headers=supplier()), status, code)


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "auth.missing"),
        ({"authorization": "Bearer junk"}, 401, "auth.token"),
        (user(secret="x" * 32), 401, "auth.token"),
        (user(expires_in_s=-5), 401, "auth.token"),
        (user(sub=None), 403, "auth.denied"),
        (user(tenant_id=None), 403, "auth.denied"),
    ],
)
@pytest.mark.parametrize("call", ["POST /subscribe", "POST /unsubscribe", "GET /status"])
async def test_every_call_needs_a_users_valid_token(
    dsn: str, headers: dict[str, str], status: int, code: str, call: str
) -> None:
    method, path = call.split()
    body = {"channels": ["orders"]} if path == "/subscribe" else {"all": True} if method == "POST" else None
    async with running(dsn, channel=CHANNELS) as api:
        reply = await api.client.request(method, f"/api/realtime{path}", json=body, headers=headers)

        assert_problem(reply, status, code)


async def test_the_eleventh_subscription_of_a_minute_waits_and_says_how_long(dsn: str) -> None:
    async with running(dsn, channel=CHANNELS) as api:
        body = {"channels": ["orders"], "filters": {"customer": "7"}}
        headers = user(customer=7)
        replies = [await api.client.post("/api/realtime/subscribe", json=body, headers=headers) for _ in range(11)]
        other = await api.client.post("/api/realtime/subscribe", json=body, headers=user("bob", customer=7))

    assert [reply.status_code for reply in replies] == [200] * 10 + [429]
    assert_problem(replies[-1], 429, "limit.subscriptions")
    assert 1 <= int(replies[-1].headers["retry-after"]) <= 60
    assert other.status_code == 200


@pytest.mark.parametrize(
    "body", [{}, {"all": True, "channelIds": [str(uuid4())]}, {"channelIds": [str(uuid4())] * 101}]
)
async def test_to_unsubscribe_names_channels_or_all(dsn: str, body: dict[str, Any]) -> None:
    async with running(dsn) as api:
        assert_problem(
            await api.client.post("/api/realtime/unsubscribe", json=body, headers=user()), 400, "input.channel"
        )


async def test_a_subscription_of_somebody_else_looks_like_one_that_never_was(dsn: str) -> None:
    async with running(dsn, channel=CHANNELS) as api:
        body = {"channels": ["orders"], "filters": {"customer": "7"}}
        made = (await api.client.post("/api/realtime/subscribe", json=body, headers=user(customer=7))).json()
        theirs = {"channelIds": [made["subscriptions"][0]["channelId"]]}
        foreign = await api.client.post("/api/realtime/unsubscribe", json=theirs, headers=user("bob"))
        absent = await api.client.post("/api/realtime/unsubscribe", json={"channelIds": [str(uuid4())]}, headers=user())

    assert assert_problem(foreign, 404, "input.not_found")["detail"] == absent.json()["detail"]


async def test_a_refusal_of_what_is_not_ones_own_is_kept_in_the_audit(dsn: str, sql: Any) -> None:
    async with running(dsn, channel=CHANNELS) as api:
        body = {"channels": ["form-responses"], "filters": {"supplier_id": OTHER}}
        await api.client.post("/api/realtime/subscribe", json=body, headers=supplier())

    assert sql("select user_id, topic, event_type, payload->>'code' from rowcast.realtime_activity_logs") == [
        ("ada", "form-responses", "refusal", "auth.denied")
    ]


async def test_a_tenants_figures_need_a_key_with_the_scope(api: Running) -> None:
    path = "/api/v1/realtime/statistics"
    figures = (await api.client.get(path, headers=await api.key("realtime:read", tenant="acme"))).json()

    assert figures == {
        "activeConnections": 0, "activeChannels": 0, "activeUsers": 0, "messagesToday": 0, "averagePerConnection": 0.0,
    }  # fmt: skip
    assert_problem(await api.client.get(path, headers=await api.key("events:read", tenant="acme")), 403, "auth.denied")
    assert_problem(await api.client.get(path, headers=await api.key("realtime:read")), 400, "input.tenant_missing")


async def test_a_channel_of_a_pack_is_subscribed_to_like_one_of_the_file(dsn: str) -> None:
    profile = DeclaredChannel(
        name="client-profile", table="profiles", filter_field="couple_id", claim="app_metadata.couple", event="UPDATE"
    )
    couple = user(app_metadata={"couple": SUPPLIER})
    body = {"channels": ["client-profile", "form-responses"], "filters": {"couple_id": SUPPLIER}}
    async with running(dsn, packs=[Pack(name="weddings_test", subscriptions=(profile,))], channel=CHANNELS) as api:
        granted = await api.client.post(
            "/api/realtime/subscribe", json={**body, "channels": ["client-profile"]}, headers=couple
        )
        refused = await api.client.post("/api/realtime/subscribe", json=body, headers=couple)

    (made,) = granted.json()["subscriptions"]
    assert (made["event"], made["filter"]) == ("UPDATE", f"couple_id=eq.{SUPPLIER}")
    assert_problem(refused, 400, "input.filter")


async def test_a_browser_joins_what_it_subscribed_to_and_its_status_is_what_its_socket_does(dsn: str) -> None:
    async with running(dsn, channel=CHANNELS) as api:
        headers = user(customer=7)
        body = {"channels": ["orders"], "filters": {"customer": "7"}}
        made = (await api.client.post("/api/realtime/subscribe", json=body, headers=headers)).json()
        (granted,) = made["subscriptions"]
        token = headers["authorization"].removeprefix("Bearer ")
        async with raw_socket(api.port, token) as client:
            joined = await client.join(granted["topic"], private=True)
            refused = await client.join("orders:8", ref="2", private=True)
            while_joined = await status_until(api, headers, is_connected=True)
            kept = (await api.client.get("/api/realtime/status", headers=user("bob", customer=7))).json()
        after = await status_until(api, headers, is_connected=False)

    assert joined["status"] == "ok"
    assert "You do not have permissions to read from this Channel topic: orders:8" in refused["response"]["reason"]
    assert (while_joined["activeConnections"], while_joined["activeChannels"]) == (1, 1)
    assert while_joined["channels"][0]["channelId"] == granted["channelId"]
    assert kept["channels"] == []
    assert after["channels"] == []


async def status_until(api: Running, headers: dict[str, str], *, is_connected: bool) -> dict[str, Any]:
    """Give the status as soon as the record says so: it is written once a second."""
    async with asyncio.timeout(15):
        while True:
            status: dict[str, Any] = (await api.client.get("/api/realtime/status", headers=headers)).json()
            if status["connected"] is is_connected:
                return status
            await asyncio.sleep(0.05)


async def test_a_server_that_stops_keeps_the_leaves_of_its_sockets(dsn: str, sql: Any) -> None:
    token = user()["authorization"].removeprefix("Bearer ")
    async with AsyncExitStack() as sockets:
        async with running(dsn) as api:
            client = await sockets.enter_async_context(raw_socket(api.port, token))
            await client.join("room", private=True)
            await status_until(api, user(), is_connected=True)

        assert sql("select active from rowcast.realtime_subscriptions") == [(False,)]
        assert sql("select event_type from rowcast.realtime_activity_logs order by id") == [("join",), ("leave",)]
