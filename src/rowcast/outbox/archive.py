"""Keeps the tables small: partitions made ahead, old ones detached, old deliveries deleted. One process at a time."""

import asyncio
from collections.abc import Callable
from datetime import date

import msgspec

from rowcast.core.errors import RowcastError, StoreError
from rowcast.core.telemetry import tell
from rowcast.outbox.shards import ARCHIVE_LOCK, LOCK_CLASS
from rowcast.store.pool import Connection, Database
from rowcast.store.sql import load_queries

_EVERY_S = 3600.0
_LOCK_WAIT_MS = 200
_TRIES = 10
_BATCH = 1000
_PARENTS = ("event_state", "event")
"""Where a state went astray it is moved before its event, which nobody must take for a new one without it."""


class Retention(msgspec.Struct, frozen=True):
    """How long things are kept, in whole days, and how many days of partitions are made ahead."""

    events_days: int = 30
    deliveries_days: int = 30
    drop_detached: bool = False
    ahead_days: int = 3


class Archived(msgspec.Struct, frozen=True, rename="camel"):
    """What one run did. `busy` days stay: something in them is pending, failed or undelivered.

    `is_turn` is false when another process was at it.
    """

    detached: tuple[date, ...] = ()
    busy: tuple[date, ...] = ()
    deleted_deliveries: int = 0
    is_turn: bool = True


class Archive:
    """Archives. What fails is told and done the next time; nothing waits for it."""

    def __init__(self, *, database: Database, retention: Retention, noise: Callable[[], float]) -> None:
        """Take the pool, what to keep, and randomness that keeps several processes from coming at once."""
        self._database = database
        self._retention = retention
        self._noise = noise
        self._queries = load_queries("rowcast.outbox")

    async def run(self) -> None:
        """Archive now and then every hour, until cancelled."""
        while True:
            await self.run_once_or_tell()
            await asyncio.sleep(_EVERY_S * (0.9 + 0.2 * self._noise()))

    async def run_once_or_tell(self) -> None:
        """Archive once; whatever goes wrong is told, and nothing else stops for it."""
        try:
            await self.run_once()
        except Exception as error:  # noqa: BLE001 - task boundary: the relay goes on without it
            tell("archive.failed", error=_named(error))

    async def run_once(self) -> Archived:
        """Archive once and give what was done; a step that fails is told and keeps no other from being done."""
        async with self._database.connection() as connection:
            lock = await connection.fetch_one(
                self._queries["try_archive_lock"], lock_class=LOCK_CLASS, archive_lock=ARCHIVE_LOCK
            )
            if not (lock and lock["is_ours"]):
                return Archived(is_turn=False)
            try:
                return await self._archive(connection)
            finally:
                await connection.execute(
                    self._queries["leave_archive_lock"], lock_class=LOCK_CLASS, archive_lock=ARCHIVE_LOCK
                )

    async def _archive(self, connection: Connection) -> Archived:
        for ahead in range(self._retention.ahead_days + 1):
            await self._make_ahead(connection, ahead)
        deleted = await self._delete_deliveries(connection)
        days = await connection.fetch(self._queries["old_days"], days=self._retention.events_days)
        outcomes = {row["day"]: await self._detach(connection, row["day"]) for row in days}
        return Archived(
            tuple(day for day, outcome in outcomes.items() if outcome == "detached"),
            tuple(day for day, outcome in outcomes.items() if outcome != "detached"),
            deleted,
        )

    async def _make_ahead(self, connection: Connection, ahead: int) -> None:
        """Without its partition a day's events go into the default one, and are moved when it is made.

        One table a transaction: whoever reads both must never wait for the one while we wait for the other. Once more
        for what a session that did not learn of the partition put into the default one.
        """
        try:
            for parent in (*_PARENTS, *_PARENTS):
                await connection.fetch(self._queries["make_partition_ahead"], ahead=ahead, parent=parent)
        except StoreError as error:
            tell("archive.partition_failed", ahead_days=ahead, error=error.code)

    async def _detach(self, connection: Connection, day: date) -> str:
        """Try again and again with a short wait for the lock, so that no writer ever waits long behind us."""
        for attempt in range(_TRIES):
            try:
                outcome = await self._detach_once(connection, day)
            except StoreError as error:
                tell("archive.detach_waits", day=day.isoformat(), attempt=attempt + 1, error=error.code)
                await asyncio.sleep(0.2 + 0.6 * self._noise())
                continue
            tell(
                "archive.detached" if outcome == "detached" else "archive.day_kept",
                day=day.isoformat(),
                outcome=outcome,
            )
            return outcome
        return "locked"

    async def _detach_once(self, connection: Connection, day: date) -> str:
        async with connection.transaction():
            await connection.fetch(self._queries["bound_lock_wait"], wait_ms=str(_LOCK_WAIT_MS))
            row = await connection.fetch_one(
                self._queries["detach_day"], day=day, is_dropped=self._retention.drop_detached
            )
        return str(row["outcome"]) if row else "absent"

    async def _delete_deliveries(self, connection: Connection) -> int:
        """Walk over the oldest deliveries, a thousand at a time, up to the first stretch that is young."""
        after_id = deleted = 0
        is_more = True
        while is_more:
            row = await connection.fetch_one(
                self._queries["delete_old_deliveries"],
                after_id=after_id,
                limit=_BATCH,
                days=self._retention.deliveries_days,
            )
            assert row is not None
            after_id, is_more = row["last_id"], bool(row["is_more"])
            deleted += row["deleted"]
        if deleted:
            tell("archive.deliveries_deleted", count=deleted)
        return deleted


def _named(error: Exception) -> str:
    return error.code if isinstance(error, RowcastError) else f"{type(error).__name__}: {error}"
