"""What `rowcast serve` takes while nothing happens: all its roles in one process, without PostgreSQL."""

import asyncio
import sys
from pathlib import Path

from benchmarks.harness import Effort, Row, server
from benchmarks.nodes import node

TITLE = "Memory of an idle server"
CEILING_MB = 120.0
_SETTLE_S = 3.0


async def run(effort: Effort) -> list[Row]:
    """Start a server a few times and look at it when it has settled."""
    async with server() as postgres:
        measured = [await _measure(postgres.dsn) for _ in range(max(3, effort.turns // 3))]
    bare = [await _bare_python_mb() for _ in measured]
    return [Row("idle `rowcast serve`, resident", measured, "MB", "an empty Python process", bare, ceiling=CEILING_MB)]


async def _measure(dsn: str) -> float:
    async with node(dsn) as running:
        await asyncio.sleep(_SETTLE_S)
        return _resident_mb(running.pid)


async def _bare_python_mb() -> float:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", "input()", stdin=asyncio.subprocess.PIPE)
    await asyncio.sleep(0.3)
    size_mb = _resident_mb(process.pid)
    process.kill()
    await process.wait()
    return size_mb


def _resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS"))
