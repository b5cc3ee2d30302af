"""Servers of live messages, ours and others', each with a crowd of subscribers in a process of their own.

Ours is a real `rowcast serve` with authorization, limits and metrics on, over WebSockets; `ws` speaks WebSocket too,
nats-server and mosquitto their own protocols over TCP. Theirs have no authorization.
"""

import asyncio
import os
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.children import Child, child, python_peer
from benchmarks.nodes import SECRET, node
from rowcast.realtime.authorize import sign_token

PEERS = {"nats": "nats-server", "mqtt": "mosquitto", "ws": "node ws"}
"""What others are called in the tables."""
_START_S = 20.0
_JOIN_S = 300.0
_JS = Path(__file__).parent / "js"


@dataclass(frozen=True)
class Running:
    """A server without its crowd."""

    pid: int
    port: int
    token: str = ""


Opener = Callable[[], AbstractAsyncContextManager[Running]]


@dataclass
class Peer:
    """A server with its crowd, ready to be measured."""

    server: Running
    crowd: Child
    pulse: Child
    count: int
    grown_kb: float
    cpu_us: dict[int, list[float]] = field(default_factory=dict)
    """Processor time of the server for one delivery, for each number of outstanding messages."""

    async def deliveries(self, outstanding: int, seconds: float) -> float:
        """Measure how many deliveries a second there are, and what they cost."""
        await self.crowd.say(f"rate {outstanding} {seconds}")
        assert await self.crowd.line() == "begun"
        before_s, begun_at = cpu_s(self.server.pid), time.perf_counter()
        rate = float(await self.crowd.line())
        delivered = rate * (time.perf_counter() - begun_at)
        self.cpu_us.setdefault(outstanding, []).append((cpu_s(self.server.pid) - before_s) / delivered * 1e6)
        return rate

    async def paced(self, per_second: float, seconds: float) -> tuple[float, float, float]:
        """Publish at a steady pace; give p50 and p99 from publisher to subscriber, and p99 of a heartbeat meanwhile."""
        await self.crowd.say(f"pace {per_second} {seconds}")
        assert await self.crowd.line() == "begun"
        await self.pulse.say(f"{seconds}")
        median_ms, late_ms = map(float, (await self.crowd.line()).split())
        return median_ms, late_ms, float(await self.pulse.line())

    async def idle(self, seconds: float) -> float:
        """Give the share of a processor, in percent, that the crowd costs while it only beats every 25 seconds."""
        before_s = cpu_s(self.server.pid)
        await self.crowd.say(f"idle {seconds}")
        took_s = float(await self.crowd.line())
        return (cpu_s(self.server.pid) - before_s) / took_s * 100


def cpu_s(pid: int) -> float:
    """Give the processor time that all threads of a process have taken so far. Linux only."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


@asynccontextmanager
async def crowds(dsn: str, count: int, size_bytes: int) -> AsyncIterator[tuple[dict[str, Peer], dict[str, str]]]:
    """Give everybody who is here, with as many subscribers each; and why the others are not."""
    openers: dict[str, Opener] = {"rowcast": partial(_rowcast, dsn), "nats": _nats, "mqtt": _mosquitto, "ws": _ws}
    missing: dict[str, str] = {}
    async with AsyncExitStack() as stack:
        peers: dict[str, Peer] = {}
        for kind, opener in openers.items():
            try:
                peers[kind] = await stack.enter_async_context(_crowded(kind, opener, count, size_bytes))
            except FileNotFoundError as error:
                missing[kind] = f"{error} is not installed"
        yield peers, missing


@asynccontextmanager
async def _crowded(kind: str, opener: Opener, count: int, size_bytes: int) -> AsyncIterator[Peer]:
    async with AsyncExitStack() as stack:
        running: Running = await stack.enter_async_context(opener())
        words = (kind, str(running.port), str(count), str(size_bytes), running.token)
        pulse = await stack.enter_async_context(child(*python_peer("pulse", *words)))
        assert await pulse.line() == "ready"
        before_kb = _resident_kb(running.pid)
        crowd = await stack.enter_async_context(child(*python_peer("fan_out_client", *words)))
        assert await crowd.line(_JOIN_S) == "ready"
        yield Peer(running, crowd, pulse, count, (_resident_kb(running.pid) - before_kb) / count)


@asynccontextmanager
async def _rowcast(dsn: str) -> AsyncIterator[Running]:
    token = sign_token({"role": "authenticated", "tenant_id": "acme", "exp": int(time.time()) + 7200}, SECRET)
    # What one tenant's clients may say in a second is what is measured here, so nothing holds them back.
    async with node(dsn, limits__events_per_s="0") as running:
        yield Running(running.pid, running.port, token)


@asynccontextmanager
async def _nats() -> AsyncIterator[Running]:
    beside = Path(sys.executable).with_name("nats-server")
    program = str(beside) if beside.is_file() else shutil.which("nats-server")
    if program is None:
        raise FileNotFoundError("nats-server")
    port = free_port()
    async with _program(program, "-a", "127.0.0.1", "-p", str(port), port=port) as pid:
        yield Running(pid, port)


@asynccontextmanager
async def _mosquitto() -> AsyncIterator[Running]:
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise FileNotFoundError("mosquitto")
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="rowcast-bench-") as folder:
        settings = Path(folder) / "mosquitto.conf"
        lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "log_type none", "max_connections -1"]
        if os.geteuid() == 0:
            lines.append("user root")
        settings.write_text("\n".join([*lines, "set_tcp_nodelay true", ""]))
        async with _program(program, "-c", str(settings), port=port) as pid:
            yield Running(pid, port)


@asynccontextmanager
async def _ws() -> AsyncIterator[Running]:
    program = shutil.which("node")
    if program is None or not (_JS / "node_modules" / "ws").is_dir():
        raise FileNotFoundError("`ws` in benchmarks/js (npm ci)")
    port = free_port()
    async with _program(program, str(_JS / "broadcast.mjs"), str(port), port=port) as pid:
        yield Running(pid, port)


@asynccontextmanager
async def _program(*command: str, port: int) -> AsyncIterator[int]:
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, stdout=nowhere, stderr=nowhere)
    try:
        await _until(partial(_is_listening, port))
        yield process.pid
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _until(is_true: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_START_S):
        while not await is_true():  # noqa: ASYNC110 - an outside program is waited for by asking again
            await asyncio.sleep(0.02)


async def _is_listening(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def free_port() -> int:
    """Give a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _resident_kb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmRSS"))
