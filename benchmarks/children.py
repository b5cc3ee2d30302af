"""Peers in processes of their own, as they run in practice: started for a block, ended with it."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

PEERS = Path(__file__).parent / "peers"
_STOP_S = 10.0


class Child:
    """A peer that was started; it talks by lines."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        """Keep the process."""
        self._process = process

    async def line(self, timeout_s: float = 120.0) -> str:
        """Give the next line that the peer prints.

        Raises:
            RuntimeError: It ended without one; its last words are in the message.
        """
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        async with asyncio.timeout(timeout_s):
            line = (await self._process.stdout.readline()).decode().strip()
            if not line:
                raise RuntimeError((await self._process.stderr.read()).decode()[-600:] or "the peer ended silently")
        return line

    async def go(self) -> None:
        """Send the line that the peer waits for."""
        await self.say("go")

    async def say(self, line: str) -> None:
        """Send one line."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()


@asynccontextmanager
async def child(*command: str) -> AsyncIterator[Child]:
    """Start a peer for a block; it is asked to end, and made to."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield Child(process)
    finally:
        if process.returncode is None:
            process.terminate()
            try:
                async with asyncio.timeout(_STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()


def python_peer(name: str, *words: str) -> tuple[str, ...]:
    """Give the command of a peer written in Python."""
    return (sys.executable, str(PEERS / f"{name}.py"), *words)
