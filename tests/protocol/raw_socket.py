"""A WebSocket client that can do what no decent client does. Written apart from the server's own reader and writer."""

import asyncio
import base64
import json
import os
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

KEY = base64.b64encode(bytes(range(16))).decode()


def request(path: str, *, connection: str = "Upgrade", extra: str = "") -> bytes:
    """Give the head of an upgrade."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: {connection}\r\n"
        f"Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{extra}\r\n"
    ).encode()


def frame(
    opcode: int, payload: bytes, *, is_final: bool = True, length: int | None = None, mask: bytes = b"abcd"
) -> bytes:
    """Give a client's frame; `length` may lie."""
    size = len(payload) if length is None else length
    head = bytes([(0x80 if is_final else 0) | opcode])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 65536:
        head += bytes([0x80 | 126]) + struct.pack(">H", size)
    else:
        head += bytes([0x80 | 127]) + struct.pack(">Q", size)
    return head + mask + bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))


class RawSocket:
    """One connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def upgrade(self, path: str, **options: str) -> bytes:
        """Ask for a socket and give the head of the answer."""
        await self.write(request(path, **options))
        async with asyncio.timeout(10):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def rest(self) -> bytes:
        """Give everything until the server ends the connection."""
        async with asyncio.timeout(15):
            return await self.reader.read()

    async def read_frame(self) -> tuple[int, bytes]:
        """Give opcode and payload of the server's next frame."""
        async with asyncio.timeout(10):
            first, second = await self.reader.readexactly(2)
            size = second & 0x7F
            if size > 125:
                size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8), "big")
            return first & 0x0F, await self.reader.readexactly(size)

    async def close_code(self) -> int:
        """Pass over everything up to the close frame and give its code."""
        while True:
            opcode, payload = await self.read_frame()
            if opcode == 8:
                return int.from_bytes(payload[:2], "big")

    async def say(self, *parts: object) -> None:
        """Send a message of version 2.0.0."""
        await self.write(frame(1, json.dumps(parts).encode()))

    async def hear(self) -> Any:
        """Give the next text message."""
        opcode, payload = await self.read_frame()
        assert opcode == 1, (opcode, payload)
        return json.loads(payload)

    async def heartbeat(self) -> None:
        """See that the server still answers this connection."""
        ref = os.urandom(4).hex()
        await self.say(None, ref, "phoenix", "heartbeat", {})
        assert await self.hear() == [None, ref, "phoenix", "phx_reply", {"status": "ok", "response": {}}]

    async def join(self, topic: str, *, ref: str = "1", **config: object) -> Any:
        """Join a topic and give the reply's payload."""
        await self.say(ref, ref, f"realtime:{topic}", "phx_join", {"config": config})
        return (await self.hear())[4]


@asynccontextmanager
async def raw_connection(port: int) -> AsyncIterator[RawSocket]:
    """Connect for the time of a block."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield RawSocket(reader, writer)
    finally:
        writer.transport.abort()


@asynccontextmanager
async def raw_socket(port: int, token: str, vsn: str = "2.0.0") -> AsyncIterator[RawSocket]:
    """Connect and upgrade for the time of a block."""
    async with raw_connection(port) as connection:
        answer = await connection.upgrade(f"/realtime/v1/websocket?apikey={token}&vsn={vsn}")
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        yield connection
