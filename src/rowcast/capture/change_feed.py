"""Row changes for every node: one of them reads the slot, the others hear of it over the bus.

The slot is temporary (see docs/decisions/0024-changes-slot.md): it exists while somebody has subscriptions. Whatever
may have been missed, because a connection ended, the slot was lost or a node was too slow, is announced as a gap.
"""

import asyncio
from contextlib import suppress
from typing import Protocol

import msgspec

from rowcast.bus.bus import Bus
from rowcast.capture.change_listeners import Heard, Listening, Wishes
from rowcast.capture.change_packet import SUBJECT, Lead, Packet, Piece, Wish, pack_packet, read_packet
from rowcast.capture.change_reading import ChangeReading
from rowcast.capture.change_session import start_change_stream
from rowcast.capture.replication import ReplicationStream
from rowcast.capture.stream_frames import wire_time
from rowcast.core.clock import Clock
from rowcast.core.errors import RowcastError, StoreUnavailableError
from rowcast.core.row_change import RowChanges
from rowcast.core.telemetry import tell
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries

_LOOK_S = 0.5
_BEAT_S = 1.0
_MEASURE_EVERY_S = 5.0
_UNBOUNDED = "-1"


class ChangeHearer(Protocol):
    """Whoever tells subscribers of this node."""

    async def hear_changes(self, changes: RowChanges) -> None:
        """Tell about changes; the next ones come when this is done, so that nothing piles up."""
        ...

    def hear_gap(self, reason: str) -> None:
        """Learn that changes may be missing here."""
        ...

    def hear_live(self) -> None:
        """Learn that changes committed from now on will be told."""
        ...


class ChangeFeedOptions(msgspec.Struct, frozen=True):
    """Bounds. `queued_bytes` may wait on a node without the slot; `linger_s` is how long an unused slot is kept."""

    lease_s: float = 10.0
    timeout_s: float = 30.0
    piece_rows: int = 512
    queued_bytes: int = 64 * 1024 * 1024
    linger_s: float = 30.0
    retry_s: float = 1.0


class ChangeFeed:
    """This node's way to row changes, by its own slot or by the bus."""

    def __init__(
        self,
        *,
        dsn: str,
        database: Database,
        bus: Bus,
        node: str,
        clock: Clock,
        options: ChangeFeedOptions | None = None,
    ) -> None:
        """Take the database and the bus. `node` is a word that no other node has."""
        self._dsn = dsn
        self._database = database
        self._bus = bus
        self._node = node
        self._clock = clock
        self._options = options or ChangeFeedOptions()
        self._queries = load_queries("rowcast.capture")
        self._wanted, self._live, self._said = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._arrived = asyncio.Event()
        self._wishes = Wishes()
        self._listening = Listening(node, limit_bytes=self._options.queued_bytes)
        self._stream: ReplicationStream | None = None
        self._hearing = asyncio.Lock()
        self._epochs = self._number = 0
        self._unused_since_s: float | None = None
        self._measure_at_s = 0.0

    @property
    def is_live(self) -> bool:
        """Tell whether changes committed now will be told here."""
        return self._live.is_set()

    @property
    def is_reading(self) -> bool:
        """Tell whether this node has the slot."""
        return self._stream is not None

    async def go_live(self) -> None:
        """Want changes, and wait until those that are committed from now on will be told."""
        self._unused_since_s = None
        if self._live.is_set():
            return
        self._wanted.set()
        self._said.set()
        await self._live.wait()

    def rest(self) -> None:
        """Want nothing any more; a while later the slot is dropped, if no other node wants it."""
        self._unused_since_s = self._clock.monotonic_s()

    async def run(self, hearer: ChangeHearer) -> None:
        """Do all of it until cancelled."""
        self._hearer = hearer
        unsubscribe = self._bus.subscribe(SUBJECT, self._hear)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._beat(), name="changes:beat")
                group.create_task(self._tell_heard(), name="changes:listen")
                group.create_task(self._keep_reading(), name="changes:read")
        finally:
            unsubscribe()
            await self._stop_reading()

    async def _keep_reading(self) -> None:
        while True:
            await self._wanted.wait()
            try:
                await self._try_to_read()
            except RowcastError as error:
                tell("changes.read_failed", code=error.code, error=str(error))
                self._lose("the replication stream has ended")
                await self._stop_reading()
                await asyncio.sleep(self._options.retry_s)

    async def _try_to_read(self) -> None:
        """Read the slot as long as it is wanted, or look again a little later who does."""
        state = await self._database.fetch_one(self._queries["changes_slot_state"])
        if state is None or state["is_taken"]:
            await self._follow()
            return
        if not state["has_publication"]:
            await self._database.execute(self._queries["create_changes_publication"])
        try:
            options = self._options
            stream = await start_change_stream(
                self._dsn,
                state["slot_name"],
                lease_s=options.lease_s,
                timeout_s=options.timeout_s,
                clock=self._clock,
            )
        except StoreUnavailableError as error:
            if error.code != "store.slot_busy":
                raise
            await self._follow()
            return
        if state["keep_size"] == _UNBOUNDED:
            tell("slot.unbounded", slot=state["slot_name"])
        await self._lead(stream, state["slot_name"])

    async def _follow(self) -> None:
        if self._is_unused():
            self._be_idle()
            return
        if self._listening.is_silent(now_s=self._clock.monotonic_s()):
            self._listening.forget()
            self._lose("the node that reads the log is silent")
        await asyncio.sleep(_LOOK_S)

    async def _lead(self, stream: ReplicationStream, slot: str) -> None:
        self._stream = stream
        self._epochs, self._number = self._epochs + 1, 0
        self._listening.forget()
        tell("changes.reading", slot=slot)
        # What was told until now came from another slot: between the two something may be missing.
        self._lose("this node reads the log now, another one did before")
        self._go_live()
        self._said.set()
        reading = ChangeReading()
        while not self._is_unused() or self._wishes.current(now_s=self._clock.monotonic_s()):
            await self._measure(slot, reading)
            await self._receive(stream, reading)
            while reading.waiting:
                await self._hand_out(reading.take(self._options.piece_rows))
                stream.settle(reading.settleable_lsn)
                # Sockets are written between two pieces, however many are here.
                await asyncio.sleep(0)
            if reading.is_empty:
                stream.settle(max(reading.settleable_lsn, stream.idle_lsn))
        await self._stop_reading()
        self._be_idle()

    async def _receive(self, stream: ReplicationStream, reading: ChangeReading) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_S):
                reading.add(await stream.receive(self._options.piece_rows * 4))

    async def _hand_out(self, changes: RowChanges) -> None:
        if not changes.rows:
            return
        if self._wishes.current(now_s=self._clock.monotonic_s()):
            packet = Piece(self._epoch, self._number, changes)
            self._number += 1
            await self._say(packet)
        async with self._hearing:
            await self._hearer.hear_changes(changes)

    async def _tell_heard(self) -> None:
        """Tell what came over the bus, piece by piece."""
        while True:
            changes = self._listening.next_changes()
            if changes is None:
                self._arrived.clear()
                await self._arrived.wait()
                continue
            async with self._hearing:
                await self._hearer.hear_changes(changes)
            await asyncio.sleep(0)

    async def _beat(self) -> None:
        """Say what the other nodes must know, and give the server signs of life."""
        sign_every_s = min(_BEAT_S, self._options.lease_s / 3)
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(sign_every_s):
                    await self._said.wait()
            self._said.clear()
            now_s = self._clock.monotonic_s()
            if self._stream is not None:
                with suppress(RowcastError):
                    self._stream.give_sign(is_reply_wanted=True)
                listeners = self._wishes.current(now_s=now_s)
                if listeners:
                    await self._say(Lead(self._epoch, self._number, listeners))
            elif self._wanted.is_set() and not self._is_unused():
                await self._say(Wish(self._node))

    async def _say(self, packet: Packet) -> None:
        # Others see by the numbers that a packet is missing.
        with suppress(StoreUnavailableError):
            await self._bus.publish(SUBJECT, [pack_packet(packet)])

    def _hear(self, message: bytes) -> None:
        packet, now_s = read_packet(message), self._clock.monotonic_s()
        match packet:
            case Wish(node=node) if node != self._node and self._stream is not None:
                if self._wishes.note(node, now_s=now_s):
                    self._said.set()
            case Lead() if self._stream is None and self._wanted.is_set():
                self._note(self._listening.note_lead(packet, now_s=now_s))
            case Piece() if self._stream is None:
                self._note(self._listening.note_piece(packet, size_bytes=len(message), now_s=now_s))
                self._arrived.set()
            case _:
                pass

    def _note(self, heard: Heard) -> None:
        if heard in ("gap", "full"):
            self._lose("another node reads the log" if heard == "gap" else "this node could not follow")
        if heard in ("gap", "live"):
            self._go_live()

    def _go_live(self) -> None:
        if not self._live.is_set():
            self._live.set()
            self._hearer.hear_live()

    def _lose(self, reason: str) -> None:
        if self._live.is_set():
            self._live.clear()
            tell("changes.gap", reason=reason)
            self._hearer.hear_gap(reason)

    def _be_idle(self) -> None:
        self._wanted.clear()
        self._live.clear()
        self._listening.forget()

    def _is_unused(self) -> bool:
        since_s = self._unused_since_s
        return since_s is not None and self._clock.monotonic_s() - since_s >= self._options.linger_s

    async def _stop_reading(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    @property
    def _epoch(self) -> str:
        return f"{self._node}:{self._epochs}"

    async def _measure(self, slot: str, reading: ChangeReading) -> None:
        """Tell now and then how far we are behind the server."""
        now_s = self._clock.monotonic_s()
        if now_s < self._measure_at_s:
            return
        self._measure_at_s = now_s + _MEASURE_EVERY_S
        row = await self._database.fetch_one(self._queries["measure_slot"], slot=slot)
        if row is not None:
            late_us = wire_time(self._clock.now()) - reading.committed_at_us
            lag_s = 0.0 if reading.is_empty else max(0.0, late_us / 1_000_000)
            tell("changes.measured", lag_s=lag_s, **dict(row))
