"""A server with something of everything in it, and schemathesis, which holds the OpenAPI document against it."""

import asyncio
import json
import os
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt

from rowcast.webhooks.ids import attempt_id
from tests.integration.egress.receivers import answer, receiving, replying
from tests.integration.server.running import JWT_SECRET, Running, running

ROOT = Path(__file__).parents[2]
CHECKS = (
    "not_a_server_error", "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "unsupported_method", "allow_header_conformance",
)  # fmt: skip
WAIT_S = 30.0
USERS = "^/api/(realtime|broadcast|tenants|ping)|^/realtime/v1/api/|^/healthcheck"


@dataclass
class World:
    """A server, and the names of what is in it by the word in which paths have them."""

    server: Running
    known: dict[str, list[str]]
    receiver: str

    async def judged(self, callers: Sequence[dict[str, str]], *flags: str, seconds: float) -> str:
        """Run schemathesis on the whole document and give what it printed where it found something.

        Each route is asked by one caller after the other; no headers are nobody's.
        """
        url = f"http://127.0.0.1:{self.server.port}/api/openapi.json"
        with tempfile.TemporaryDirectory() as folder:
            process = await asyncio.create_subprocess_exec(
                str(Path(sys.executable).parent / "schemathesis"), "run", url, f"--checks={','.join(CHECKS)}",
                "--generation-deterministic", "--no-shrink", "--continue-on-failure", "--workers=1",
                "--exclude-path=/api/realtime/sse", "--warnings=off", "--suppress-health-check=all", "--no-color",
                "--request-timeout=30", "--output-sanitize=false", *flags,
                cwd=folder, env=self._environment(callers), stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            return await _printed(process, seconds)

    def user(self, **more: str) -> dict[str, str]:
        """Give the header of a user's token, with these claims in it."""
        claims = {"sub": "u1", "role": "authenticated", "exp": int(time.time()) + 3600, **more}
        return {"authorization": f"Bearer {jwt.encode(claims, JWT_SECRET, algorithm='HS256')}"}

    def _environment(self, callers: Sequence[dict[str, str]]) -> dict[str, str]:
        tokens = [headers.get("authorization", "") for headers in callers]
        return {
            **os.environ, "PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.protocol.openapi_hooks",
            "ROWCAST_TESTS_KNOWN": json.dumps(self.known), "ROWCAST_TESTS_RECEIVER": self.receiver,
            "ROWCAST_TESTS_CALLERS": json.dumps(tokens),
        }  # fmt: skip


async def _printed(process: asyncio.subprocess.Process, seconds: float) -> str:
    """Give what a process prints before it fails, and nothing where it does not."""
    try:
        async with asyncio.timeout(seconds):
            text, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return "" if process.returncode == 0 else text.decode("utf-8", "replace")


@asynccontextmanager
async def world(dsn: str) -> AsyncIterator[World]:
    """Give a server with an application, an endpoint, a message that was delivered to it, and so on."""
    async with (
        receiving(replying(answer())) as port,
        running(
            dsn,
            roles=("gateway", "relay", "delivery"),
            webhooks__allow_http=True,
            webhooks__allow_private=(f"127.0.0.1:{port}",),
        ) as server,
    ):
        known = await _known(server, port, await server.key())
        yield World(server, known, f"http://127.0.0.1:{port}/")


async def _known(server: Running, port: int, headers: dict[str, str]) -> dict[str, list[str]]:
    async def ask(method: str, path: str, body: Any = None) -> Any:
        reply = await server.client.request(method, f"/api/v1{path}", headers=headers, json=body)
        assert reply.is_success, reply.text
        return reply.json()

    app = await ask("POST", "/app", {"name": "Acme", "uid": "acme"})
    await ask("POST", "/event-type", {"name": "trees.grown", "description": "", "schemas": {"1": {"type": "object"}}})
    endpoint = await ask("POST", "/app/acme/endpoint", {"url": f"http://127.0.0.1:{port}/", "uid": "main"})
    message = await ask("POST", "/app/acme/msg", {"eventType": "trees.grown", "eventId": "m1", "payload": {"a": 1}})
    source = await ask("POST", "/sources", {"name": "s", "scheme": "standard", "tenantId": "acme"})
    event_id = str((await ask("GET", "/events?tenantId=acme"))["data"][-1]["id"])
    assert uuid.UUID(event_id)

    async def delivered() -> Any:
        return (await ask("GET", "/deliveries?tenantId=acme&sink=webhooks&status=delivered"))["data"]

    delivery = (await _until(delivered))[0]
    attempt = (await ask("GET", f"/deliveries/{delivery['id']}"))["attempts"][0]
    task = await ask("POST", "/app/acme/endpoint/main/recover", {"since": "2020-01-01T00:00:00Z"})
    return {
        "app_id": ["acme", app["id"]], "endpoint_id": ["main", endpoint["id"]], "sink_id": ["main", endpoint["id"]],
        "message_id": ["m1", message["id"]], "attempt_id": [attempt_id(delivery["id"], attempt["fence"])], "name": ["trees.grown"],
        "event_id": [event_id], "delivery_id": [str(delivery["id"])], "source_id": [source["id"]],
        "task_id": [task["id"]], "tenant_id": ["acme", "default"],
    }  # fmt: skip


async def _until(look: Callable[[], Any]) -> Any:
    async with asyncio.timeout(WAIT_S):
        while True:
            found = await look()
            if found:
                return found
            await asyncio.sleep(0.05)
