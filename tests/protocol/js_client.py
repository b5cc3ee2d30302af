"""The stock JavaScript client as a process that does what a test says."""

import asyncio
import fcntl
import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

JS = Path(__file__).parents[1] / "js"
OLDER = "older"
"""In place of a serializer version: realtime-js 2.11.2, which speaks 1.0.0 only."""

VERSIONS = pytest.mark.parametrize("vsn", ["2.0.0", "1.0.0", OLDER])
"""The newest client in both serializer versions, and the older one, which has no `httpSend` and no binary frames."""

_INSTALL = "cd tests/js && npm ci"
_INSTALL_S = 120
_JOIN_ENDS = ("SUBSCRIBED", "CHANNEL_ERROR", "TIMED_OUT")


def require_js() -> None:
    """Install the stock client once where npm is there; skip, and say what to do, where it cannot be had."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip(f"node and npm are missing: install Node.js 20 or newer, then run: {_INSTALL}")
    with (Path(tempfile.gettempdir()) / "rowcast-tests-js.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_installed():
            _install()


def _is_installed() -> bool:
    names = ("@supabase/realtime-js", "@supabase/supabase-js", "realtime-js-older", "standardwebhooks", "svix", "ws")
    return all((JS / "node_modules" / name).is_dir() for name in names)


def _install() -> None:
    command = ["npm", "ci", "--no-audit", "--no-fund", "--silent"]
    done = subprocess.run(command, cwd=JS, timeout=_INSTALL_S, check=False, capture_output=True)
    if done.returncode != 0:
        pytest.skip(f"the stock JavaScript client cannot be installed here; run: {_INSTALL}")


class JsClient:
    """One stock client. `say` gives it a command, `fact` waits for the first new fact that fits."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.facts: list[dict[str, Any]] = []

    async def say(self, do: str, **rest: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **rest}).encode() + b"\n")
        await self._process.stdin.drain()

    async def fact(self, fits: Callable[[dict[str, Any]], bool], *, seconds: float = 15.0) -> dict[str, Any]:
        """Give the first fact that fits and forget it; facts that do not fit stay for later."""
        async with asyncio.timeout(seconds):
            for index, fact in enumerate(self.facts):
                if fits(fact):
                    return self.facts.pop(index)
            while True:
                fact = await self._read()
                if fits(fact):
                    return fact
                self.facts.append(fact)

    async def join(self, name: str, *, token: str | None = None, **config: object) -> dict[str, Any]:
        """Join a channel and give what the subscription came to."""
        await self.say("join", name=name, config=config, token=token)
        return await self.fact(lambda fact: fact.get("name") == name and fact.get("status") in _JOIN_ENDS)

    async def watch(self, name: str, **config: object) -> dict[str, Any]:
        """Join a channel with its presences and give what the subscription came to."""
        await self.say("join", name=name, config=config, presence=True)
        return await self.fact(lambda fact: fact.get("name") == name and fact.get("status") in _JOIN_ENDS)

    async def presence(self, name: str, kind: str) -> dict[str, Any]:
        """Give the next `join`, `leave` or `sync` of a channel."""
        return await self.fact(lambda fact: fact.get("name") == name and fact.get("presence") == kind)

    async def message(self, name: str) -> dict[str, Any]:
        """Give the next broadcast on a channel."""
        found = await self.fact(lambda fact: fact.get("name") == name and "message" in fact)
        message: dict[str, Any] = found["message"]
        return message

    async def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, f"the stock client ended; it had said {self.facts}"
        fact: dict[str, Any] = json.loads(line)
        return fact


@asynccontextmanager
async def js_client(url: str, apikey: str, vsn: str, **parameters: str) -> AsyncIterator[JsClient]:
    """Run a stock client for the time of a block."""
    require_js()
    process = await asyncio.create_subprocess_exec(
        "node",
        "client.mjs",
        url,
        apikey,
        vsn,
        json.dumps(parameters),
        cwd=JS,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        limit=8 * 1024 * 1024,
    )
    try:
        yield JsClient(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
