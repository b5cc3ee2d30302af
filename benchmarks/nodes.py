"""A real `rowcast serve` beside the benchmark, as an operator starts it."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

SECRET = "a-secret-for-benchmarks-0123456789abcdef"
"""Signs the tokens of servers that live for seconds."""
_START_S = 30.0
_STOP_S = 20.0


@dataclass(frozen=True)
class Node:
    """A running server: its process id and the port it listens on."""

    pid: int
    port: int

    @property
    def websocket_url(self) -> str:
        """Give where stock clients connect."""
        return f"ws://127.0.0.1:{self.port}/realtime/v1"


@asynccontextmanager
async def node(dsn: str, *, is_up: str = "server.listening", **settings: str) -> AsyncIterator[Node]:
    """Start a server on `dsn` for a block. `settings` are environment names without their prefix, in lower case.

    `is_up` is what its log says when it is ready; a process without the gateway role never listens.
    """
    names = {f"ROWCAST_{name.upper()}": text for name, text in settings.items()}
    environment = {
        **os.environ,
        "ROWCAST_DATABASE__URL": dsn,
        "ROWCAST_AUTH__JWT_SECRET": SECRET,
        "ROWCAST_LOG__FORMAT": "json",
        **names,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rowcast", "serve", "--port", "0",
        env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        async with asyncio.timeout(_START_S):
            port = await _port(process.stderr, is_up)
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(_drop(process.stderr))
            yield Node(process.pid, port)
            process.terminate()
            async with asyncio.timeout(_STOP_S):
                await process.wait()
            reader.cancel()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _port(lines: asyncio.StreamReader, is_up: str) -> int:
    said: list[str] = []
    while line := (await lines.readline()).decode():
        said.append(line)
        if line.startswith("{") and (fact := json.loads(line)).get("event") == is_up:
            return int(fact.get("port", 0))
    raise RuntimeError("the server did not start:\n" + "".join(said)[-2000:])


async def _drop(lines: asyncio.StreamReader) -> None:
    """Read on, so that the server never waits for somebody to read its log."""
    while await lines.readline():
        pass
