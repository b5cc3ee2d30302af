"""Broadcasts over HTTP: who may, how much, and the exact answers of the stock server."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import httpx
import pytest

from rowcast.core.clock import SystemClock
from rowcast.realtime.authorize import Authorizer, Claims, sign_token
from rowcast.realtime.messages import Broadcast, TopicKey
from rowcast.server.http import create_application
from rowcast.server.routes_broadcast import BroadcastDesk, broadcast_routes

SECRET = "a secret of these tests, 32 bytes or more"
ONE = {"topic": "room-1", "event": "e", "payload": {"x": 1}}
FAMILIES = pytest.mark.parametrize("family", ["/api", "/realtime/v1/api"])


def token(role: str = "authenticated", tenant_id: str | None = "acme", expires_in_s: int = 86_400) -> str:
    claims: dict[str, object] = {"role": role, "exp": int(time.time()) + expires_in_s}
    return sign_token(claims | ({"tenant_id": tenant_id} if tenant_id else {}), SECRET)


class Desk:
    """An application with the routes, and what went out."""

    def __init__(self, *, events_per_s: float = 100.0, is_full: bool = False) -> None:
        self.sent: list[Broadcast] = []
        self._is_full = is_full
        desk = BroadcastDesk(
            publisher=self, authorizer=Authorizer(secret=SECRET), clock=SystemClock(), may_write=self._may_write,
            events_per_s=events_per_s,
        )  # fmt: skip
        self.application = create_application([broadcast_routes(desk)])

    @property
    def transport(self) -> httpx.ASGITransport:
        return httpx.ASGITransport(cast(Any, self.application))

    def publish(self, broadcast: Broadcast) -> bool:
        if not self._is_full:
            self.sent.append(broadcast)
        return not self._is_full

    async def _may_write(self, claims: Claims, key: TopicKey) -> bool:
        return key.topic == "mine"


@asynccontextmanager
async def client_of(desk: Desk, with_token: str | None = None) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {with_token or token()}"}
    async with httpx.AsyncClient(transport=desk.transport, base_url="http://test", headers=headers) as client:
        yield client


@FAMILIES
async def test_a_batch_goes_out_as_whole_payloads_in_order(family: str) -> None:
    desk = Desk()
    async with client_of(desk) as client:
        reply = await client.post(f"{family}/broadcast", json={"messages": [ONE, {**ONE, "event": "f"}]})

    assert (reply.status_code, reply.content) == (202, b"")
    assert [(each.key, each.form) for each in desk.sent] == [(TopicKey("acme", False, "room-1"), "verbatim")] * 2
    assert desk.sent[1].payload == b'{"event":"f","type":"broadcast","payload":{"x":1}}'
    assert reply.headers["access-control-allow-origin"] == "*"
    assert {"x-rate-rolling", "x-rate-limit", "x-rate-limit-remaining"} <= reply.headers.keys()


@FAMILIES
async def test_one_message_goes_out_as_a_user_broadcast(family: str) -> None:
    desk = Desk()
    async with client_of(desk) as client:
        reply = await client.post(f"{family}/broadcast/t%3Aa%2Fb/events/e?apikey=x&vsn=2.0.0", json={"x": 1})

    assert (reply.status_code, reply.content) == (202, b"")
    assert desk.sent == [Broadcast("acme", False, "t:a/b", "e", b'{"x":1}')]


async def test_bytes_go_out_as_bytes() -> None:
    desk = Desk()
    async with client_of(desk) as client:
        headers = {"content-type": "application/octet-stream"}
        await client.post("/api/broadcast/bin/events/e", content=b"\x00\xff", headers=headers)

    assert (desk.sent[0].form, desk.sent[0].payload) == ("binary", b"\x00\xff")


@pytest.mark.parametrize("header", ["apikey", "x-api-key", "authorization"])
async def test_the_token_comes_in_any_of_the_usual_headers(header: str) -> None:
    desk, found = Desk(), token(tenant_id=None, role="anon")
    async with httpx.AsyncClient(transport=desk.transport, base_url="http://test") as client:
        value = f"Bearer {found}" if header == "authorization" else found
        reply = await client.post("/api/broadcast", json={"messages": [ONE]}, headers={header: value})

    assert reply.status_code == 202
    assert desk.sent[0].tenant_id == "default"


@pytest.mark.parametrize("path", ["/api/broadcast", "/api/broadcast/a/events/e"])
@pytest.mark.parametrize("bad", ["", "nonsense", "expired", "foreign"])
async def test_nobody_without_a_valid_token_may_send(path: str, bad: str) -> None:
    made = {
        "expired": token(expires_in_s=-5),
        "foreign": sign_token({"role": "anon", "exp": 2**33}, "another secret, which is 32 bytes long"),
    }
    desk = Desk()
    async with client_of(desk, made.get(bad, bad) or " ") as client:
        reply = await client.post(path, json={"messages": [ONE]})

    assert (reply.status_code, reply.json(), desk.sent) == (401, {"message": "Unauthorized"}, [])
    assert reply.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("topic", ["mine", "theirs"])
async def test_a_private_message_of_a_batch_that_may_not_be_written_is_dropped_silently(topic: str) -> None:
    desk = Desk()
    async with client_of(desk) as client:
        reply = await client.post("/api/broadcast", json={"messages": [{**ONE, "topic": topic, "private": True}, ONE]})

    assert reply.status_code == 202
    assert [each.key for each in desk.sent] == [
        *([TopicKey("acme", True, "mine")] if topic == "mine" else []), TopicKey("acme", False, "room-1"),
    ]  # fmt: skip


async def test_a_single_private_message_that_may_not_be_written_is_refused() -> None:
    desk = Desk()
    async with client_of(desk) as client:
        refused = await client.post("/api/broadcast/theirs/events/e?private=true", json={})
        taken = await client.post("/api/broadcast/mine/events/e?private=true", json={})

    assert (refused.status_code, refused.json()) == (403, {"message": "Unauthorized"})
    assert (taken.status_code, desk.sent[0].key) == (202, TopicKey("acme", True, "mine"))


async def test_another_media_type_is_refused() -> None:
    desk = Desk()
    async with client_of(desk) as client:
        reply = await client.post("/api/broadcast/a/events/e", content=b"x", headers={"content-type": "text/plain"})

    expected = {"error": "Unsupported Media Type. Use application/json or application/octet-stream"}
    assert (reply.status_code, reply.json(), desk.sent) == (415, expected, [])


async def test_a_batch_with_a_faulty_message_sends_nothing() -> None:
    desk = Desk()
    async with client_of(desk) as client:
        reply = await client.post("/api/broadcast", json={"messages": [{"topic": "a", "event": "e"}, ONE]})

    assert reply.status_code == 422
    assert reply.json() == {"errors": {"messages": [{"payload": ["can't be blank"]}, {}]}}
    assert desk.sent == []


@pytest.mark.parametrize("body", [b"nonsense", b"[]", b"{" * 4000, b'{"messages":' + b"[" * 100_000])
async def test_a_body_that_is_not_json_is_a_bad_request(body: bytes) -> None:
    async with client_of(Desk()) as client:
        reply = await client.post("/api/broadcast", content=body)

    assert (reply.status_code, reply.json()) == (400, {"errors": {"detail": "Bad Request"}})


async def test_a_body_over_the_limit_is_refused_with_the_headers_of_cors() -> None:
    async with client_of(Desk()) as client:
        reply = await client.post("/api/broadcast", content=b" " * (8 * 1024 * 1024 + 1))

    assert reply.status_code == 413
    assert reply.headers["access-control-allow-origin"] == "*"


async def test_who_sends_more_than_the_average_is_told_to_wait() -> None:
    desk = Desk(events_per_s=1.0)
    async with client_of(desk) as client:
        too_big = await client.post("/api/broadcast", json={"messages": [ONE] * 2})
        for _ in range(61):
            await client.post("/api/broadcast/a/events/e", json={})
        batch = await client.post("/api/broadcast", json={"messages": [ONE]})
        single = await client.post("/api/broadcast/a/events/e", json={})

    text = "Too many messages to broadcast, please reduce the batch size"
    assert (too_big.status_code, too_big.json()) == (429, {"message": text})
    assert (batch.status_code, batch.json()) == (429, {"message": "You have exceeded your rate limit"})
    assert (single.status_code, single.json()) == (429, {"message": "Too many requests"})
    assert single.headers["x-rate-limit-remaining"] == "0"


async def test_a_hub_that_takes_nothing_more_is_told_as_too_many() -> None:
    async with client_of(Desk(is_full=True)) as client:
        reply = await client.post("/api/broadcast/a/events/e", json={})

    assert (reply.status_code, reply.json()) == (429, {"message": "Too many requests"})


@FAMILIES
@pytest.mark.parametrize("path", ["/broadcast", "/broadcast/a/events/e"])
async def test_a_page_of_any_origin_may_ask_and_send(family: str, path: str) -> None:
    asked = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    async with client_of(Desk()) as client:
        reply = await client.options(family + path, headers=asked)

    assert reply.status_code in (200, 204)
    assert reply.headers["access-control-allow-origin"] == "*"
    assert "POST" in reply.headers["access-control-allow-methods"]
    assert {"authorization", "apikey", "content-type"} <= set(reply.headers["access-control-allow-headers"].split(", "))


@pytest.mark.parametrize(
    ("role", "tenant_id", "status"), [("service_role", None, 202), ("anon", None, 403), ("service_role", "globex", 403)]
)
async def test_only_a_service_names_a_tenant(role: str, tenant_id: str | None, status: int) -> None:
    desk = Desk()
    async with client_of(desk, token(role, tenant_id)) as client:
        reply = await client.post("/api/broadcast/a/events/e?tenant_id=acme", json={})

    assert reply.status_code == status
    assert [each.tenant_id for each in desk.sent] == (["acme"] if status == 202 else [])


@pytest.mark.parametrize("path", ["/api/broadcast/a/b/c", "/api/broadcast/a/events"])
async def test_another_path_is_not_found(path: str) -> None:
    async with client_of(Desk()) as client:
        reply: Any = await client.post(path, json={})

    assert (reply.status_code, reply.json()) == (404, {"error": "not found"})
