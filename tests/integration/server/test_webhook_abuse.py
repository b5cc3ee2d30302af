"""Bodies that never end, that are huge, packed or nested, and headers with lines in them: at /in and at the webhook API."""

import asyncio
import gzip
import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.integration.server.running import Running
from tests.integration.server.webhook_calls import assert_refused, made_application

HUGE = 100 * 1024 * 1024
CHUNK = b"x" * 65_536
NUL = "a\x00b"
WITHIN_S = 30.0


@asynccontextmanager
async def connection(api: Running) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", api.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def places(api: Running) -> list[tuple[str, str]]:
    """Give paths that take a body from strangers and from callers, each with its header lines."""
    headers = await api.key()
    await made_application(api, headers, uid="acme")
    source = await api.client.post(
        "/api/v1/sources", headers=headers, json={"name": "any", "scheme": "standard", "tenantId": "acme"}
    )
    key = f"Authorization: {headers['authorization']}\r\n"
    return [
        (source.json()["path"], ""),
        ("/in/src_000000000000000000000000000", ""),
        ("/api/v1/auth/portal-key", ""),
        ("/api/v1/app", key),
        ("/api/v1/app/acme/msg", key),
        ("/api/v1/app/acme/msg", ""),
    ]


@pytest.mark.parametrize("head", [f"Content-Length: {HUGE}\r\n", "Transfer-Encoding: chunked\r\n"])
async def test_a_hundred_megabytes_are_refused_before_they_are_read(api: Running, head: str) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path, key in await places(api):
        async with connection(api) as (reader, writer):
            writer.write(f"POST {path} HTTP/1.1\r\nHost: a\r\n{key}{head}\r\n".encode())
            sent = await _sent(writer, is_chunked="chunked" in head)
            async with asyncio.timeout(WITHIN_S):
                answer = await _rest(reader)
        assert sent < HUGE // 4, (path, sent)
        # Whoever does not stop sending may not hear why.
        assert answer == b"" or answer.split(b" ")[1] in (b"401", b"404", b"413"), (path, answer)

    assert (await api.client.get("/api/v1/health")).status_code == 204
    # In kilobytes: nothing of it was kept.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 40_000


async def _sent(writer: asyncio.StreamWriter, *, is_chunked: bool) -> int:
    """Send until nobody takes any more, and give how much was taken."""
    piece = b"%x\r\n%s\r\n" % (len(CHUNK), CHUNK) if is_chunked else CHUNK
    sent = 0
    try:
        while sent < HUGE:
            writer.write(piece)
            async with asyncio.timeout(2.0):
                await writer.drain()
            sent += len(CHUNK)
    except (OSError, TimeoutError):
        pass
    return sent


async def test_a_body_that_never_ends_is_cut(api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rowcast.server.http_connection.HttpConnection.request_s", 0.5)
    for path, key in await places(api):
        async with connection(api) as (reader, writer):
            writer.write(f"POST {path} HTTP/1.1\r\nHost: a\r\n{key}Content-Length: 1000\r\n\r\n".encode())
            async with asyncio.TaskGroup() as group:
                dripping = group.create_task(_drip(writer))
                async with asyncio.timeout(WITHIN_S):
                    answer = await _rest(reader)
                dripping.cancel()
        assert answer == b"" or answer.split(b" ")[1] in (b"401", b"404"), (path, answer)

    assert (await api.client.get("/api/v1/health")).status_code == 204


async def _drip(writer: asyncio.StreamWriter) -> None:
    try:
        for _ in range(900):
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.05)
    except OSError:
        pass


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def test_a_packed_body_is_never_unpacked(api: Running) -> None:
    """50 kB that would be 50 MB: to us they are the bytes that came, and no JSON."""
    bomb = gzip.compress(b'{"token":"' + b" " * 50_000_000 + b'"}', compresslevel=9)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    headers = {**await api.key(), "content-encoding": "gzip", "content-type": "application/json"}
    for path, _ in await places(api):
        reply = await api.client.post(path, content=bomb, headers=headers)
        assert reply.status_code in (400, 401, 404, 422), (path, reply.text)

    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


@pytest.mark.parametrize("text", [b"[" * 100_000, b'{"a":' * 40_000, b'{"payload":' + b"[" * 900 + b"]" * 900 + b"}"])
async def test_a_body_that_is_nested_deeply_is_the_callers_fault(api: Running, text: bytes) -> None:
    headers = await api.key()
    for path, _ in await places(api):
        reply = await api.client.post(path, content=text, headers=headers)
        assert reply.status_code in (400, 401, 404, 422), (path, reply.text)


BODIES: list[tuple[str, str, dict[str, Any]]] = [
    ("POST", "/app", {"name": NUL}),
    ("POST", "/app", {"name": "a", "metadata": {NUL: "a"}}),
    ("POST", "/app", {"name": "a", "metadata": {"a": NUL}}),
    ("POST", "/app", {"name": "a", "throttleRate": 2**63}),
    ("PATCH", "/app/acme", {"metadata": {"a": NUL}}),
    ("POST", "/event-type", {"name": "a.b", "description": NUL}),
    ("POST", "/event-type", {"name": "a.b", "description": "a", "groupName": NUL}),
    ("POST", "/event-type", {"name": "a.b", "description": "a", "featureFlags": [NUL]}),
    ("POST", "/event-type", {"name": "a.b", "description": "a", "schemas": {"1": {"title": NUL}}}),
    ("POST", "/app/acme/endpoint", {"url": "https://a.example.com/", "description": NUL}),
    ("POST", "/app/acme/endpoint", {"url": "https://a.example.com/", "metadata": {"a": NUL}}),
    ("POST", "/app/acme/endpoint", {"url": "https://a.example.com/", "channels": [NUL]}),
    ("POST", "/app/acme/endpoint", {"url": "https://a.example.com/", "throttleRate": 2**31}),
    ("POST", "/app/acme/endpoint", {"url": "https://a.example.com/", "version": 2**31}),
    ("POST", "/app/acme/endpoint", {"url": "https://a.example.com/", "headers": {"x-a": "b\r\nx-b: c"}}),
    ("POST", "/app/acme/endpoint", {"url": "https://a.example.com/", "headers": {"x-a\r\nx-b": "c"}}),
    ("POST", "/app/acme/endpoint", {"url": "https://a.example.com/", "headers": {"host": "c"}}),
    ("POST", "/app/acme/endpoint", {"url": "https://a.example.com/", "headers": {"webhook-signature": "c"}}),
    ("POST", "/app/acme/endpoint", {"url": "https://a.example.com/", "headers": {"transfer-encoding": "chunked"}}),
    ("PUT", "/app/acme/endpoint/crm/headers", {"headers": {"x-a": "b\nx-b: c"}}),
    ("PATCH", "/app/acme/endpoint/crm/headers", {"headers": {"x-a": "\x00"}}),
    ("PUT", "/app/acme/endpoint/crm/authentication", {"type": "basic", "username": "a\r\nb", "password": NUL}),
    ("PATCH", "/app/acme/endpoint/crm/transformation", {"code": NUL}),
    ("PATCH", "/app/acme/endpoint/crm/transformation", {"variables": {"a": NUL}}),
    ("POST", "/app/acme/msg", {"eventType": NUL, "payload": {}}),
    ("POST", "/app/acme/msg", {"eventType": "a.b", "payload": {"a": NUL}}),
    ("POST", "/app/acme/msg", {"eventType": "a.b", "payload": {}, "eventId": NUL}),
    ("POST", "/app/acme/msg", {"eventType": "a.b", "payload": {}, "tags": [NUL]}),
    ("POST", "/app/acme/msg", {"eventType": "a.b", "payload": {}, "transformationsParams": {"rawPayload": NUL}}),
    ("POST", "/app/acme/endpoint/crm/bulk-replay", {"since": "0001-01-01T00:00:00Z", "tag": NUL}),
    ("POST", "/app/acme/endpoint/crm/bulk-replay", {"since": "2026-01-01T00:00:00Z", "eventTypes": [NUL]}),
    ("POST", "/auth/app-portal-access/acme", {"sessionId": NUL}),
    ("POST", "/auth/app/acme/expire-all", {"sessionIds": [NUL]}),
    ("POST", "/auth/app/acme/expire-all", {"expiry": -(2**70)}),
]


async def test_no_text_or_number_in_a_body_is_a_fault_of_ours(api: Running) -> None:
    headers = await api.key()
    await made_application(api, headers, uid="acme")
    made = await api.client.post(
        "/api/v1/app/acme/endpoint", headers=headers, json={"url": "https://a.example.com/", "uid": "crm"}
    )
    assert made.status_code == 201
    wrong = []
    for method, path, body in BODIES:
        reply = await api.client.request(method, f"/api/v1{path}", headers=headers, json=body)
        if reply.status_code != 422 and not reply.is_success:
            wrong.append((method, path, body, reply.status_code, reply.text))

    assert not wrong
    kept = await api.client.get("/api/v1/app/acme/endpoint/crm/headers", headers=headers)
    assert kept.json() == {"headers": {}, "sensitive": []}
    # What was taken can be read by those who read the endpoints of many tenants in one statement.
    endpoints = await api.app.endpoints.for_tenants(["acme", "other"])
    assert len(await api.app.endpoints.for_signing(("acme", each.id) for each in endpoints["acme"])) >= 1


QUERIES = [
    "/app?iterator=%00", "/app?limit=99999999999999999999", "/app/acme/endpoint?iterator=ep_%00",
    "/event-type?iterator=%00", "/event-type/a%00", "/app/%00", "/app/acme/endpoint/%00", "/app/acme/msg/%00",
    "/app/acme/msg?before=0001-01-01T00:00:00Z&after=9999-12-31T23:59:59Z", "/app/acme/msg?channel=%00",
    "/app/acme/msg?tag=%00", "/app/acme/msg?event_types=%00", "/app/acme/msg?iterator=msg_zzzzzzzzzzzzzzzzzzzzzzzzzzz",
    "/app/acme/poller/crm?iterator=%00", "/app/acme/poller/crm?after=0001-01-01T00:00:00", "/app/acme/poller/crm?event_type=%00",
    "/app/acme/poller/crm/consumer/%00", "/app/acme/poller/crm/consumer/a?iterator=99999999999999999999999",
    "/background-task/%00", "/background-task?iterator=qtask_%00", "/app/acme/attempt/endpoint/crm?tag=%00",
    "/app/acme/attempt/endpoint/crm?event_types=%00&channel=%00", "/app/acme/attempt/msg/%00",
    "/app/acme/endpoint/crm/msg?tag=%00", "/app/acme/endpoint/crm/stats?since=0001-01-01T00:00:00Z",
    "/app/acme/attempt/endpoint/crm?before=9999-12-31T23:59:59%2B23:59",
]  # fmt: skip


async def test_no_query_or_path_is_a_fault_of_ours(api: Running) -> None:
    headers = await api.key()
    await made_application(api, headers, uid="acme")
    body = {"url": "https://a.example.com/", "uid": "crm"}
    assert (await api.client.post("/api/v1/app/acme/endpoint", headers=headers, json=body)).status_code == 201
    wrong = []
    for query in QUERIES:
        reply = await api.client.get(f"/api/v1{query}", headers=headers)
        if reply.status_code not in (200, 404, 422):
            wrong.append((query, reply.status_code, reply.text))
    for path in (
        "/sources?tenantId=acme&after=%00",
        "/sources/%00?tenantId=acme",
        "/sources?tenantId=%00",
        "/endpoints?tenantId=%00",
    ):
        reply = await api.client.get(f"/api/v1{path}", headers=headers)
        if reply.status_code not in (200, 400, 404):
            wrong.append((path, reply.status_code, reply.text))

    assert not wrong


async def test_a_header_of_a_request_is_never_two_in_the_answer(api: Running) -> None:
    """What comes in by a header or a path comes out as JSON text, if at all."""
    headers = await api.key()
    for path in ("/api/v1/app/a%0d%0aset-cookie:%20b", "/in/src_%0d%0aset-cookie:%20b", "/api/v1/event-type/a%0d%0ab"):
        reply = await api.client.get(path, headers=headers)
        assert reply.status_code == 404
        assert "set-cookie" not in reply.headers
    for key in ("a\tb", "a" * 257, "ä".encode()):
        sent: Any = [*headers.items(), ("idempotency-key", key)]
        reply = await api.client.post("/api/v1/app", headers=sent, json={"name": "a"})
        assert_refused(reply, 422)
