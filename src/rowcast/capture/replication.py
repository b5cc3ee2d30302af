"""The replication stream: libpq's COPY BOTH over psycopg's `pgconn`, read by the event loop without a thread.

The server ends the stream, and frees its slot, when it hears nothing from us for a lease: a process that stands still
loses it. Nothing is read ahead: what is not asked for stays with the server, so memory is bounded by what is asked for.
"""

import asyncio
from contextlib import suppress
from typing import Any

import psycopg

from rowcast.capture.pgoutput import refuse
from rowcast.capture.replication_failures import Explained
from rowcast.capture.stream_frames import (
    DATA,
    DATA_HEADER_BYTES,
    KEEPALIVE,
    Status,
    decode_keepalive,
    encode_status,
    wire_time,
)
from rowcast.core.clock import Clock
from rowcast.core.errors import StoreUnavailableError

_TAKE_BYTES = 4 * 1024 * 1024
"""A batch of big payloads ends here, whatever its number of events."""


class ReplicationStream:
    """One running stream of one slot. Whoever has it leads: the server lends a slot to one reader at a time."""

    __slots__ = ("_clock", "_connection", "_pgconn", "idle_lsn", "settled_lsn")

    def __init__(self, connection: psycopg.AsyncConnection[Any], *, clock: Clock) -> None:
        """Take a connection on which the stream has been started; see `replication_session.start_stream`."""
        self._connection = connection
        self._pgconn = connection.pgconn
        self._pgconn.nonblocking = 1
        self._clock = clock
        self.settled_lsn = 0
        self.idle_lsn = 0

    async def receive(self, limit: int) -> list[bytes]:
        """Wait until the server says something, and give the frames of data that are there now, at most `limit`.

        An empty list came with a keepalive: all that was to be told before `idle_lsn` has been given.
        Cancellation is safe.

        Raises:
            StoreUnavailableError: `store.unavailable`, when the stream has ended.
            StoreError: `store.replication_message`, for a frame that cannot be read.
        """
        before = self.idle_lsn
        while True:
            frames = self.take(limit)
            if frames or self.idle_lsn != before:
                return frames
            await self._await_readable()

    def settle(self, lsn: int) -> None:
        """Let the server forget what lies before `lsn`; it is told with the next sign of life."""
        self.settled_lsn = max(self.settled_lsn, lsn)

    def give_sign(self, *, is_reply_wanted: bool = False) -> None:
        """Send where we are. The wanted reply says how far the server is where it has nothing to tell.

        Raises:
            StoreUnavailableError: `store.unavailable`, when the stream has ended.
        """
        received_lsn = max(self.idle_lsn, self.settled_lsn)
        status = Status(received_lsn, self.settled_lsn, wire_time(self._clock.now()), is_reply_wanted)
        with Explained():
            self._pgconn.put_copy_data(encode_status(status))
            # What a full socket does not take goes with the next one: a sign is 39 bytes, a socket holds thousands.
            self._pgconn.flush()

    async def close(self) -> None:
        """End the stream; the slot is free as soon as the server has noticed. Never raises."""
        with suppress(psycopg.Error, OSError):
            await self._connection.close()

    def take(self, limit: int) -> list[bytes]:
        """Give the frames of data that have arrived, at most `limit` and some megabytes, without waiting.

        Raises:
            StoreUnavailableError: `store.unavailable`, when the stream has ended.
            StoreError: `store.replication_message`, for a frame that cannot be read.
        """
        frames: list[bytes] = []
        left_bytes, is_read = _TAKE_BYTES, False
        with Explained():
            while len(frames) < limit and left_bytes > 0:
                size, text = self._pgconn.get_copy_data(1)
                if size > 0:
                    left_bytes, is_read = left_bytes - size, False
                    self._sort(bytes(text), frames)
                elif size < 0:
                    raise self._ended()
                elif is_read:
                    break
                else:
                    self._pgconn.consume_input()
                    is_read = True
        return frames

    def _sort(self, frame: bytes, frames: list[bytes]) -> None:
        if frame[0] == DATA and len(frame) > DATA_HEADER_BYTES:
            frames.append(frame)
        elif frame[0] == KEEPALIVE:
            keepalive = decode_keepalive(frame)
            self.idle_lsn = max(self.idle_lsn, keepalive.end_lsn)
            if keepalive.is_reply_wanted:
                self.give_sign()
        else:
            raise refuse(f"a frame of kind {frame[0]} with {len(frame)} bytes")

    def _ended(self) -> StoreUnavailableError:
        result = self._pgconn.get_result()
        why = str(result.error_message).strip() if result is not None and result.error_message else "no reason given"
        return StoreUnavailableError(f"The server has ended the replication stream ({why}); rowcast connects again.")

    async def _await_readable(self) -> None:
        loop, descriptor = asyncio.get_running_loop(), self._pgconn.socket
        readable = loop.create_future()
        loop.add_reader(descriptor, _note, readable)
        try:
            await readable
        finally:
            loop.remove_reader(descriptor)


def _note(readable: asyncio.Future[None]) -> None:
    if not readable.done():
        readable.set_result(None)
