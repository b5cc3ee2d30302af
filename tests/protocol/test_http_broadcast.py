"""The stock clients' ways over HTTP: `httpSend`, and what `send` falls back to on a channel that is not joined."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from realtime import AsyncRealtimeClient

from rowcast.realtime.authorize import sign_token
from tests.integration.server.running import JWT_SECRET, Running, running
from tests.protocol.js_client import VERSIONS, JsClient, js_client

FAMILIES = pytest.mark.parametrize("family", ["/realtime/v1", "/socket"])


def token(tenant_id: str | None = "acme", role: str = "authenticated") -> str:
    claims: dict[str, object] = {"role": role, "exp": int(time.time()) + 86_400}
    return sign_token(claims | ({"tenant_id": tenant_id} if tenant_id else {}), JWT_SECRET)


@asynccontextmanager
async def heard_by(server: Running, vsn: str, family: str = "/realtime/v1", **config: Any) -> AsyncIterator[JsClient]:
    """Run a client that has joined `room:1`."""
    async with js_client(f"ws://127.0.0.1:{server.port}{family}", token(), vsn) as client:
        joined = await client.join("room:1", **config)
        assert joined["status"] == "SUBSCRIBED", joined
        yield client


@asynccontextmanager
async def sender(server: Running, family: str, vsn: str = "2.0.0") -> AsyncIterator[JsClient]:
    """Run a client with a channel `room:1` that it does not join."""
    async with js_client(f"ws://127.0.0.1:{server.port}{family}", token(), vsn) as client:
        await client.say("make", name="room:1", config={})
        yield client


@FAMILIES
@VERSIONS
async def test_http_send_reaches_those_who_have_joined(dsn: str, family: str, vsn: str) -> None:
    async with running(dsn) as server, heard_by(server, vsn, family) as listener, sender(server, family) as client:
        await client.say("httpSend", name="room:1", event="e", payload={"x": [1, None]})
        sent = await client.fact(lambda fact: "httpSent" in fact)
        message = await listener.message("room:1")

    assert sent["httpSent"] == {"success": True}
    assert message == {"type": "broadcast", "event": "e", "payload": {"x": [1, None]}}


async def test_bytes_sent_over_http_are_heard_as_bytes(dsn: str) -> None:
    async with (
        running(dsn) as server,
        heard_by(server, "2.0.0") as listener,
        sender(server, "/realtime/v1") as client,
    ):
        await client.say("httpSend", name="room:1", event="b", bytes=[0, 125, 255])

        assert (await listener.message("room:1"))["payload"] == {"bytes": [0, 125, 255]}


@FAMILIES
@VERSIONS
async def test_sending_without_having_joined_goes_over_http(dsn: str, family: str, vsn: str) -> None:
    async with running(dsn) as server, heard_by(server, vsn) as listener, sender(server, family, vsn) as client:
        await client.say("send", name="room:1", event="e", payload={"x": 1})
        sent = await client.fact(lambda fact: "sent" in fact)
        message = await listener.message("room:1")

    assert sent["sent"] == "ok"
    assert message == {"type": "broadcast", "event": "e", "payload": {"x": 1}}


async def test_a_private_message_over_http_needs_the_right_to_write(dsn: str) -> None:
    async with (
        running(dsn) as server,
        js_client(f"ws://127.0.0.1:{server.port}/realtime/v1", token(), "2.0.0") as client,
    ):
        await client.say("make", name="tenant:acme", config={"private": True})
        await client.say("httpSend", name="tenant:acme", event="e", payload={})
        sent = await client.fact(lambda fact: "httpSent" in fact)

    assert sent["httpSent"] == {"success": False, "error": "Unauthorized"}


async def test_a_service_speaks_on_a_tenants_topic_over_http(dsn: str) -> None:
    service = token(tenant_id=None, role="service_role")
    async with (
        running(dsn) as server,
        js_client(f"ws://127.0.0.1:{server.port}/realtime/v1", token(), "2.0.0") as listener,
        js_client(f"ws://127.0.0.1:{server.port}/realtime/v1", service, "2.0.0") as client,
    ):
        await listener.join("tenant:acme", private=True)
        await client.say("make", name="tenant:acme", config={"private": True})
        await client.say("httpSend", name="tenant:acme", event="notice", payload={"text": "hello"})

        assert (await listener.message("tenant:acme"))["payload"] == {"text": "hello"}


@pytest.mark.parametrize("payload", [{"x": "hé"}, b"\x00\xff"])
async def test_the_python_client_sends_over_http(dsn: str, payload: Any) -> None:
    async with running(dsn) as server, heard_by(server, "2.0.0") as listener:
        client = AsyncRealtimeClient(f"ws://127.0.0.1:{server.port}/realtime/v1", token())
        await client.channel("room:1").http_send("e", payload)
        message = await listener.message("room:1")

    assert message["payload"] == (payload if isinstance(payload, dict) else {"bytes": [0, 255]})
