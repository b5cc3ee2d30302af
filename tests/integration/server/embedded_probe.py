"""Looks at embedded servers from outside: as another process, through the process table."""

import asyncio
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rowcast.core.errors import ConfigError
from rowcast.server.embedded import EmbeddedPostgres
from rowcast.store.pool import connect

# Starts a server on a folder, says its pid, and waits.
_CHILD = """
import asyncio, sys
from pathlib import Path
from rowcast.server.embedded import EmbeddedPostgres
async def main():
    async with EmbeddedPostgres(Path(sys.argv[1])) as server:
        print(server.pid, flush=True)
        await asyncio.sleep(60)
asyncio.run(main())
"""


async def ask(dsn: str, text: str) -> object:
    connection = await connect(dsn)
    try:
        return await connection.driver.fetchval(text)
    finally:
        await connection.close()


def is_running(pid: int) -> bool:
    """A process that has ended but that nobody waits for is not running."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.02)


async def until_gone(pid: int) -> None:
    await until(lambda: not is_running(pid))


def start_child(folder: Path) -> tuple[subprocess.Popen[str], int]:
    child = subprocess.Popen(
        [sys.executable, "-c", _CHILD, str(folder)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert child.stdout is not None
    return child, int(child.stdout.readline())


def kill(child: subprocess.Popen[str]) -> None:
    child.kill()
    child.wait()
    assert child.stdout is not None
    child.stdout.close()


def guards_of(pid: int) -> list[int]:
    lines = {
        int(path.parent.name): path.read_bytes().split(b"\0")
        for path in Path("/proc").glob("[0-9]*/cmdline")
        if path.exists()
    }
    return [guard for guard, words in lines.items() if b"rowcast-guard" in words and str(pid).encode() in words]


async def code_of_start(folder: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        async with EmbeddedPostgres(folder):
            raise AssertionError("started")
    return caught.value.code
