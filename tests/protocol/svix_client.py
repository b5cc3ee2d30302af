"""The `svix` SDK of PyPI, unchanged: the newest and two older versions, side by side in one process."""

import importlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from rowcast.server.keys import SCOPES, create_key
from tests.integration.server.running import Running, running
from tests.protocol.apart import import_apart

NEWEST = "2.9.1"
VERSIONS = ("1.99.1", "2.0.0", NEWEST)
SDKS = pytest.mark.parametrize("version", VERSIONS)


@cache
def svix_sdk(version: str) -> ModuleType:
    """Give the package; skip, and say what to do, where an older one is not there."""
    if version == NEWEST:
        importlib.import_module("svix.api")
        return importlib.import_module("svix")
    folder = Path(sys.prefix) / f"svix-{version}"
    if not (folder / "svix").is_dir():
        pytest.skip(f"NOT TESTED: svix {version} is not in {folder}; run: make setup-older")
    return import_apart("svix", folder, "svix.api")


@asynccontextmanager
async def svix_client(version: str, port: int, key: str) -> AsyncIterator[Any]:
    """Give a client that calls a server of ours, for the time of a block; `svix_sdk(version).api` has its models."""
    api = svix_sdk(version).api
    client = api.SvixAsync(key, api.SvixOptions(server_url=f"http://127.0.0.1:{port}"))
    try:
        yield client
    finally:
        # It leaves its connections to the collector.
        await client._httpx_client.aclose()


@asynccontextmanager
async def sdk_on(
    dsn: str, version: str, *, tenant: str | None = None, **more: object
) -> AsyncIterator[tuple[Any, Any, Running]]:
    """Give a client of this version, its module of models, and the server; `more` is what `running` takes."""
    api = svix_sdk(version).api  # skips before anything is started
    async with running(dsn, **more) as server:  # type: ignore[arg-type]
        key = await create_key(server.app.database, name="sdk", scopes=SCOPES, tenant_id=tenant)
        async with svix_client(version, server.port, key.text) as client:
            yield client, api, server


async def the_error(call: Any) -> Any:
    """Give the error with which a call of an SDK ends."""
    with pytest.raises(Exception, match="HTTP") as refusal:
        await call
    return refusal.value
