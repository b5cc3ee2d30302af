"""One end of the wire between a server and a worker: frames out, frames in, and no more waiting than is allowed."""

import asyncio
import socket
from collections.abc import Callable
from typing import cast

from rowcast.core.errors import RowcastError
from rowcast.core.telemetry import tell
from rowcast.server.worker_frames import Frame, FrameReader, encode_frame

WAITING_LIMIT_BYTES = 64 * 1024 * 1024
"""How much may wait for a worker that does not read; what comes on top is dropped and told."""


class FrameProtocol(asyncio.Protocol):
    """Frames over one stream socket."""

    def __init__(self, *, on_frame: Callable[[Frame], None], on_lost: Callable[[], None]) -> None:
        """Call `on_frame` for each frame, and `on_lost` once when the other end is gone."""
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._reader = FrameReader()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the open socket."""
        # Not every event loop's transports derive from the one of the standard library.
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Read what has come."""
        try:
            for frame in self._reader.take(data):
                self._on_frame(frame)
        except RowcastError as error:
            tell("worker.confused", error=str(error))
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Say that the other end is gone."""
        self._transport = None
        self._on_lost()

    @property
    def is_open(self) -> bool:
        """Tell whether frames can be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, frame: Frame) -> bool:
        """Write a frame; False when the other end is gone or does not read."""
        transport = self._transport
        if transport is None or transport.is_closing() or transport.get_write_buffer_size() > WAITING_LIMIT_BYTES:
            return False
        transport.write(encode_frame(frame))
        return True

    def close(self) -> None:
        """End it; what was sent is still written."""
        if self._transport is not None:
            self._transport.close()


async def link(end: socket.socket, *, on_frame: Callable[[Frame], None], on_lost: Callable[[], None]) -> FrameProtocol:
    """Begin to speak frames over a connected stream socket, which is closed with the link."""
    end.setblocking(False)
    loop = asyncio.get_running_loop()
    _, protocol = await loop.create_unix_connection(lambda: FrameProtocol(on_frame=on_frame, on_lost=on_lost), sock=end)
    return protocol
