"""Nothing lost: what a session has missed is read from the committed events, from where its client has proved to be.

Nothing is written when an event is: the outbox is the log. The cursors of all sessions are kept about once a second.
"""

import asyncio
import re
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.errors import StoreError
from rowcast.core.telemetry import tell
from rowcast.realtime.channel_log import ChannelLog, Missed
from rowcast.realtime.messages import Broadcast, TopicKey
from rowcast.realtime.recover_cursor import Cursor, Position
from rowcast.realtime.recover_rows import (
    Row,
    Told,
    events_again,
    merged,
    messages_again,
    settled_events,
    settled_messages,
)
from rowcast.realtime.recover_store import Bounds, RecoverStore
from rowcast.realtime.sink import event_broadcasts
from rowcast.store.pool import Database

SESSION_PATTERN = re.compile(r"[A-Za-z0-9._~:-]{1,64}\Z")
"""What can name a session: a UUID, or whatever else an application makes up, 64 characters at most."""

_DAY_S = 86_400.0
_FORGET_EVERY_S = 300.0
_PER_SLICE = 64


class RecoverLimits(msgspec.Struct, frozen=True):
    """How much is told again, and how much is remembered.

    `events` and `size_bytes` bound one recovery and `away_s` how long a client may be away: past them it is told that
    something is gone. `sessions` live in this process, `tenant_sessions` in the table, `kept_s` after their last sign.
    What went out and is not here after `gap_s` will not come.
    """

    events: int = 10_000
    size_bytes: int = 16 * 1024 * 1024
    away_s: float = _DAY_S
    kept_s: float = 7 * _DAY_S
    sessions: int = 20_000
    tenant_sessions: int = 20_000
    settled_per_step: int = 10_000
    written_per_step: int = 2_000
    flush_s: float = 1.0
    rewrite_s: float = 60.0
    gap_s: float = 5.0


class _Name(NamedTuple):
    key: TopicKey
    session: str


class DurableLog:
    """Recovers sessions on private topics, on whichever node they come back, and replays what was told."""

    def __init__(
        self, *, database: Database, clock: Clock, told: Told | None = None, limits: RecoverLimits | None = None
    ) -> None:
        """Take the pool and the clock; `told` is needed only where rules name topics of their own."""
        self._store = RecoverStore(database=database, is_wide=told is not None)
        self._clock = clock
        self._told = told or event_broadcasts
        self._is_wide = told is not None
        self._limits = limits or RecoverLimits()
        self._cursors: OrderedDict[_Name, Cursor] = OrderedDict()
        # The last bounds, oldest first: for a session that is met again, one that is surely below what it was told.
        self._bounds: deque[Bounds] = deque([Bounds()], maxlen=5)
        self._gaps: dict[_Name, tuple[str, float]] = {}
        self.on_gap: Callable[[TopicKey, str], None] = _ignore
        """Told when this node has lost something that a session it serves should have heard."""

    async def recover(self, key: TopicKey, session: str) -> Missed | None:
        """Give what a session has missed; None for a session that begins now, or that has no proper name.

        Raises:
            StoreError: The database cannot be asked now. The join must be refused: the client comes again.
        """
        if not SESSION_PATTERN.match(session):
            return None
        begun = await self._store.begin(key, session)
        cursor = self._resume(_Name(key, session), begun.position)
        if begun.away_s is None:
            await self._leave_out_earlier(key, cursor)
            return None
        return await self._missed(key, cursor.position(), is_in_time=begun.away_s <= self._limits.away_s)

    async def replay(self, key: TopicKey, *, since: datetime, limit: int) -> tuple[Broadcast, ...]:
        """Give the newest `limit` broadcasts of a topic since a moment, oldest first."""
        visited = self._limits.events if self._is_wide else limit
        events = await self._store.events_since(key, since=since, limit=visited)
        messages = await self._store.messages_since(key, since=since, limit=limit)
        found = merged(events_again(reversed(events), key, self._told), messages_again(reversed(messages), key))
        return tuple(found[-limit:])

    async def watch(self, key: TopicKey, stream: str, *, place: Position | None, away_s: float = 0.0) -> Missed | None:
        """Begin to know how far a stream of this process has come; give what it missed since `place`, if it has one.

        Raises:
            StoreError: The database cannot be asked now.
        """
        begin = place or _position(await self._store.bounds())
        cursor = self._keep(_Name(key, stream), Cursor.at(begin))
        cursor.is_kept, cursor.heard_at_s = False, self._clock.monotonic_s()
        if place is None:
            await self._leave_out_earlier(key, cursor)
            return None
        return await self._missed(key, place, is_in_time=away_s <= self._limits.away_s)

    def unwatch(self, key: TopicKey, stream: str) -> None:
        """Forget a stream that has ended."""
        self._cursors.pop(_Name(key, stream), None)

    def place(self, key: TopicKey, stream: str) -> Position | None:
        """Give the place below which a session or a stream has everything; None for one that is not here."""
        cursor = self._cursors.get(_Name(key, stream))
        return None if cursor is None else Position(cursor.events.number, cursor.messages.number)

    def sent(self, key: TopicKey, session: str, broadcast_id: str) -> None:
        """Take note that the broadcast with this `meta.id` was written to the session's socket."""
        name = _Name(key, session)
        cursor = self._cursors.get(name) or self._keep(name, Cursor.at(_position(self._bounds[0])))
        cursor.send(broadcast_id)
        cursor.heard_at_s = self._clock.monotonic_s()

    def acknowledged(self, key: TopicKey, session: str, broadcast_id: str) -> None:
        """Take note that the client's side of the socket has received everything up to this broadcast."""
        cursor = self._cursors.get(_Name(key, session))
        if cursor is not None:
            cursor.acknowledge(broadcast_id)
            cursor.heard_at_s = self._clock.monotonic_s()

    async def run(self) -> None:
        """Keep the cursors about once a second until cancelled; then once more."""
        forget_at_s = 0.0
        try:
            while True:
                await self._do_or_tell(self.flush, "flush")
                if self._clock.monotonic_s() >= forget_at_s:
                    forget_at_s = self._clock.monotonic_s() + _FORGET_EVERY_S
                    await self._do_or_tell(self.forget, "forget")
                await asyncio.sleep(self._limits.flush_s)
        finally:
            await self._do_or_tell(self.flush, "flush")

    async def flush(self) -> None:
        """Move every cursor as far as is proved, and keep those that moved."""
        bounds = await self._store.bounds()
        await self._advance_events(bounds.low_seq)
        await self._advance_messages(bounds.low_transaction)
        self._bounds.append(bounds)
        await self._write()
        self._close_gaps()

    async def forget(self) -> None:
        """Forget sessions of long ago, here and in the table."""
        now_s = self._clock.monotonic_s()
        for name in [name for name, cursor in self._cursors.items() if now_s - cursor.heard_at_s > _DAY_S]:
            del self._cursors[name]
        for cursor in self._cursors.values():
            if now_s - cursor.heard_at_s <= _FORGET_EVERY_S:
                cursor.look_again()
        await self._store.forget(kept_s=self._limits.kept_s, most=self._limits.tenant_sessions)

    def _resume(self, name: _Name, kept: Position) -> Cursor:
        cursor = self._cursors.get(name) or self._keep(name, Cursor.at(kept))
        cursor.resume(kept)
        cursor.heard_at_s = cursor.written_at_s = self._clock.monotonic_s()
        return cursor

    def _keep(self, name: _Name, cursor: Cursor) -> Cursor:
        self._cursors[name] = cursor
        if len(self._cursors) > self._limits.sessions:
            # Its row stays: should it come back, it hears some of what it has heard again.
            self._cursors.popitem(last=False)
            tell("recovery.session_dropped")
        return cursor

    async def _leave_out_earlier(self, key: TopicKey, cursor: Cursor) -> None:
        """Count what was told before a session began as received: it never asked for it."""
        rows = await self._store.told_before(key, from_seq=cursor.events.number, limit=self._limits.events)
        # What was written to the socket meanwhile is on its way, and counts when it has arrived.
        cursor.received |= dict.fromkeys(row["id"] for row in rows if row["id"] not in cursor.in_flight)
        cursor.is_changed = bool(rows)

    async def _missed(self, key: TopicKey, position: Position, *, is_in_time: bool) -> Missed:
        most, size = self._limits.events, self._limits.size_bytes
        events = await self._store.missed_events(key, position, limit=most + 1, most_bytes=size)
        messages = await self._store.missed_messages(key, position, limit=most + 1, most_bytes=size)
        found = merged(
            events_again(reversed(events[:most]), key, self._told), messages_again(reversed(messages[:most]), key)
        )
        # Where somebody else made the table of messages, nobody can tell which of them are missing.
        is_whole = (
            is_in_time and _are_all(events, most) and _are_all(messages, most) and await self._store.has_messages()
        )
        tell("recovery.answered", is_whole=is_whole, messages=len(found))
        return Missed(tuple(found), is_whole)

    async def _advance_events(self, low_seq: int) -> None:
        moving = {
            name: cursor
            for name, cursor in self._cursors.items()
            if cursor.events.number < low_seq and not cursor.is_held(cursor.events)
        }
        from_seqs: dict[str, int] = {}
        for name, cursor in moving.items():
            tenant_id = name.key.tenant_id
            from_seqs[tenant_id] = min(from_seqs.get(tenant_id, low_seq), cursor.events.number)
        most = self._limits.settled_per_step
        rows = await self._store.settled_events(from_seqs, low_seq=low_seq, limit=most) if from_seqs else ()
        told, seen = settled_events(rows, self._told), _seen_up_to(rows, most)
        async for name, cursor in _in_slices(moving):
            bound = seen.get(name.key.tenant_id, low_seq)
            cursor.advance(cursor.events, told.get(name.key, ()), bound=bound)

    async def _advance_messages(self, low_transaction: int) -> None:
        moving = {
            name: cursor
            for name, cursor in self._cursors.items()
            if cursor.messages.number < low_transaction and not cursor.is_held(cursor.messages)
        }
        if not moving:
            return
        most, first = self._limits.settled_per_step, min(cursor.messages.number for cursor in moving.values())
        rows = await self._store.settled_messages(first, low_transaction=low_transaction, limit=most)
        told = settled_messages(rows)
        bound = low_transaction if len(rows) < most else rows[-1]["transaction_id"] + 1
        async for name, cursor in _in_slices(moving):
            cursor.advance(cursor.messages, told.get(name.key, ()), bound=bound)

    def _close_gaps(self) -> None:
        """Find what this node never got, because the bus was away: a session comes back for it when its socket ends."""
        now_s = self._clock.monotonic_s()
        found = {name: gap for name, cursor in self._cursors.items() if (gap := cursor.gap()) is not None}
        self._gaps = {
            name: self._gaps[name] if name in self._gaps and self._gaps[name][0] == gap else (gap, now_s)
            for name, gap in found.items()
        }
        for name, (gap, since_s) in self._gaps.items():
            if now_s - since_s >= self._limits.gap_s:
                self._gaps[name] = (gap, float("inf"))
                self.on_gap(name.key, name.session)

    async def _write(self) -> None:
        now_s = self._clock.monotonic_s()
        due = [
            (name, cursor)
            for name, cursor in self._cursors.items()
            if cursor.is_kept and (cursor.is_changed or now_s - cursor.written_at_s >= self._limits.rewrite_s)
        ]
        step = self._limits.written_per_step
        for start in range(0, len(due), step):
            await self._write_some(due[start : start + step], now_s)

    async def _write_some(self, due: Sequence[tuple[_Name, Cursor]], now_s: float) -> None:
        """Write cursors in one statement. One that fails is written again the next time, as it is then."""
        given = [_kept_form(name, cursor.position()) for name, cursor in due]
        for _, cursor in due:
            cursor.is_changed, cursor.written_at_s = False, now_s
        try:
            await self._store.keep(given)
        except BaseException:
            for _, cursor in due:
                cursor.is_changed = True
            raise

    async def _do_or_tell(self, duty: Callable[[], Awaitable[None]], name: str) -> None:
        try:
            await duty()
        except Exception as error:  # noqa: BLE001 - task boundary: sockets go on without it, and it is done the next time
            tell("recovery.failed", step=name, error=error.code if isinstance(error, StoreError) else repr(error)[:200])


async def _in_slices(moving: Mapping[_Name, Cursor]) -> AsyncIterator[tuple[_Name, Cursor]]:
    """Give cursors one by one, and let the loop look after others now and then."""
    for number, (name, cursor) in enumerate(moving.items()):
        if number % _PER_SLICE == _PER_SLICE - 1:
            await asyncio.sleep(0)
        yield name, cursor


def _kept_form(name: _Name, position: Position) -> Mapping[str, Any]:
    key = name.key
    return {
        "tenant_id": key.tenant_id, "topic": key.topic, "session": name.session, "from_seq": position.from_seq,
        "from_transaction": position.from_transaction, "received": position.received,
    }  # fmt: skip


def _ignore(key: TopicKey, session: str) -> None:
    """Nobody wants to know."""


def _position(bounds: Bounds) -> Position:
    return Position(bounds.low_seq, bounds.low_transaction)


def _are_all(rows: Sequence[Row], most: int) -> bool:
    """Tell whether nothing was left out, neither by the count nor by the size."""
    return not rows or len(rows) == rows[0]["visited"] <= most


def _seen_up_to(rows: Iterable[Row], most: int) -> dict[str, int]:
    """Give how far the rows reach for each tenant that has more of them than were asked for."""
    counts: dict[str, int] = {}
    last: dict[str, int] = {}
    for row in rows:
        tenant_id = row["tenant_id"]
        counts[tenant_id] = counts.get(tenant_id, 0) + 1
        last[tenant_id] = row["seq"]
    return {tenant_id: seq + 1 for tenant_id, seq in last.items() if counts[tenant_id] >= most}


_CONTRACT: type[ChannelLog] = DurableLog
