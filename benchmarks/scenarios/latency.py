"""From commit to a client's callback, at 500 events a second.

Ours: `rowcast.emit` in its own transaction, a real `rowcast serve` with all its roles and the default rules, and a
client that speaks the stock protocol (vsn 1.0.0) over a real WebSocket. The baseline is the barest thing that
PostgreSQL offers: NOTIFY in a transaction and an asyncpg listener, with nothing between. Both clocks are this
process's own.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from websockets.asyncio.client import connect as connect_socket

from benchmarks.harness import Effort, Row, server
from benchmarks.nodes import SECRET, node
from rowcast.realtime.authorize import sign_token

TITLE = "From sending the commit to a client's callback, 500 events a second"
NOTE = (
    "Ours passes the write-ahead log, the router, the signed bus and a WebSocket; the baseline is NOTIFY and an "
    "asyncpg listener. The time runs from sending the statement, so that the commit itself (an fsync) is in both."
)
RATE = 500
P50_CEILING_MS, P99_CEILING_MS = 1.5, 6.0
_TOPIC = "realtime:tenant:acme"
_EMIT = "select rowcast.emit('acme', 'orders.confirmed', jsonb_build_object('n', $1::int))"
_NOTIFY = "select pg_notify('bench', $1::int::text)"
Commit = Callable[[int], Awaitable[None]]


class Stopwatch:
    """When each event was sent to be committed and when it arrived."""

    def __init__(self) -> None:
        self.sent_at: dict[int, float] = {}
        self.arrived_at: dict[int, float] = {}

    def arrive(self, number: int) -> None:
        """Note one arrival; the first counts."""
        self.arrived_at.setdefault(number, time.perf_counter())

    def quantiles_ms(self) -> tuple[float, float]:
        """Give the median and the 99th percentile in milliseconds."""
        waits = sorted(self.arrived_at[n] - at for n, at in self.sent_at.items() if n in self.arrived_at)
        return waits[len(waits) // 2] * 1e3, waits[int(len(waits) * 0.99)] * 1e3


async def run(effort: Effort) -> list[Row]:
    """Take both in turn."""
    ours: list[tuple[float, float]] = []
    notified: list[tuple[float, float]] = []
    turns = max(3, effort.turns // 2)
    async with server() as postgres, node(postgres.dsn) as running:
        for _ in range(turns):
            ours.append(await _ours(postgres.dsn, running.websocket_url, effort.seconds))
            notified.append(await bare(postgres.dsn, effort.seconds))
    return [
        Row(
            "p50",
            [p50 for p50, _ in ours],
            "ms",
            "NOTIFY + listener",
            [p50 for p50, _ in notified],
            ceiling=P50_CEILING_MS,
        ),
        Row(
            "p99",
            [p99 for _, p99 in ours],
            "ms",
            "NOTIFY + listener",
            [p99 for _, p99 in notified],
            ceiling=P99_CEILING_MS,
        ),
    ]


async def _ours(dsn: str, url: str, seconds: float) -> tuple[float, float]:
    watch = Stopwatch()
    token = sign_token({"role": "authenticated", "tenant_id": "acme", "exp": int(time.time()) + 3600}, SECRET)
    join = {"config": {"private": True}, "access_token": token}
    async with committing(dsn, _EMIT) as commit, connect_socket(f"{url}/websocket?apikey={token}&vsn=1.0.0") as socket:
        await socket.send(
            json.dumps({"topic": _TOPIC, "event": "phx_join", "ref": "1", "join_ref": "1", "payload": join})
        )
        assert json.loads(await socket.recv())["payload"]["status"] == "ok"

        async def listen() -> None:
            async for text in socket:
                frame: dict[str, Any] = json.loads(text)
                if frame["event"] == "broadcast":
                    watch.arrive(frame["payload"]["payload"]["payload"]["n"])

        return await measured(watch, commit, seconds, listen)


async def bare(dsn: str, seconds: float) -> tuple[float, float]:
    """Measure NOTIFY and a listener."""
    watch = Stopwatch()
    listener = await asyncpg.connect(dsn)
    await listener.add_listener("bench", lambda *facts: watch.arrive(int(facts[3])))
    try:
        async with committing(dsn, _NOTIFY) as commit:
            return await measured(watch, commit, seconds, asyncio.Event().wait)
    finally:
        await listener.close()


async def measured(
    watch: Stopwatch, commit: Commit, seconds: float, listen: Callable[[], Awaitable[Any]]
) -> tuple[float, float]:
    """Commit at the rate while somebody listens, and give p50 and p99."""
    count = int(RATE * seconds)
    async with asyncio.TaskGroup() as group:
        listening = group.create_task(_awaited(listen))
        begun_at = time.perf_counter()
        for number in range(count):
            watch.sent_at[number] = time.perf_counter()
            await commit(number)
            await asyncio.sleep(max(0.0, begun_at + (number + 1) / RATE - time.perf_counter()))
        async with asyncio.timeout(20):
            while len(watch.arrived_at) < count:  # noqa: ASYNC110 - arrivals are only counted
                await asyncio.sleep(0.01)
        listening.cancel()
    return watch.quantiles_ms()


async def _awaited(listen: Callable[[], Awaitable[Any]]) -> None:
    await listen()


@asynccontextmanager
async def committing(dsn: str, statement: str) -> AsyncIterator[Commit]:
    """Give what runs a statement with a number, for a block."""
    connection = await asyncpg.connect(dsn)
    prepared = await connection.prepare(statement)

    async def commit(number: int) -> None:
        await prepared.fetchval(number)

    try:
        yield commit
    finally:
        await connection.close()
