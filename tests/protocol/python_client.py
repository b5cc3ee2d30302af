"""The stock client `realtime` of PyPI, unchanged: the newest and an older version, side by side in one process."""

import asyncio
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

NEWEST, OLDER = "newest", "older"
PYTHONS = pytest.mark.parametrize("python", [NEWEST, OLDER])
"""2.34.1, and 2.30.0: that has no `http_send`, no `select`, and does not say by itself that a channel was left."""

_OLDER_FOLDER = Path(sys.prefix) / "older"


@cache
def stock(python: str) -> ModuleType:
    """Give the package; skip, and say what to do, where the older one is not there."""
    if python == NEWEST:
        return importlib.import_module("realtime")
    if not (_OLDER_FOLDER / "realtime").is_dir():
        pytest.skip(f"NOT TESTED: realtime 2.30.0 is not in {_OLDER_FOLDER}; run: make setup-older")
    return import_apart("realtime", _OLDER_FOLDER)


class Room:
    """A channel of the stock client, with what it has heard. States are words: `SUBSCRIBED`, `CHANNEL_ERROR`."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue(100)
        self._states: asyncio.Queue[tuple[str, Exception | None]] = asyncio.Queue(100)

    def listen_for(self, *events: str) -> None:
        """Keep broadcasts of these events."""
        for event in events:
            self.channel.on_broadcast(event, self._messages.put_nowait)

    async def join(self) -> tuple[str, Exception | None]:
        """Join, and give what that came to."""
        await self.channel.subscribe(lambda state, error: self._states.put_nowait((state.value, error)))
        return await self.state()

    async def state(self) -> tuple[str, Exception | None]:
        """Give the next state."""
        async with asyncio.timeout(30):
            return await self._states.get()

    async def message(self) -> dict[str, Any]:
        """Give the next broadcast."""
        async with asyncio.timeout(30):
            return await self._messages.get()


def room(client: Any, name: str, *events: str, **config: Any) -> Room:
    """Give a channel that hears itself and these events, not joined yet."""
    broadcast = {"ack": True, "self": True}
    presence = {"key": "", "enabled": False}
    made = Room(
        client.channel(name, {"config": {"broadcast": broadcast, "presence": presence, "private": False} | config})
    )
    made.listen_for(*events)
    return made


@asynccontextmanager
async def connected(url: str, with_token: str, python: str = NEWEST) -> AsyncIterator[Any]:
    """Run a client for the time of a block."""
    client = stock(python).AsyncRealtimeClient(url, with_token, hb_interval=15, initial_backoff=0.1)
    await client.connect()
    try:
        yield client
    finally:
        await client.close()
