"""The messages of the database to sockets, where the log does not tell them: read from the table as they are committed.

Each look takes a snapshot and asks for what it sees and the last one did not: exactly what was committed in between,
whatever else is still open. One process does it for all; the server ends a session of ours that stands still, so a
frozen process cannot keep the others from it. At least once: the snapshot is written down when its messages are told.
"""

import asyncio
from collections.abc import Sequence

from rowcast.capture.message_reader import make_message
from rowcast.capture.wal_session import HearMessages
from rowcast.core.errors import RowcastError
from rowcast.core.stored_message import StoredMessage
from rowcast.core.telemetry import tell
from rowcast.store.pool import Connection, Row, connect
from rowcast.store.sql import load_queries

MESSAGE_LOCK = (0x726F776D, 1)
"""Both keys of the advisory lock of the reader, apart from those of the feeds and the bus."""
_LOOK_EVERY_S = 0.025
_REST_SHARE = 4.0
_RETRY_S = 1.0
_LOOK_AGAIN_S = 10.0
_TIMEOUT_S = 30.0
_PAGE = 1000
_START = ("0", 0)


class MessageFeed:
    """Tells the messages that the log does not tell. Any number of processes may have one."""

    def __init__(self, *, dsn: str, hear: HearMessages, is_streamed: bool, lease_s: float = 10.0) -> None:
        """Take the database and who is told.

        Args:
            dsn: `postgresql://...`.
            hear: Who is told; the messages are settled when it returns.
            is_streamed: Whether the log is streamed here; then there is work only if it cannot tell the messages.
            lease_s: After this time a session that stands still is ended.
        """
        self._dsn = dsn
        self._hear = hear
        self._is_streamed = is_streamed
        self._lease_s = lease_s
        self._queries = load_queries("rowcast.capture")

    async def run(self) -> None:
        """Tell messages until cancelled. Where the database is gone, try again after a second."""
        while True:
            wait_s = _RETRY_S
            try:
                wait_s = await self._run_once()
            except Exception as error:  # noqa: BLE001 - task boundary: whatever broke, the messages come again
                tell("messages.interrupted", error=_named(error))
            await asyncio.sleep(wait_s)

    async def _run_once(self) -> float:
        """Tell messages, or give how long to wait before the next look whether that is needed."""
        lease_ms = str(int(self._lease_s * 1000))
        settings = {"application_name": "rowcast messages", "idle_session_timeout": lease_ms}
        connection = await connect(self._dsn, settings=settings, timeout_s=_TIMEOUT_S)
        try:
            row = await connection.fetch_one(self._queries["message_road"], is_streamed=self._is_streamed)
            if not (row and row["is_needed"]):
                return _LOOK_AGAIN_S
            while not await self._is_ours(connection):  # noqa: ASYNC110 - the lock is the server's
                await asyncio.sleep(_RETRY_S)
            await self._follow(connection)
        finally:
            await connection.close()
        return _RETRY_S

    async def _is_ours(self, connection: Connection) -> bool:
        lock_class, lock = MESSAGE_LOCK
        row = await connection.fetch_one(self._queries["lead_messages"], lock_class=lock_class, message_lock=lock)
        return bool(row and row["is_ours"])

    async def _follow(self, connection: Connection) -> None:
        await connection.execute(self._queries["begin_messages"])
        row = await connection.fetch_one(self._queries["seen_messages"])
        assert row is not None
        seen: str = row["seen"]
        tell("messages.followed")
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            row = await connection.fetch_one(self._queries["current_snapshot"])
            assert row is not None
            if row["until"] != seen:
                await self._tell_between(connection, seen, row["until"])
                seen = row["until"]
            # Behind a transaction that stays open each look passes over all that was told since: then less often.
            await asyncio.sleep(max(_LOOK_EVERY_S, _REST_SHARE * (loop.time() - began_s)))

    async def _tell_between(self, connection: Connection, seen: str, until: str) -> None:
        after, is_more, is_told = _START, True, False
        while is_more:
            rows = await self._page(connection, seen, until, after)
            is_more = len(rows) == _PAGE
            if rows:
                await self._hear([read_message_row(row) for row in rows])
                after, is_told = (rows[-1]["transaction_id"], rows[-1]["seq"]), True
        if is_told:
            await connection.execute(self._queries["move_messages"], until=until)

    async def _page(self, connection: Connection, seen: str, until: str, after: tuple[str, int]) -> Sequence[Row]:
        return await connection.fetch(
            self._queries["messages_between"],
            seen=seen,
            until=until,
            after_transaction=after[0],
            after_seq=after[1],
            limit=_PAGE,
        )


def read_message_row(row: Row) -> StoredMessage:
    """Give the message of a row of `realtime.messages`."""
    payload = row["payload"]
    return make_message(
        row["id"],
        row["topic"],
        row["event"],
        payload=None if payload is None else payload.encode(),
        binary=row["binary_payload"],
        place=(bool(row["private"]), row["tenant_id"]),
    )


def _named(error: Exception) -> str:
    return error.code if isinstance(error, RowcastError) else f"{type(error).__name__}: {error}"
