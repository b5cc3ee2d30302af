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
