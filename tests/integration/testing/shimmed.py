"""The shim on a test's database, as a client sees it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from rowcast.core.clock import SystemClock
from rowcast.realtime.authorize import Authorizer, sign_token
from rowcast.server.http import create_application
from rowcast.store.pool import Database
from rowcast.testing.shim import open_shim

SECRET = "a secret of these tests, 32 bytes or more"


def key(role: str = "anon", **claims: object) -> dict[str, str]:
    """Give the headers of a key or a token."""
    token = sign_token({"role": role, "exp": int(time.time()) + 600, **claims}, SECRET)
    return {"apikey": token, "authorization": f"Bearer {token}"}


@asynccontextmanager
async def shimmed(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """Give a client of the shim for the time of a block."""
    clock = SystemClock()
    routes = await open_shim(database, secret=SECRET, authorizer=Authorizer(secret=SECRET), clock=clock)
    transport = httpx.ASGITransport(app=create_application(routes))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://shim") as client:
        yield client
