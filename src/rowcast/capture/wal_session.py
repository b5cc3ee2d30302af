"""One leadership of the WAL feed: its stream, its fence, what it is healing, and the batch that is out."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import msgspec

from rowcast.capture.healing import Healing, begin_healing
from rowcast.capture.reading import Reading
from rowcast.capture.replication import ReplicationStream
from rowcast.capture.stream_frames import lsn_text, parse_lsn, wire_time
from rowcast.capture.unflushed import Unflushed
from rowcast.core.clock import Clock
from rowcast.core.envelope import Envelope
from rowcast.core.errors import StoreError, StoreUnavailableError
from rowcast.core.stored_message import StoredMessage
from rowcast.core.telemetry import tell
from rowcast.outbox.feed import Batch, Record
from rowcast.outbox.side_lanes import SideLanes
from rowcast.store.pool import Connection
from rowcast.store.sql import load_queries

_WAIT_S = 0.5
"""So often the side lanes are asked when the log is silent."""
_MEASURE_EVERY_S = 5.0
_FRAMES_PER_EVENT = 3
"""A transaction of one event is three frames: begin, insert, commit."""


HearMessages = Callable[[Sequence[StoredMessage]], Awaitable[None]]
"""Who is told the messages that the database sends to sockets; they are settled when it returns."""


class Handed(msgspec.Struct, frozen=True, eq=False):
    """The cursor of a batch. `lsn`: up to where the log is settled with it; None beside the stream."""

    healing: Healing | None = None
    lsn: int | None = None


class WalSession:
    """Reads the stream that this process leads. Used by one task at a time, except for `give_sign`."""

    def __init__(
        self,
        connection: Connection,
        stream: ReplicationStream,
        *,
        slot: str,
        batch_size: int,
        clock: Clock,
        hear: HearMessages | None = None,
    ) -> None:
        """Take a session for SQL that nobody else uses, and the running stream of `slot`."""
        self._hear = hear
        self.connection = connection
        self._stream = stream
        self._slot = slot
        self._batch_size = batch_size
        self._clock = clock
        self._queries = load_queries("rowcast.capture")
        self._reading = Reading()
        self._lanes = SideLanes(batch_size=batch_size, clock=clock)
        self._healing: Healing | None = None
        self._out: Batch | None = None
        self._fence = -1
        self._written_lsn = self._aside_lsn = 0
        self._redelivered_lsn = 0
        self._unflushed = Unflushed()
        self._measure_at_s = 0.0

    async def begin(self) -> None:
        """Shut out whoever led before, and find out whether the table must be read first."""
        row = await self.connection.fetch_one(self._queries["begin_to_lead"])
        if row is None:
            raise StoreError("The cursor of the WAL feed is gone. Insert shard -1 into rowcast.feed_cursor again.")
        self._fence = row["fence"]
        # What lies before this position may have been settled by an earlier leader whose acknowledgement was lost.
        self._redelivered_lsn = parse_lsn(row["lsn"]) if row["lsn"] else 0
        if row["is_gap"]:
            self._healing = await begin_healing(self.connection, batch_size=self._batch_size)

    def is_out(self, batch: Batch) -> bool:
        """Tell whether `batch` is the one that was handed out last and is not settled."""
        return batch is self._out

    async def next_batch(self) -> Batch:
        """Wait for events and give them; a batch that was not acknowledged comes again."""
        while self._out is None:
            await self._measure()
            self._out = await self._side() or await self._healed() or await self._streamed()
        return self._out

    async def record(self, batch: Batch, record: Record) -> frozenset[uuid.UUID]:
        """Write `record` and how far `batch` settles the log, all or nothing; give the events whose state is new.

        Raises:
            StoreUnavailableError: `store.taken_over`, when another process leads.
        """
        lsn = batch.cursor.lsn if isinstance(batch.cursor, Handed) else None
        text = lsn_text(lsn) if lsn is not None else None
        query = self._queries["settle_events_and_cursor"]
        row = await self.connection.fetch_one(query, lsn=text, fence=self._fence, **record)
        if row is None:
            raise taken_over()
        self._written_lsn = parse_lsn(row["written_lsn"])
        self._stream.settle(self._unflushed.look(self._written_lsn, parse_lsn(row["flushed_lsn"])))
        return frozenset(row["written"])

    def settled(self, batch: Batch) -> None:
        """Go on behind a batch that is committed; once that is on disk, the server may forget the log behind it."""
        self._out, handed = None, batch.cursor
        if not isinstance(handed, Handed):
            return
        if handed.lsn is not None:
            self._unflushed.add(handed.lsn)
            self.give_sign()
            return
        # The stream has these events, too: what was written up to here is looked up before it is handed out.
        self._aside_lsn = self._written_lsn
        if handed.healing is not None:
            handed.healing.settled()
        else:
            self._lanes.settled()

    def give_sign(self, *, is_reply_wanted: bool = False) -> None:
        """Tell the server that this process lives. Never raises: whoever reads finds out what is wrong."""
        with suppress(StoreError):
            self._stream.give_sign(is_reply_wanted=is_reply_wanted)

    async def close(self) -> None:
        """Let go of the slot, then of the session. Never raises."""
        await self._stream.close()
        await self.connection.close()

    async def _side(self) -> Batch | None:
        events = await self._lanes.next_events(self.connection)
        return Batch(events, Handed()) if events else None

    async def _healed(self) -> Batch | None:
        healing = self._healing
        if healing is None:
            return None
        events = await healing.next_events(self.connection)
        if events:
            self._lanes.passed(events, is_more=len(events) == self._batch_size)
            return Batch(events, Handed(healing=healing))
        await self._end_healing(healing)
        return None

    async def _end_healing(self, healing: Healing) -> None:
        row = await self.connection.fetch_one(
            self._queries["end_gap"], healed_events=healing.healed_events, slot=self._slot, fence=self._fence
        )
        if row is None:
            raise taken_over()
        self._healing = None
        tell("feed.healed", feed="wal", events=healing.healed_events)

    async def _streamed(self) -> Batch | None:
        await self._receive()
        before_lsn = self._reading.settleable_lsn
        events = self._reading.take(self._batch_size)
        await self._tell_messages()
        if events:
            self._lanes.passed(events, is_more=len(events) == self._batch_size or not self._reading.is_empty)
            events = await self._fresh(events, before_lsn)
        lsn = self._reading.settleable_lsn
        if events:
            is_new = before_lsn >= max(self._redelivered_lsn, self._aside_lsn) and self._healing is None
            return Batch(events, Handed(lsn=lsn), is_new=is_new)
        await self._await_flush()
        if self._unflushed.is_empty:
            # Nothing is out: what was read is settled, and where nothing waits, all that the server read for others.
            self._stream.settle(max(lsn, self._stream.idle_lsn) if self._reading.is_empty else lsn)
        return None

    async def _tell_messages(self) -> None:
        """Tell the sockets what the database sends them, before the log behind it may be let go of."""
        messages = self._reading.take_messages()
        if messages and self._hear is not None:
            await self._hear(messages)

    async def _await_flush(self) -> None:
        """Ask the server how far it has written to disk, where a settled batch still waits for that."""
        if self._unflushed.is_empty:
            return
        row = await self.connection.fetch_one(self._queries["log_positions"])
        if row is not None:
            self._stream.settle(self._unflushed.look(parse_lsn(row["written_lsn"]), parse_lsn(row["flushed_lsn"])))
            self.give_sign()

    async def _fresh(self, events: tuple[Envelope, ...], before_lsn: int) -> tuple[Envelope, ...]:
        """Leave out what was relayed beside the stream, as long as the stream is where that may have been."""
        if before_lsn >= self._aside_lsn:
            return events
        ids = [event.id for event in events]
        rows = await self.connection.fetch(self._queries["events_with_state"], event_ids=ids)
        known = {row["event_id"] for row in rows}
        return tuple(event for event in events if event.id not in known)

    async def _receive(self) -> None:
        room = self._batch_size * _FRAMES_PER_EVENT - self._reading.waiting
        if self._reading.waiting:
            self._reading.add(self._stream.take(max(room, 1)))
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_S):
                self._reading.add(await self._stream.receive(room))

    async def _measure(self) -> None:
        """Tell now and then how far we are behind the server."""
        now_s = self._clock.monotonic_s()
        if now_s < self._measure_at_s:
            return
        self._measure_at_s = now_s + _MEASURE_EVERY_S
        row = await self.connection.fetch_one(self._queries["measure_slot"], slot=self._slot)
        if row is not None:
            tell("feed.measured", feed="wal", lag_s=self._lag_s(), **dict(row))

    def _lag_s(self) -> float:
        """Give the age of the transaction that is being read; none when all that came is settled."""
        if self._reading.is_empty:
            return 0.0
        return max(0.0, (wire_time(self._clock.now()) - self._reading.committed_at_us) / 1_000_000)


def taken_over() -> StoreUnavailableError:
    """Give the error of a batch that is not ours any more."""
    return StoreUnavailableError(
        "This batch is not ours any more: another process leads the WAL feed. It comes again there.",
        code="store.taken_over",
    )
