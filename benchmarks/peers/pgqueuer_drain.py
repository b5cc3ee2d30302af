"""pgqueuer: fills a queue, waits for a line, drains it, prints how long that took."""

import asyncio
import json
import sys
import time
from datetime import timedelta

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries
from pgqueuer.types import QueueExecutionMode

_CHUNK = 5_000
_BATCH = 500


async def main(dsn: str, jobs: int, size_bytes: int) -> None:
    """Fill, wait, drain."""
    connection = await asyncpg.connect(dsn)
    queries = Queries(AsyncpgDriver(connection))
    await queries.install()
    body = b"x" * size_bytes
    for begin in range(0, jobs, _CHUNK):
        count = min(_CHUNK, jobs - begin)
        await queries.enqueue(["nothing"] * count, [body] * count, [0] * count)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    print(json.dumps({"seconds": await _drain(connection)}), flush=True)


async def _drain(connection: asyncpg.Connection) -> float:
    worker = PgQueuer(AsyncpgDriver(connection))

    @worker.entrypoint("nothing")
    async def nothing(job: Job) -> None: ...

    begun_at = time.perf_counter()
    await worker.run(
        dequeue_timeout=timedelta(seconds=0.1),
        batch_size=_BATCH,
        mode=QueueExecutionMode.drain,
        max_concurrent_tasks=2 * _BATCH,
    )
    return time.perf_counter() - begun_at


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
