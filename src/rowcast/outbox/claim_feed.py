"""The claim feed: events without a state, oldest first, of the shards that this process holds.

Works on any PostgreSQL and needs no replication slot. Fencing by construction: claims, states and shard locks belong
to one session of the server. A process that stands still loses it, and with it the only way to change anything.
"""

import asyncio
import uuid

from rowcast.core.clock import Clock, SystemClock
from rowcast.core.errors import StoreError, StoreUnavailableError
from rowcast.core.telemetry import tell
from rowcast.outbox.claim_session import ClaimSession, session_settings
from rowcast.outbox.feed import Batch, Feed, Record
from rowcast.store.pool import connect
from rowcast.store.sql import load_queries

_BUSY_WAIT_S = 0.005
_IDLE_WAIT_S = 0.25
_SHARE_EVERY_S = 1.0


class ClaimFeed:
    """Claims pending events under shard locks; any number of processes share the 64 shards fairly."""

    def __init__(self, *, dsn: str, lease_s: float = 10.0, batch_size: int = 1000, clock: Clock | None = None) -> None:
        """Take the database, the lease after which a frozen process has lost its shards, and the size of a batch."""
        self._dsn = dsn
        self._lease_s = lease_s
        self._batch_size = batch_size
        self._clock = clock or SystemClock()
        self._session: ClaimSession | None = None
        self._turn = asyncio.Lock()
        self._nudged = asyncio.Event()
        self._wait_s = _BUSY_WAIT_S

    @property
    def name(self) -> str:
        """Give `claim`."""
        return "claim"

    @property
    def shards(self) -> frozenset[int]:
        """Give the shards that this process holds now."""
        return self._session.shards if self._session else frozenset()

    def nudge(self) -> None:
        """Look at once instead of at the next poll: somebody in this process knows that an event was committed."""
        self._nudged.set()

    async def open(self) -> None:
        """Connect and take the shards that are free.

        Raises:
            StoreUnavailableError: `store.unavailable`, when the database cannot be reached; try again later.
        """
        await self.close()
        connection = await connect(
            self._dsn, settings=session_settings(self._lease_s), timeout_s=max(self._lease_s, 30.0)
        )
        share_every_s = min(_SHARE_EVERY_S, self._lease_s / 3)
        session = ClaimSession(connection, batch_size=self._batch_size, clock=self._clock, share_every_s=share_every_s)
        try:
            await session.begin()
        except BaseException:
            await connection.close()
            raise
        self._session, self._wait_s = session, _BUSY_WAIT_S
        tell("feed.opened", feed=self.name, shards=len(session.shards))

    async def next_batch(self) -> Batch:
        """Wait for pending events and give them. Polls every 5 ms while busy, every 250 ms when nothing comes."""
        while True:
            batch = await self.poll()
            if batch is not None:
                return batch
            await self._wait()

    async def poll(self) -> Batch | None:
        """Give a batch if anything is pending here now.

        Raises:
            StoreUnavailableError: `store.unavailable`, when the session is gone; `open` again.
        """
        self._nudged.clear()
        async with self._turn:
            batch = await self._opened().claim()
        if batch is not None:
            self._wait_s = _BUSY_WAIT_S
        return batch

    async def settle(self, batch: Batch, record: Record) -> frozenset[uuid.UUID]:
        """Write states and deliveries on the session that claimed `batch`; give the events whose state is new.

        Raises:
            StoreUnavailableError: `store.taken_over`, when another session claimed it: its events may be elsewhere.
        """
        async with self._turn:
            session = self._opened()
            if not session.is_out(batch):
                raise StoreUnavailableError(
                    "This batch is not ours any more: the session that claimed it has ended. It comes again.",
                    code="store.taken_over",
                )
            return await session.record(record)

    async def acknowledge(self, batch: Batch) -> None:
        """Go on behind a settled batch."""
        async with self._turn:
            session = self._opened()
            if session.is_out(batch):
                await session.settled()

    async def keep_alive(self) -> None:
        """Give the server a sign of life every third of a lease, until cancelled."""
        while True:
            await asyncio.sleep(self._lease_s / 3)
            if self._turn.locked():
                continue  # the session is at work
            try:
                async with self._turn:
                    await self._opened().connection.execute(load_queries("rowcast.outbox")["keep_session"])
            except StoreError:
                continue  # whoever waits for the next batch finds out and opens again

    async def close(self) -> None:
        """Let go of all shards at once. Never raises."""
        session, self._session = self._session, None
        if session is not None:
            await session.connection.close()

    def _opened(self) -> ClaimSession:
        if self._session is None:
            raise StoreUnavailableError("The claim feed is not connected; open it.")
        return self._session

    async def _wait(self) -> None:
        wait_s, self._wait_s = self._wait_s, min(self._wait_s * 1.5, _IDLE_WAIT_S)
        try:
            async with asyncio.timeout(wait_s):
                await self._nudged.wait()
        except TimeoutError:
            return
        self._wait_s = _BUSY_WAIT_S


_CONTRACT: type[Feed] = ClaimFeed
