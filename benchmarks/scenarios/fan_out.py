"""One message to many sockets: ours, nats-server, mosquitto, each with its subscribers in a process of their own.

The publisher keeps 1 or 16 messages outstanding: the next one leaves when a whole message more has arrived everywhere.
Ours is a real `rowcast serve` with authorization and metrics on, over WebSockets; the peers speak their own protocols
over TCP, without TLS and without authorization, and every subscriber of theirs has as little to do as ours.
"""

import asyncio
import os
import resource
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.children import Child, child, python_peer
from benchmarks.harness import Effort, Row, server, take_turns
from benchmarks.nodes import SECRET, node
from rowcast.realtime.authorize import sign_token

TITLE = "Fan-out: deliveries a second of one publisher's messages of 256 B"
NOTE = (
    "A delivery is one message at one subscriber. `outstanding` is how many messages may be on their way at once. "
    "Memory is what the server's process grew by, for each joined and silent socket."
)
SIZE_BYTES = 256
CEILING_KB = 8.0
_OUTSTANDING = (1, 16)
_SPARE_FILES = 1_000
_START_S = 20.0
_JOIN_S = 300.0
_PEERS = {"nats": "nats-server", "mqtt": "mosquitto", "ws": "node ws"}
_FLOORS = {
    (1_000, 1, "nats"): 1.6, (1_000, 16, "nats"): 2.0, (1_000, 1, "mqtt"): 1.3, (1_000, 16, "mqtt"): 12.0,
    (10_000, 1, "nats"): 2.0, (10_000, 1, "mqtt"): 2.5,
}  # fmt: skip


@dataclass
class Peer:
    """A server with its crowd, ready to be measured."""

    crowd: Child
    grown_kb: float

    async def deliveries(self, outstanding: int, seconds: float) -> float:
        """Measure once."""
        await self.crowd.say(f"{outstanding} {seconds}")
        return float(await self.crowd.line())


async def run(effort: Effort) -> list[Row]:
    """Measure every size with everybody who is here."""
    rows: list[Row] = []
    async with server() as postgres:
        for count in sizes(effort):
            rows += await _measure(postgres.dsn, count, effort)
    return rows


def sizes(effort: Effort) -> tuple[int, ...]:
    """Give how many subscribers to try; the largest only where a process may have as many files open."""
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = (100, 1_000) if effort.scale < 1 else (100, 1_000, 5_000, 10_000)
    return tuple(count for count in wanted if files == resource.RLIM_INFINITY or count + _SPARE_FILES < files)


async def _measure(dsn: str, count: int, effort: Effort) -> list[Row]:
    openers: dict[str, Opener] = {"rowcast": partial(_rowcast, dsn), "nats": _nats, "mqtt": _mosquitto}
    missing: dict[str, str] = {"ws": "benchmarks/js has no `ws`"}
    async with AsyncExitStack() as stack:
        peers: dict[str, Peer] = {}
        for kind, opener in openers.items():
            try:
                peers[kind] = await stack.enter_async_context(_crowded(kind, opener, count))
            except FileNotFoundError as error:
                missing[kind] = f"{error} is not installed"
        measures = {
            f"{kind} {outstanding}": partial(peer.deliveries, outstanding, effort.seconds)
            for outstanding in _OUTSTANDING
            for kind, peer in peers.items()
        }
        taken = await take_turns(measures, effort.turns)
        return [*_rates(count, taken, missing), *_memory(count, peers)]


def _rates(count: int, taken: dict[str, list[float]], missing: dict[str, str]) -> list[Row]:
    return [
        Row(
            f"{count:,} subscribers, {outstanding} outstanding",
            taken[f"rowcast {outstanding}"],
            "/s",
            name,
            taken.get(f"{kind} {outstanding}", []),
            floor=None if kind in missing else _FLOORS.get((count, outstanding, kind)),
            missing=missing.get(kind, ""),
        )
        for outstanding in _OUTSTANDING
        for kind, name in _PEERS.items()
    ]


def _memory(count: int, peers: dict[str, Peer]) -> list[Row]:
    """Only of many: a few sockets are lost in what a process takes for itself."""
    if count < 1_000:
        return []
    ours = [peers["rowcast"].grown_kb]
    return [
        Row(f"memory of one of {count:,} sockets", ours, "KB", _PEERS[kind], [peer.grown_kb], ceiling=CEILING_KB)
        for kind, peer in peers.items()
        if kind != "rowcast"
    ]


@dataclass(frozen=True)
class Running:
    """A server without its crowd."""

    pid: int
    port: int
    token: str = ""


Opener = Callable[[], AbstractAsyncContextManager[Running]]


@asynccontextmanager
async def _crowded(kind: str, opener: Opener, count: int) -> AsyncIterator[Peer]:
    async with AsyncExitStack() as stack:
        running: Running = await stack.enter_async_context(opener())
        before_kb = _resident_kb(running.pid)
        words = (kind, str(running.port), str(count), str(SIZE_BYTES), running.token)
        crowd = await stack.enter_async_context(child(*python_peer("fan_out_client", *words)))
        assert await crowd.line(_JOIN_S) == "ready"
        yield Peer(crowd, (_resident_kb(running.pid) - before_kb) / count)


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
    port = _free_port()
    async with _program(program, "-a", "127.0.0.1", "-p", str(port), port=port) as pid:
        yield Running(pid, port)


@asynccontextmanager
async def _mosquitto() -> AsyncIterator[Running]:
    program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        raise FileNotFoundError("mosquitto")
    port = _free_port()
    with tempfile.TemporaryDirectory(prefix="rowcast-bench-") as folder:
        settings = Path(folder) / "mosquitto.conf"
        lines = [f"listener {port} 127.0.0.1", "allow_anonymous true", "log_type none", "max_connections -1"]
        if os.geteuid() == 0:
            lines.append("user root")
        settings.write_text("\n".join([*lines, "set_tcp_nodelay true", ""]))
        async with _program(program, "-c", str(settings), port=port) as pid:
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


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _resident_kb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmRSS"))
