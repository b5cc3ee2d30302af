"""A receiver of webhooks: `hook_receiver.py [CERTIFICATE KEY]`, in a process of its own, as cheap as Python makes it.

Prints `ready PORT` (of plain HTTP) or `ready PORT` of TLS where a certificate is given. Then, for each line: `forget`
begins anew; `wait COUNT` prints the time (monotonic seconds) at which that many posts had come; `waits` prints the
p50, p95 and p99 of the milliseconds between the `at` of a payload and its arrival. What comes for `/dead` is never
answered, and is not counted.
"""

import asyncio
import re
import ssl
import sys
import time

import uvloop

_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
_AT = re.compile(rb'"at": ?([0-9.]+)')
_ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-type: text/plain\r\n\r\nok"


class Book:
    """What has come since the last `forget`."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Begin anew."""
        self.count, self.waits_ms = 0, list[float]()
        self.wanted = 0
        self.enough = asyncio.Event()

    def note(self, body: bytes) -> None:
        """Count one post."""
        self.count += 1
        found = _AT.search(body)
        if found:
            self.waits_ms.append((time.perf_counter() - float(found[1])) * 1e3)
        if self.count == self.wanted:
            self.enough.set()

    async def wait(self, count: int) -> float:
        """Give the time at which so many had come."""
        self.wanted = count
        if self.count < count:
            await self.enough.wait()
        return time.perf_counter()

    def quantiles(self) -> str:
        """Give p50, p95 and p99."""
        waits = sorted(self.waits_ms) or [0.0]
        return " ".join(f"{waits[int(len(waits) * part)]:.3f}" for part in (0.50, 0.95, 0.99))


class Hook(asyncio.Protocol):
    """One connection."""

    def __init__(self, book: Book) -> None:
        self._book = book
        self._buffer = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keep it."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(self._buffer, 0, end)
            size = end + 4 + (int(length[1]) if length else 0)
            if len(self._buffer) < size:
                return
            request, self._buffer = self._buffer[:size], self._buffer[size:]
            if not request.startswith(b"POST /dead"):
                self._book.note(request)
                self._transport.write(_ANSWER)


async def main(*certificate: str) -> None:
    """Serve until the last line."""
    loop, book, tls = asyncio.get_running_loop(), Book(), None
    if certificate:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(*certificate)
    server = await loop.create_server(lambda: Hook(book), "127.0.0.1", 0, ssl=tls, backlog=2048)
    print("ready", server.sockets[0].getsockname()[1], flush=True)
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := (await lines.readline()).decode().split():
        match line:
            case ["forget"]:
                book.forget()
                print("forgotten", flush=True)
            case ["wait", count]:
                print(await book.wait(int(count)), flush=True)
            case ["waits"]:
                print(book.quantiles(), flush=True)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
