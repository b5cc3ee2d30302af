"""One drain: everything that is pending now is published when it returns, whoever publishes it."""

import asyncio
import uuid

import msgspec

from rowcast.outbox.options import RelayOptions
from rowcast.outbox.publisher import Counts, Publisher
from rowcast.outbox.shards import LIVE_LOCK, LOCK_CLASS
from rowcast.outbox.side_lanes import ALL_SHARDS
from rowcast.outbox.stats import oldest_pending_seconds
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries

_PAGE = 5000
_LOOK_EVERY_S = 0.02


class Drained(msgspec.Struct, frozen=True, rename="camel"):
    """What a drain came to: of the events that were pending when it began, and the age of the oldest that still is."""

    published: int
    failed: int
    skipped: int
    oldest_pending_seconds: float


class Drain:
    """Publishes by itself only where no relay is at work; beside running ones it wakes them and waits for what they do.

    So it never tells anything twice and never breaks the order of an aggregate: a running relay holds the shards or the
    slot, and a second publisher could only be late or double.
    """

    def __init__(self, *, database: Database, publisher: Publisher, options: RelayOptions) -> None:
        """Take the pool and the publisher; the options say which feed to use, and the longest that a drain may take."""
        self._database = database
        self._publisher = publisher
        self._spare_feed = options.spare_feed
        self._clock = options.clock
        self._timeout_s = options.drain_timeout_s
        self._queries = load_queries("rowcast.outbox")

    async def run(self) -> Drained:
        """Drain once. When the time is up it gives what has been done so far; nothing is lost."""
        stop_s = self._clock.monotonic_s() + self._timeout_s
        bound = await self._database.fetch_one(self._queries["lowest_bound"], shards=list(ALL_SHARDS))
        last = await self._database.fetch_one(self._queries["last_seq"])
        from_seq, last_seq = (bound["low_seq"] if bound else 0), (last["last_seq"] if last else 0)
        counts = Counts()
        while self._clock.monotonic_s() < stop_s:
            if not await self._is_relayed():
                counts += await self._pass(stop_s)
            found = await self._pending(from_seq, last_seq)
            if not found:
                break
            counts += await self._await_settled(found, stop_s)
        age_s = await oldest_pending_seconds(self._database)
        return Drained(counts.published, counts.failed, counts.skipped, age_s)

    async def _is_relayed(self) -> bool:
        row = await self._database.fetch_one(self._queries["is_relayed"], lock_class=LOCK_CLASS, live_lock=LIVE_LOCK)
        return bool(row and row["is_relayed"])

    async def _pass(self, stop_s: float) -> Counts:
        """Be the relay until nothing is pending."""
        counts = Counts()
        if self._spare_feed is None:
            return counts
        feed = self._spare_feed()
        try:
            await feed.open()
            while self._clock.monotonic_s() < stop_s and (batch := await feed.poll()) is not None:
                done, _ = await self._publisher.publish(feed, batch)
                counts += done
        finally:
            await feed.close()
        return counts

    async def _pending(self, from_seq: int, last_seq: int) -> list[uuid.UUID]:
        rows = await self._database.fetch(
            self._queries["pending_ids"], from_seq=from_seq, last_seq=last_seq, limit=_PAGE
        )
        return [row["id"] for row in rows]

    async def _await_settled(self, found: list[uuid.UUID], stop_s: float) -> Counts:
        """Wait until the relays have settled what was found, or have gone."""
        while True:
            rows = await self._database.fetch(self._queries["states_of"], event_ids=found)
            is_over = self._clock.monotonic_s() >= stop_s
            is_alone = self._spare_feed is not None and not await self._is_relayed()
            if len(rows) == len(found) or is_over or is_alone:
                published = sum(row["status"] == "published" for row in rows)
                return Counts(published, len(rows) - published)
            await asyncio.sleep(_LOOK_EVERY_S)
