"""Nothing lost: what a session has missed is read from the committed events, from where its client has proved to be.

Nothing is written when an event is: the outbox is the log. The cursors of all sessions are kept about once a second.
"""

import asyncio
import re
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.codec import encode_json
from rowcast.core.errors import StoreError
from rowcast.core.telemetry import tell
from rowcast.realtime.channel_log import ChannelLog, Missed
from rowcast.realtime.messages import Broadcast, TopicKey
from rowcast.realtime.recover_cursor import Cursor, Position
from rowcast.realtime.recover_rows import Row, Told, candidates, retold, settled_by_topic
from rowcast.realtime.sink import event_broadcasts
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries

SESSION_PATTERN = re.compile(r"[A-Za-z0-9._~:-]{1,64}\Z")
"""What can name a session: a UUID, or whatever else an application makes up, 64 characters at most."""

_DAY_S = 86_400.0
_FORGET_EVERY_S = 300.0


class RecoverLimits(msgspec.Struct, frozen=True):
    """How much is told again, and how much is remembered.

    `events` and `size_bytes` bound one recovery and `away_s` how long a client may be away: past them it is told that
    something is gone. `sessions` live in this process, `tenant_sessions` in the table, `kept_s` after their last sign.
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


class _Name(NamedTuple):
    key: TopicKey
    session: str


class DurableLog:
    """Recovers sessions on private topics, on whichever node they come back, and replays what was told."""

    def __init__(
        self, *, database: Database, clock: Clock, told: Told | None = None, limits: RecoverLimits | None = None
    ) -> None:
        """Take the pool and the clock; `told` is needed only where rules name topics of their own."""
        self._database = database
        self._clock = clock
        self._told = told or event_broadcasts
        self._is_wide = told is not None
        self._limits = limits or RecoverLimits()
        self._queries = load_queries("rowcast.realtime")
        self._cursors: OrderedDict[_Name, Cursor] = OrderedDict()
        # The last bounds, oldest first: for a session that is met again, one that is surely below what it was told.
        self._bounds: deque[int] = deque([0], maxlen=5)

    async def recover(self, key: TopicKey, session: str) -> Missed | None:
        """Give what a session has missed; None for a session that begins now, or that has no proper name.

        Raises:
            StoreError: The database cannot be asked now. The join must be refused: the client comes again.
        """
        if not SESSION_PATTERN.match(session):
            return None
        kept = await self._database.fetch_one(
            self._queries["begin_session"], tenant_id=key.tenant_id, topic=key.topic, session=session
        )
        assert kept is not None
        cursor = self._resume(_Name(key, session), Position(kept["from_seq"], tuple(kept["received"])))
        if kept["away_s"] is None:
            await self._leave_out_earlier(key, cursor)
            return None
        return await self._missed(key, cursor, is_in_time=kept["away_s"] <= self._limits.away_s)

    async def replay(self, key: TopicKey, *, since: datetime, limit: int) -> tuple[Broadcast, ...]:
        """Give the newest `limit` broadcasts of a topic since a moment, oldest first."""
        rows = await self._database.fetch(
            self._queries["events_since"],
            tenant_id=key.tenant_id,
            since=since,
            limit=self._limits.events if self._is_wide else limit,
            **self._candidates(key),
        )
        newest = [broadcast for _, broadcast in retold(rows, key, self._told)]
        return tuple(reversed(newest[:limit]))

    def sent(self, key: TopicKey, session: str, broadcast_id: str) -> None:
        """Take note that the broadcast with this `meta.id` was written to the session's socket."""
        name = _Name(key, session)
        cursor = self._cursors.get(name) or self._keep(name, Cursor(self._bounds[0]))
        cursor.send(broadcast_id)
        cursor.heard_at_s = self._clock.monotonic_s()

    def acknowledged(self, key: TopicKey, session: str, broadcast_id: str) -> None:
        """Take note that the client's side of the socket has received everything up to this broadcast."""
        cursor = self._cursors.get(_Name(key, session))
        if cursor is not None:
            cursor.acknowledge(broadcast_id)
            cursor.heard_at_s = self._clock.monotonic_s()

    def position(self, key: TopicKey, session: str) -> int | None:
        """Give the number below which a session has received everything; None for one that is not here."""
        cursor = self._cursors.get(_Name(key, session))
        return None if cursor is None else cursor.from_seq

    async def run(self) -> None:
        """Keep the cursors about once a second until cancelled; then once more."""
        forget_at_s = 0.0
        try:
            while True:
                await self._flush_or_tell()
                if self._clock.monotonic_s() >= forget_at_s:
                    forget_at_s = self._clock.monotonic_s() + _FORGET_EVERY_S
                    await self._forget_or_tell()
                await asyncio.sleep(self._limits.flush_s)
        finally:
            await self._flush_or_tell()

    async def flush(self) -> None:
        """Move every cursor as far as is proved, and keep those that moved."""
        row = await self._database.fetch_one(self._queries["settled_bound"])
        low_seq = row["low_seq"] if row else 0
        await self._advance(low_seq)
        self._bounds.append(low_seq)
        await self._write()

    async def forget(self) -> None:
        """Forget sessions of long ago, here and in the table."""
        now_s = self._clock.monotonic_s()
        for name in [name for name, cursor in self._cursors.items() if now_s - cursor.heard_at_s > _DAY_S]:
            del self._cursors[name]
        for cursor in self._cursors.values():
            # What holds it may have become a dead letter since, which nobody is ever told.
            cursor.waits_for = cursor.waits_for if now_s - cursor.heard_at_s > _FORGET_EVERY_S else None
        limits = self._limits
        await self._database.execute(
            self._queries["forget_sessions"], kept_s=limits.kept_s, most=limits.tenant_sessions
        )

    def _resume(self, name: _Name, kept: Position) -> Cursor:
        cursor = self._cursors.get(name) or self._keep(name, Cursor(kept.from_seq))
        cursor.resume(kept)
        cursor.heard_at_s = self._clock.monotonic_s()
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
        rows = await self._database.fetch(
            self._queries["told_before"],
            tenant_id=key.tenant_id,
            from_seq=cursor.from_seq,
            limit=self._limits.events,
            **self._candidates(key),
        )
        # What was written to the socket meanwhile is on its way, and counts when it has arrived.
        cursor.received |= dict.fromkeys(row["id"] for row in rows if row["id"] not in cursor.in_flight)
        cursor.is_changed = True

    async def _missed(self, key: TopicKey, cursor: Cursor, *, is_in_time: bool) -> Missed:
        limits = self._limits
        rows = await self._database.fetch(
            self._queries["missed_events"],
            tenant_id=key.tenant_id,
            from_seq=cursor.from_seq,
            received=list(cursor.received),
            limit=limits.events + 1,
            most_bytes=limits.size_bytes,
            **self._candidates(key),
        )
        found = tuple(broadcast for _, broadcast in reversed(retold(rows[: limits.events], key, self._told)))
        is_whole = is_in_time and (not rows or len(rows) == rows[0]["visited"] <= limits.events)
        tell("recovery.answered", is_whole=is_whole, messages=len(found))
        return Missed(found, is_whole)

    def _candidates(self, key: TopicKey) -> dict[str, object]:
        which = candidates(key.topic)
        return {"topic": which.topic, "types": which.types, "is_wide": self._is_wide}

    async def _advance(self, low_seq: int) -> None:
        moving = {
            name: cursor for name, cursor in self._cursors.items() if cursor.from_seq < low_seq and not cursor.is_held()
        }
        from_seqs: dict[str, int] = {}
        for name, cursor in moving.items():
            tenant_id = name.key.tenant_id
            from_seqs[tenant_id] = min(from_seqs.get(tenant_id, low_seq), cursor.from_seq)
        rows = await self._settled(from_seqs, low_seq) if from_seqs else ()
        events, seen = settled_by_topic(rows, self._told), self._seen_up_to(rows, low_seq)
        for name, cursor in moving.items():
            cursor.advance(events.get(name.key, ()), low_seq=seen.get(name.key.tenant_id, low_seq))

    async def _settled(self, from_seqs: dict[str, int], low_seq: int) -> Sequence[Row]:
        return await self._database.fetch(
            self._queries["settled_events"],
            tenants=list(from_seqs),
            from_seqs=list(from_seqs.values()),
            low_seq=low_seq,
            limit=self._limits.settled_per_step,
            is_wide=self._is_wide,
        )

    def _seen_up_to(self, rows: Iterable[Row], low_seq: int) -> dict[str, int]:
        """Give how far the rows reach for each tenant that has more of them than were asked for."""
        counts: dict[str, int] = {}
        last: dict[str, int] = {}
        for row in rows:
            tenant_id = row["tenant_id"]
            counts[tenant_id] = counts.get(tenant_id, 0) + 1
            last[tenant_id] = row["seq"]
        most = self._limits.settled_per_step
        return {tenant_id: seq + 1 for tenant_id, seq in last.items() if counts[tenant_id] >= most and seq < low_seq}

    async def _write(self) -> None:
        now_s = self._clock.monotonic_s()
        due = [
            (name, cursor)
            for name, cursor in self._cursors.items()
            if cursor.is_changed or now_s - cursor.written_at_s >= self._limits.rewrite_s
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
            await self._database.execute(self._queries["keep_sessions"], cursors=encode_json(given).decode())
        except BaseException:
            for _, cursor in due:
                cursor.is_changed = True
            raise

    async def _flush_or_tell(self) -> None:
        try:
            await self.flush()
        except StoreError as error:
            tell("recovery.flush_failed", code=error.code)

    async def _forget_or_tell(self) -> None:
        try:
            await self.forget()
        except StoreError as error:
            tell("recovery.forget_failed", code=error.code)


def _kept_form(name: _Name, position: Position) -> dict[str, object]:
    key = name.key
    return {
        "tenant_id": key.tenant_id, "topic": key.topic, "session": name.session, "from_seq": position.from_seq,
        "received": position.received,
    }  # fmt: skip


_CONTRACT: type[ChannelLog] = DurableLog
