"""A server of the test's own process on a real database, and a client that has a key."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from rowcast.core.clock import SystemClock
from rowcast.core.pack import Pack
from rowcast.observe.health import Health
from rowcast.observe.metrics import Metrics
from rowcast.server.app import App, open_app
from rowcast.server.keys import SCOPES, create_key
from rowcast.server.parts import api_routes, health_watch, user_routes
from rowcast.server.ports import bind
from rowcast.server.serve import Server
from rowcast.server.settings import Settings, load_settings
from rowcast.server.tokens import open_tokens

JWT_SECRET = "a secret of these tests, 32 bytes or more"
PROBLEM = "application/problem+json"


@dataclass
class Running:
    """A server that runs, and ways to talk to it."""

    app: App
    server: Server
    health: Health
    client: httpx.AsyncClient
    port: int
    task: asyncio.Task[None]

    async def key(self, *scopes: str, tenant: str | None = None) -> dict[str, str]:
        """Give the header of a new key: with all scopes where none is named."""
        made = await create_key(self.app.database, name="test", scopes=scopes or SCOPES, tenant_id=tenant)
        return {"authorization": f"Bearer {made.text}"}

    async def readiness(self) -> tuple[int, dict[str, Any]]:
        """Give status and body of /readyz."""
        reply = await self.client.get("/readyz")
        return reply.status_code, reply.json()


def settings_for(dsn: str, roles: Sequence[str], **more: object) -> Settings:
    """Give settings that do not depend on where the tests run."""
    flags = {
        "database.url": dsn, "server.port": 0, "server.roles": tuple(roles), "relay.feed": "claim",
        "server.shutdown_grace_s": 5.0, **{name.replace("__", "."): value for name, value in more.items()},
    }  # fmt: skip
    return load_settings(flags, environment={}).settings


@asynccontextmanager
async def running(
    dsn: str, *, roles: Sequence[str] = ("gateway",), packs: Sequence[Pack] = (), **more: object
) -> AsyncIterator[Running]:
    """Run a server for the time of a block; leaving the block stops it as a signal would."""
    settings = settings_for(dsn, roles, **more)
    health, metrics = Health(clock=SystemClock()), Metrics()
    async with (
        open_tokens(settings, secret=JWT_SECRET, clock=SystemClock(), health=health) as tokens,
        open_app(settings, database_url=dsn, packs=packs) as app,
    ):
        with bind("127.0.0.1", 0, is_next_allowed=False) as listener:
            port, authorizer = listener.getsockname()[1], tokens.authorizer
            routes = (*api_routes(app, health=health, metrics=metrics), *user_routes(app, authorizer=authorizer))
            server = Server(app, health=health, listener=listener, authorizer=authorizer, routes=routes)
            duties = [health_watch(app, health=health, metrics=metrics).run, *tokens.duties]
            async with asyncio.TaskGroup() as group:
                task = await _started(group, server, duties)
                async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20.0) as client:
                    yield Running(app, server, health, client, port, task)
                server.stop()


async def _started(group: asyncio.TaskGroup, server: Server, duties: Sequence[Any]) -> asyncio.Task[None]:
    is_ready = asyncio.Event()

    async def ready() -> None:
        is_ready.set()

    task = group.create_task(server.run(duties=duties, ready=ready))
    await is_ready.wait()
    return task


def assert_problem(reply: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """See that an answer is a problem with this code, in the one form that all have."""
    problem: dict[str, Any] = reply.json()
    assert (reply.status_code, problem.get("code")) == (status, code), reply.text
    assert reply.headers["content-type"] == PROBLEM
    assert problem.keys() == {"type", "title", "status", "detail", "code"}
    assert problem["status"] == status
    assert problem["type"] == f"urn:rowcast:error:{code}"
    assert problem["detail"]
    return problem
