"""A receiver of webhooks on this machine that keeps what it gets and answers as the test says."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Self

import msgspec

from rowcast.core.telemetry import tell

_HEAD_LIMIT_BYTES = 64 * 1024
_READ_TIMEOUT_S = 30.0


class Caught(msgspec.Struct, frozen=True):
    """One request: the names of its headers are in lower case, its body is as it came."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


class WebhookCatcher:
    """`async with WebhookCatcher() as catcher:` post to `catcher.url`, then look at `catcher.requests`."""

    def __init__(self, *, answers: Sequence[int] = (), delay_s: float = 0.0) -> None:
        """Take the statuses of the first answers; every later answer is 204.

        Args:
            answers: HTTP statuses, in order.
            delay_s: Wait before each answer, in seconds.
        """
        self.answers: deque[int] = deque(answers)
        self.requests: list[Caught] = []
        self._delay_s = delay_s
        self._arrived = asyncio.Condition()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        """Listen on a free port of 127.0.0.1."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_HEAD_LIMIT_BYTES)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/hook"
        return self

    async def __aexit__(self, *error: object) -> None:
        """Stop listening and cut what is still open."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._open):
            writer.transport.abort()

    async def wait(self, count: int = 1, *, timeout_s: float = 10.0) -> Sequence[Caught]:
        """Wait until `count` requests have come in and give all.

        Raises:
            TimeoutError: They have not within `timeout_s`.
        """
        async with asyncio.timeout(timeout_s), self._arrived:
            await self._arrived.wait_for(lambda: len(self.requests) >= count)
        return self.requests

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
            tell("webhook_catcher.cut", error=type(error).__name__)
        finally:
            self._open.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Take one request and answer it; False at the end of the connection."""
        async with asyncio.timeout(_READ_TIMEOUT_S):
            head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
            if not head:
                return False
            caught = read_head(head)
            body = await reader.readexactly(int(caught.headers.get("content-length", "0")))
        async with self._arrived:
            self.requests.append(msgspec.structs.replace(caught, body=body))
            self._arrived.notify_all()
        await asyncio.sleep(self._delay_s)
        status = self.answers.popleft() if self.answers else 204
        writer.write(f"HTTP/1.1 {status} Caught\r\ncontent-length: 0\r\n\r\n".encode())
        await writer.drain()
        return caught.headers.get("connection", "").lower() != "close"


def read_head(head: bytes) -> Caught:
    """Give the request line and the headers of a request, without its body."""
    first, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = first.split(" ", 2)
    pairs = (line.split(":", 1) for line in lines if line)
    return Caught(method, path, {name.strip().lower(): value.strip() for name, value in pairs}, b"")
