"""Webhooks that come in over HTTP: raw bytes, each sender's answer, and nothing lost when the process dies."""

import asyncio
import hashlib
import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
import stripe
from twilio.request_validator import RequestValidator

from rowcast.webhooks.incoming_desk import COMMITTED
from tests.integration.server.conftest import Command
from tests.integration.server.processes import started
from tests.integration.server.running import Running, assert_problem, running
from tests.unit.webhooks.senders import SENDERS

PUBLIC_URL = "https://hooks.example.com"
SECRET = "whsec_a_secret_that_stripe_made"
BODY = b'{"id":"evt_1","object":"event","type":"charge.succeeded","data":{"amount":1.50}}'


async def added(api: Running, name: str, **more: Any) -> str:
    """Add a source for a sender of the tests and give its path."""
    sender = SENDERS[name]
    options = {"publicUrl": PUBLIC_URL} if sender.scheme == "twilio" else {}
    body = {"name": sender.scheme, "scheme": sender.scheme, "secrets": sender.secrets[:1], "options": options, **more}
    reply = await api.client.post("/api/v1/sources", headers=await api.key(tenant="acme"), json=body)
    assert reply.status_code == 201, reply.text
    return str(reply.json()["path"])


async def posted(api: Running, path: str, name: str, **more: Any) -> httpx.Response:
    """Post what a sender of the tests sends now."""
    sender = SENDERS[name]
    request = sender.request(at_s=int(time.time()), **more)
    url = httpx.URL(path, query=request.query or None)
    return await api.client.post(url, headers=dict(request.headers), content=request.body)


async def types(api: Running) -> list[str]:
    async with api.app.database.connection() as connection:
        return [
            row["event_type"]
            for row in await connection.driver.fetch("select event_type from rowcast.event order by seq")
        ]


@pytest.mark.parametrize("name", ["standard", "stripe", "github", "slack", "shopify", "xero", "ably", "mailchimp"])
async def test_a_genuine_delivery_is_answered_with_an_empty_200_without_cookies(api: Running, name: str) -> None:
    reply = await posted(api, await added(api, name), name)

    assert (reply.status_code, reply.content) == (200, b"")
    assert "set-cookie" not in reply.headers
    assert await types(api)


async def test_twilio_signs_the_url_that_it_calls_and_gets_an_empty_response(api: Running) -> None:
    path = await added(api, "twilio")
    query = f"x=%20y&bodySHA256={hashlib.sha256(BODY).hexdigest()}"
    signed = RequestValidator(SENDERS["twilio"].secrets[0]).compute_signature(f"{PUBLIC_URL}{path}?{query}", {})
    headers = {"X-Twilio-Signature": signed, "Content-Type": "application/json"}

    reply = await api.client.post(f"{path}?{query}", headers=headers, content=BODY)
    other = await api.client.post(f"{path}?y&{query}", headers=headers, content=BODY)

    assert (reply.status_code, reply.content) == (200, b"<Response/>")
    assert reply.headers["content-type"].startswith("text/xml")
    assert_problem(other, 401, "auth.signature")


async def test_slack_gets_its_challenge(api: Running) -> None:
    path = await added(api, "slack")

    reply = await posted(api, path, "slack", body=b'{"type":"url_verification","challenge":"3eZbrw1a"}')

    assert (reply.status_code, reply.content) == (200, b"3eZbrw1a")


async def test_mailchimp_sees_that_its_url_is_there_and_nobody_else_sees_anything(api: Running) -> None:
    mailchimp, stripe_path = await added(api, "mailchimp"), await added(api, "stripe")

    there = await api.client.get(mailchimp)
    others = [await api.client.get(path) for path in (stripe_path, "/in/src_nothing")]

    assert (there.status_code, there.content) == (200, b"")
    assert {(reply.status_code, reply.content) for reply in others} == {(404, others[0].content)}
    assert_problem(others[0], 404, "input.not_found")


async def test_an_unknown_and_a_disabled_source_answer_alike(api: Running) -> None:
    path = await added(api, "stripe")
    source = path.removeprefix("/in/")
    headers = await api.key(tenant="acme")
    await api.client.put(f"/api/v1/sources/{source}", headers=headers, json={"isDisabled": True})

    disabled, unknown = await posted(api, path, "stripe"), await posted(api, "/in/src_nothing", "stripe")

    assert_problem(disabled, 404, "input.not_found")
    assert disabled.content == unknown.content


async def test_what_is_not_genuine_is_answered_with_401_and_its_reason(api: Running) -> None:
    path = await added(api, "xero")

    wrong = await posted(api, path, "xero", secret="another secret, not ours")
    bare = await api.client.post(path, content=b"{}")

    assert_problem(wrong, 401, "auth.signature")
    assert_problem(bare, 401, "auth.missing")
    assert await types(api) == []


async def test_headers_of_any_bytes_are_refused_and_never_a_fault(api: Running) -> None:
    path, port = await added(api, "stripe"), api.port
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nConnection: close\r\n" % path.encode()
    for value in (b"t=1,v1=\xff\xfe", b"t=\xd9\xa1,v1=a", b"\x80", "t=١,v1=ü".encode()):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + b"Stripe-Signature: " + value + b"\r\n\r\n{}")
        async with asyncio.timeout(20):
            answer = await reader.read()
        writer.close()

        assert answer.startswith(b"HTTP/1.1 401 ")


async def test_the_raw_bytes_are_verified_and_kept(api: Running) -> None:
    path = await added(api, "github")
    body = b' {"action" : "opened","n":1.50,"n":2,"text":"\xc3\xa9 \\u00e9"}\n'

    reply = await posted(api, path, "github", body=body)

    assert reply.status_code == 200
    async with api.app.database.connection() as connection:
        payload = await connection.driver.fetchval("select payload::text from rowcast.event")
    assert payload.encode() == body.strip()


@pytest.mark.parametrize(("size", "code"), [(70_000, "outbox.payload_too_large"), (1_100_000, "input.too_large")])
async def test_what_is_too_large_is_answered_with_413(api: Running, size: int, code: str) -> None:
    path = await added(api, "github")

    reply = await posted(api, path, "github", body=b'{"text":"%b"}' % (b"x" * size))

    assert_problem(reply, 413, code)
    assert await types(api) == []


async def test_bodies_that_cannot_be_events_are_answered_with_400(api: Running) -> None:
    path = await added(api, "github")

    for body in (b"\xff", b"[" * 100_000, b'{"a":"\\u0000"}'):
        reply = await posted(api, path, "github", body=body)
        assert (reply.status_code, reply.json()["code"]) in {(400, "input.not_json"), (400, "input.payload")}


async def test_too_many_deliveries_of_one_source_are_told_when_to_come_again(dsn: str) -> None:
    async with running(dsn, incoming__rate_per_minute=5) as api:
        path = await added(api, "stripe")
        first = await posted(api, path, "stripe")
        second = await posted(api, path, "stripe", body=b'{"id":"evt_2"}')

    assert first.status_code == 200
    assert_problem(second, 429, "limit.exceeded")
    assert 1 <= int(second.headers["retry-after"]) <= 60


async def test_no_key_is_asked_for_and_none_is_of_use(api: Running) -> None:
    path = await added(api, "stripe")

    assert_problem(await api.client.post(path, headers=await api.key(), content=BODY), 401, "auth.missing")


def deliver(port: int, path: str) -> httpx.Response:
    """Send what Stripe sends, signed by its own library."""
    header = stripe.WebhookSignature.generate_signature_header(BODY.decode(), SECRET)
    headers = {"Stripe-Signature": header, "Content-Type": "application/json"}
    return httpx.post(f"http://127.0.0.1:{port}{path}", content=BODY, headers=headers, timeout=30.0)


@pytest.mark.timeout(180)
def test_a_delivery_whose_answer_was_lost_with_the_process_is_taken_once(
    dsn: str, tmp_path: Path, command: Command, sql: Any
) -> None:
    made = command("sources", "add", "stripe", "--tenant", "acme", "--secret", SECRET, "--json").value
    words = ("serve", "--port", "0", "--database", dsn)
    events = "select event_type, payload::text from rowcast.event"

    with started(*words, folder=tmp_path, ROWCAST_FAILPOINTS=f"{COMMITTED}=kill") as server:
        port = server.until("server.listening")["port"]
        with pytest.raises(httpx.TransportError):
            deliver(port, made["path"])
        assert server.end()[0] == -signal.SIGKILL
    assert sql(events) == [("stripe.charge.succeeded", BODY.decode())], "committed, and nobody was told so"
    with started(*words, folder=tmp_path) as server:
        port = server.until("server.listening")["port"]
        answers = [deliver(port, made["path"]) for _ in range(2)]
        os.kill(server.pid, signal.SIGTERM)
        assert server.end()[0] == 0

    assert [(answer.status_code, answer.content) for answer in answers] == [(200, b"")] * 2
    assert sql(events) == [("stripe.charge.succeeded", BODY.decode())]
