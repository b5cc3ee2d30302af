"""A receiver of webhooks with bad manners: what it does to the first sights of some of a tenant's messages is its manner.

Every later sight of a message, and every other message, is answered with 200: what is rude delays, and loses nothing.
"""

import asyncio
import gzip
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tests.integration.egress.receivers import answer, read_request, reset

RUDE_NUMBERS = frozenset({0, 2, 4, 6})
"""The messages of each ten that meet the manner: too few failures in a row for a breaker, too many for faults to hide."""
_CHUNK = b"x" * 65_536
_MOST_CHUNKS = 1_600
_HUGE_BYTES = 100_000_000
_BOMB = gzip.compress(b"\0" * 20_000_000)
_NEVER_S = 10.0

Manner = Callable[[asyncio.StreamWriter], Awaitable[bool]]
"""Does what it does; tells whether the connection may be used for another request."""


@dataclass(frozen=True)
class Arrival:
    """One post as it came in."""

    tenant: str
    message_id: str
    number: int
    at_s: float
    headers: dict[str, str]
    body: bytes


@dataclass
class RudeReceiver:
    """Notes every post, and answers by the manner of the tenant that its path names; without one always with 200."""

    manners: dict[str, Manner]
    arrivals: list[Arrival] = field(default_factory=list)
    sights: Counter[str] = field(default_factory=Counter)
    kind: set[str] = field(default_factory=set)
    strays: list[str] = field(default_factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        is_open = True
        while is_open:
            head, body = await read_request(reader)
            arrival = self._noted(head, body)
            if arrival is None:
                writer.write(answer("404 Not Found"))
                continue
            is_open = await self._answered(arrival, writer)

    async def _answered(self, arrival: Arrival, writer: asyncio.StreamWriter) -> bool:
        manner, self.sights[arrival.message_id] = self.manners.get(arrival.tenant), self.sights[arrival.message_id] + 1
        if (
            manner is not None
            and arrival.number % 10 in RUDE_NUMBERS
            and self.sights[arrival.message_id] <= _patience(manner)
        ):
            if manner in TAKES:
                self.kind.add(arrival.message_id)
            return await manner(writer)
        self.kind.add(arrival.message_id)
        writer.write(answer())
        return True

    def _noted(self, head: bytes, body: bytes) -> Arrival | None:
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        path = first.split(" ")[1]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        if not first.startswith("POST /") or "webhook-id" not in headers or path.count("/") != 1:
            self.strays.append(first)
            return None
        number = json.loads(body)["data"]["number"]
        made = Arrival(path[1:], headers["webhook-id"], number, time.time(), headers, body)
        self.arrivals.append(made)
        return made


async def early(writer: asyncio.StreamWriter) -> bool:
    """Informational answers before the answer."""
    writer.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" + answer())
    return True


async def drips(writer: asyncio.StreamWriter) -> bool:
    """A body that comes byte by byte."""
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    for _ in range(200):
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)
    return False


async def never_ends(writer: asyncio.StreamWriter) -> bool:
    """A body without a length that goes on."""
    writer.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
    return await _pours(writer)


async def huge(writer: asyncio.StreamWriter) -> bool:
    """A body of 100 MB."""
    writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {_HUGE_BYTES}\r\n\r\n".encode())
    return await _pours(writer)


async def huge_error(writer: asyncio.StreamWriter) -> bool:
    """An error of 100 MB."""
    writer.write(f"HTTP/1.1 500 Oops\r\ncontent-length: {_HUGE_BYTES}\r\n\r\n".encode())
    return await _pours(writer)


async def bomb(writer: asyncio.StreamWriter) -> bool:
    """A small body that says it is a large one, packed."""
    writer.write(answer("200 OK", _BOMB, "Content-Encoding: gzip"))
    return True


async def redirects(writer: asyncio.StreamWriter) -> bool:
    """A redirect to a place where nothing may come."""
    writer.write(answer("307 Temporary Redirect", b"", "Location: /somewhere/else"))
    return True


async def gone(writer: asyncio.StreamWriter) -> bool:
    """410."""
    writer.write(answer("410 Gone"))
    return True


async def too_many(writer: asyncio.StreamWriter) -> bool:
    """429, and when to come again."""
    writer.write(answer("429 Too Many Requests", b"", "Retry-After: 1"))
    return True


async def broken(writer: asyncio.StreamWriter) -> bool:
    """500."""
    writer.write(answer("500 Oops"))
    return True


async def cuts(writer: asyncio.StreamWriter) -> bool:
    """RST after the request."""
    reset(writer)
    return False


async def closes(writer: asyncio.StreamWriter) -> bool:
    """A kept connection that is closed after the answer, without a word."""
    writer.write(answer())
    await writer.drain()
    return False


async def silent(writer: asyncio.StreamWriter) -> bool:
    """No answer."""
    await asyncio.sleep(_NEVER_S)
    return False


async def junk(writer: asyncio.StreamWriter) -> bool:
    """What is no HTTP."""
    writer.write(b"\x00\x01 this is no answer\r\n\r\n")
    await writer.drain()
    return False


TAKES = frozenset({early, never_ends, huge, bomb, closes})
"""Manners by which the message is taken all the same."""


def _patience(manner: Manner) -> int:
    """Give how many sights meet a manner: libcurl itself tries once more where a kept connection is cut."""
    return 2 if manner is cuts else 1


async def _pours(writer: asyncio.StreamWriter) -> bool:
    for _ in range(_MOST_CHUNKS):
        writer.write(_CHUNK)
        await writer.drain()
    return False
