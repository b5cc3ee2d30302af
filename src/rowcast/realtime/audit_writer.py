"""Writes down what sockets do: once a second, in one transaction, by one task. Sockets never wait for it."""

import asyncio
from collections import Counter, deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.errors import StoreError
from rowcast.core.telemetry import tell
from rowcast.realtime.audit import Activity, Member, What, logged_from, standing_after, storable
from rowcast.realtime.subscriptions_table import SubscriptionTable
from rowcast.store.pool import Connection, Database
from rowcast.store.sql import load_queries


class WriterLimits(msgspec.Struct, frozen=True):
    """Pace and bounds. Past `waiting`, what happens is not kept, but counted; a socket is noted every `ping_s`."""

    every_s: float = 1.0
    sweep_s: float = 300.0
    ping_s: float = 60.0
    waiting: int = 50_000
    batch: int = 2_000
    flush_s: float = 2.0


@dataclass(slots=True)
class _Waiting:
    """What has happened and is not written yet."""

    activities: deque[Activity] = field(default_factory=deque)
    pings: set[str] = field(default_factory=set)
    messages: Counter[tuple[str, str]] = field(default_factory=Counter)
    dropped: int = 0


class ActivityWriter:
    """An ActivityLog that keeps `realtime_subscriptions`, `realtime_activity_logs` and the counts true."""

    def __init__(
        self, *, database: Database, clock: Clock, keep_days: int = 30, limits: WriterLimits | None = None
    ) -> None:
        """Stand on `database`; nothing is written before `run`."""
        self._database = database
        self._clock = clock
        self._keep_days = keep_days
        self._limits = limits or WriterLimits()
        self._table = SubscriptionTable(database=database)
        self._queries = load_queries("rowcast.realtime")
        self._waiting = _Waiting()
        self._noted: set[str] = set()
        self._noted_since_s = clock.monotonic_s()
        self._lock = asyncio.Lock()

    def joined(self, member: Member) -> None:
        """A socket hears a topic from now on."""
        self._keep("join", member, "")

    def left(self, member: Member, reason: str) -> None:
        """It does so no longer."""
        self._keep("leave", member, reason)

    def refused(self, member: Member, reason: str) -> None:
        """A socket may not hear a topic."""
        self._keep("refusal", member, reason)

    def alive(self, connection_id: str) -> None:
        """A socket sent its heartbeat; noted once in a while, well before it would count as dead."""
        now_s = self._clock.monotonic_s()
        if now_s - self._noted_since_s >= self._limits.ping_s:
            self._noted, self._noted_since_s = set(), now_s
        if connection_id not in self._noted and len(self._waiting.pings) < self._limits.waiting:
            self._noted.add(connection_id)
            self._waiting.pings.add(connection_id)

    def told(self, tenant_id: str, user_id: str, messages: int) -> None:
        """A user's socket has been told so many more messages."""
        counted = self._waiting.messages
        if messages > 0 and (len(counted) < self._limits.waiting or (tenant_id, user_id) in counted):
            counted[tenant_id, user_id] += messages

    async def run(self) -> None:
        """Write until cancelled; a database that is away is waited for."""
        swept_at_s = self._clock.monotonic_s()
        while True:
            await asyncio.sleep(self._limits.every_s)
            try:
                while await self.write():
                    pass
                if self._clock.monotonic_s() - swept_at_s >= self._limits.sweep_s:
                    swept_at_s = self._clock.monotonic_s()
                    await self._table.sweep(keep_days=self._keep_days)
            except StoreError as error:
                tell("activity.write_failed", code=error.code)

    async def close(self) -> None:
        """Write what still waits, for a bounded time: the leaves of a server that stops."""
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(self._limits.flush_s):
                while self._waiting.activities or self._waiting.messages:
                    await self.write()

    async def write(self) -> bool:
        """Write a batch of what waits, and tell whether more waits. What could not be written waits on.

        Raises:
            StoreError: The database did not take it.
        """
        async with self._lock:
            waiting = self._waiting
            batch = [waiting.activities[index] for index in range(min(len(waiting.activities), self._limits.batch))]
            pings, messages = list(waiting.pings), list(waiting.messages.items())
            if batch or pings or messages:
                try:
                    async with self._database.transaction() as session:
                        await self._write(session, batch, pings, messages)
                except StoreError:
                    raise
                except Exception as error:  # noqa: BLE001 - what can never be written must not stand before the rest
                    tell("activity.write_crashed", error=type(error).__name__, activities=len(batch))
            self._forget(len(batch), pings, messages)
            return len(waiting.activities) >= self._limits.batch

    async def _write(
        self,
        session: Connection,
        batch: Sequence[Activity],
        pings: Sequence[str],
        messages: Sequence[tuple[tuple[str, str], int]],
    ) -> None:
        standing = standing_after(batch)
        if standing.joined:
            await session.execute(self._queries["attach_grants"], **_columns(standing.joined))
            await session.execute(self._queries["keep_joined"], **_columns(standing.joined))
        if standing.left:
            await session.execute(self._queries["end_left"], **_columns(standing.left))
        if batch:
            logged = logged_from(batch)
            await session.execute(
                self._queries["log_activity"],
                **_columns(list(logged)),
                event_types=[activity.what for activity in logged],
                reasons=[activity.reason for activity in logged],
                occurrences=list(logged.values()),
            )
        if pings:
            await session.execute(self._queries["ping_connections"], connection_ids=pings)
        if messages:
            await session.execute(
                self._queries["count_messages"],
                tenant_ids=[tenant_id for (tenant_id, _), _ in messages],
                user_ids=[user_id for (_, user_id), _ in messages],
                counts=[count for _, count in messages],
                at=self._clock.now(),
            )

    def _keep(self, what: What, member: Member, reason: str) -> None:
        waiting = self._waiting
        if len(waiting.activities) >= self._limits.waiting:
            waiting.dropped += 1
            return
        if what == "refusal":
            # A topic that was refused may be anything.
            member = msgspec.structs.replace(member, topic=storable(member.topic))
        waiting.activities.append(Activity(what, member, self._clock.now(), storable(reason)))

    def _forget(self, written: int, pings: Sequence[str], messages: Sequence[tuple[tuple[str, str], int]]) -> None:
        """Let go of what was written; what came meanwhile stays."""
        waiting = self._waiting
        for _ in range(written):
            waiting.activities.popleft()
        waiting.pings.difference_update(pings)
        waiting.messages.subtract(dict(messages))
        waiting.messages = +waiting.messages
        if waiting.dropped:
            tell("activity.dropped", activities=waiting.dropped)
            waiting.dropped = 0


def _columns(activities: Sequence[Activity]) -> dict[str, object]:
    return {
        "tenant_ids": [activity.member.tenant_id for activity in activities],
        "user_ids": [activity.member.user_id for activity in activities],
        "connection_ids": [activity.member.connection_id for activity in activities],
        "topics": [activity.member.topic for activity in activities],
        "times": [activity.at for activity in activities],
    }
