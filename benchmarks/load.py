"""Load: a closed loop of transactions on some connections, as an application's workers make it."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

CONNECTIONS = 8
PAYLOAD_BYTES = 1024
Work = Callable[[asyncpg.Connection], Awaitable[None]]


@asynccontextmanager
async def connections(dsn: str, count: int = CONNECTIONS) -> AsyncIterator[list[asyncpg.Connection]]:
    """Open connections for a block."""
    opened = [await asyncpg.connect(dsn) for _ in range(count)]
    try:
        yield opened
    finally:
        for connection in opened:
            await connection.close()


async def throughput(opened: list[asyncpg.Connection], work: Work, *, seconds: float, warm_up_s: float = 0.3) -> float:
    """Give how often `work` was done in a second, by all connections together, after a little warming up."""
    await _loop(opened, work, warm_up_s)
    begun_at = time.perf_counter()
    done = await _loop(opened, work, seconds)
    return done / (time.perf_counter() - begun_at)


async def _loop(opened: list[asyncpg.Connection], work: Work, seconds: float) -> int:
    end_at = time.perf_counter() + seconds

    async def one(connection: asyncpg.Connection) -> int:
        done = 0
        while time.perf_counter() < end_at:
            await work(connection)
            done += 1
        return done

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(connection)) for connection in opened]
    return sum(task.result() for task in tasks)


def cpu_s(pids: Iterable[int]) -> float:
    """Give the processor time that some single-threaded processes have taken so far. Linux only."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e9


def text_of(size_bytes: int) -> str:
    """Give a text that does not compress to nothing."""
    words = "order line with some words that an application would store "
    return (words * (size_bytes // len(words) + 1))[:size_bytes]
