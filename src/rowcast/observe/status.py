"""How much there is to do, read from the database: events, deliveries, replication slots."""

import msgspec

from rowcast.outbox.stats import OutboxStats, outbox_stats
from rowcast.store.pool import Database, Row
from rowcast.store.sql import load_queries

COUNT_CAP = 10_000
"""Counting stops here, so that looking costs the same however long the queue is: 10,000 means "at least"."""


class EventCounts(msgspec.Struct, frozen=True):
    """Events by status. `pending`, `failed` and `dead` are exact below 10,000; `published` is an estimate."""

    pending: int = 0
    published: int = 0
    failed: int = 0
    dead: int = 0
    oldest_pending_seconds: float = 0.0


class DeliveryCount(msgspec.Struct, frozen=True):
    """Deliveries of one sink in one status, and how long the first of those that are due has been waiting."""

    sink: str
    status: str
    deliveries: int
    overdue_seconds: float = 0.0


class Slot(msgspec.Struct, frozen=True):
    """One replication slot: how far its reader is behind, how much log is kept for it, how much more may be."""

    name: str
    is_active: bool
    wal_status: str
    lag_bytes: int
    retained_bytes: int
    safe_bytes: int | None


class Status(msgspec.Struct, frozen=True):
    """What `rowcast status`, the dashboard and the gauges show."""

    events: EventCounts = EventCounts()
    deliveries: tuple[DeliveryCount, ...] = ()
    slots: tuple[Slot, ...] = ()
    open_gaps: int = 0


class StatusReader:
    """Reads the status; each reading costs the database a few milliseconds."""

    __slots__ = ("_cap", "_database", "_queries")

    def __init__(self, *, database: Database, cap: int = COUNT_CAP) -> None:
        """Take the database to look at."""
        self._database = database
        self._cap = cap
        self._queries = load_queries("rowcast.observe")

    async def read(self) -> Status:
        """Give the status now.

        Raises:
            StoreUnavailableError: The database does not answer.
        """
        waiting = await outbox_stats(self._database)
        async with self._database.connection() as connection:
            settled = await connection.fetch_one(self._queries["settled_counts"], cap=self._cap)
            deliveries = await connection.fetch(self._queries["delivery_counts"], cap=self._cap)
            slots = await connection.fetch(self._queries["slots"])
            gaps = await connection.fetch_one(self._queries["open_gaps"])
        return Status(
            events=_events(waiting, settled),
            deliveries=tuple(_delivery_count(row) for row in deliveries),
            slots=tuple(_slot(row) for row in slots),
            open_gaps=gaps["gaps"] if gaps is not None else 0,
        )

    async def ping(self) -> None:
        """Ask the database for a sign of life.

        Raises:
            StoreUnavailableError: There is none.
        """
        await self._database.fetch_one(self._queries["ping"])


def _events(waiting: OutboxStats, settled: Row | None) -> EventCounts:
    return EventCounts(
        pending=waiting.pending,
        published=settled["published"] if settled is not None else 0,
        failed=waiting.failed,
        dead=settled["dead"] if settled is not None else 0,
        oldest_pending_seconds=waiting.oldest_pending_seconds,
    )


def _delivery_count(row: Row) -> DeliveryCount:
    return DeliveryCount(row["sink"], row["status"], row["deliveries"], max(0.0, row["overdue_s"]))


def _slot(row: Row) -> Slot:
    return Slot(
        name=row["slot_name"],
        is_active=row["active"],
        wal_status=row["wal_status"],
        lag_bytes=row["lag_bytes"],
        retained_bytes=row["retained_bytes"],
        safe_bytes=row["safe_bytes"],
    )
