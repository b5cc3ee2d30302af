"""The WAL feed: committed events in commit order, streamed from one replication slot. The slot is the leader lock.

Three things keep a process that stood still from doing harm. The server frees the slot of a reader that is silent for
a lease, so another one takes over. Each leader raises the fence in the cursor's row, and a batch is settled only under
the fence that it was handed out under: the old leader's statement changes nothing. And settling is one statement, so
no transaction of ours can stand still and hold the cursor's row.
"""

import asyncio
import uuid
from collections.abc import Callable

from rowcast.capture.replication_session import start_stream
from rowcast.capture.slot import SlotState, prepare_slot, publish_messages, read_slot_state
from rowcast.capture.wal_session import HearMessages, WalSession, taken_over
from rowcast.core.clock import Clock, SystemClock
from rowcast.core.errors import StoreUnavailableError
from rowcast.core.telemetry import tell
from rowcast.outbox.feed import Batch, Feed, Record
from rowcast.store.pool import Connection, connect

_TIMEOUT_S = 30.0
_LEADER_WAIT_S = 0.05
UNBOUNDED = "-1"


class WalFeed:
    """Streams the outbox. Any number of processes may have one; the one that has the slot gets the events."""

    def __init__(
        self,
        *,
        dsn: str,
        lease_s: float = 10.0,
        batch_size: int = 1000,
        slot: str | None = None,
        clock: Clock | None = None,
        noise: Callable[[], float] = lambda: 0.5,
    ) -> None:
        """Take the database and the lease.

        Args:
            dsn: `postgresql://...`, straight to the server: a pooler in transaction mode cannot stream.
            lease_s: After this time a process that stands still has lost the slot.
            batch_size: The most events in a batch.
            slot: The slot's name; `rowcast_` and the number of the database when left out.
            clock: Where the time comes from.
            noise: Gives random numbers from 0 to 1, so that waiting processes do not ask all at once.
        """
        self._hear: HearMessages | None = None
        self._dsn = dsn
        self._lease_s = lease_s
        self._batch_size = batch_size
        self._slot = slot
        self._clock = clock or SystemClock()
        self._noise = noise
        self._session: WalSession | None = None

    @property
    def name(self) -> str:
        """Give `wal`."""
        return "wal"

    @property
    def is_leading(self) -> bool:
        """Tell whether this process has the slot."""
        return self._session is not None

    def tell_messages(self, hear: HearMessages) -> None:
        """Let `hear` be told the messages that the database sends to sockets; they come with the same log."""
        self._hear = hear

    async def open(self) -> None:
        """Wait until this process leads; the slot and the publication are made where they are missing.

        Raises:
            StoreUnavailableError: `store.unavailable`, when the database cannot be reached; try again later.
            ConfigError: `config.wal_level`, `config.slot`, `config.replication_role`, `config.replication_slots` or
                `config.privileges`.
        """
        await self.close()
        connection = await connect(self._dsn, settings=_session_settings(self._lease_s), timeout_s=_TIMEOUT_S)
        try:
            self._session = await self._lead(connection)
            await self._session.begin()
        except BaseException:
            await self.close()
            await connection.close()
            raise
        tell("feed.opened", feed=self.name)

    async def next_batch(self) -> Batch:
        """Wait for committed events and give them; side lanes and healing go first.

        Raises:
            StoreUnavailableError: `store.unavailable`, when the stream has ended; `open` again.
        """
        return await self._opened().next_batch()

    async def settle(self, batch: Batch, record: Record) -> frozenset[uuid.UUID]:
        """Write states, deliveries and how far the log is settled with `batch`; give the events whose state is new.

        Raises:
            StoreUnavailableError: `store.taken_over`, when another process leads, or this one has begun anew since.
        """
        session = self._session
        if session is None or not session.is_out(batch):
            raise taken_over()
        return await session.record(batch, record)

    async def acknowledge(self, batch: Batch) -> None:
        """Let the server forget the log behind a settled batch."""
        if self._session is not None and self._session.is_out(batch):
            self._session.settled(batch)

    async def keep_alive(self) -> None:
        """Give the server a sign of life every third of a lease, until cancelled."""
        while True:
            await asyncio.sleep(self._lease_s / 3)
            if self._session is not None:
                self._session.give_sign(is_reply_wanted=True)

    async def close(self) -> None:
        """Let go of the slot at once, so that another process can take over. Never raises."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def _lead(self, connection: Connection) -> WalSession:
        """Wait for the slot: try at once, then again as soon as it is seen free."""
        is_waiting = False
        while True:
            state = await read_slot_state(connection, self._slot)
            if await prepare_slot(connection, self._dsn, state, lease_s=self._lease_s, timeout_s=_TIMEOUT_S):
                if self._hear is not None:
                    await publish_messages(connection)
                session = await self._start(connection, state)
                if session is not None:
                    return session
            if not is_waiting:
                tell("feed.waiting", feed=self.name, slot=state.slot_name)
                is_waiting = True
            await asyncio.sleep(_LEADER_WAIT_S * (0.5 + self._noise()))

    async def _start(self, connection: Connection, state: SlotState) -> WalSession | None:
        try:
            stream = await start_stream(
                self._dsn, state.slot_name, lease_s=self._lease_s, timeout_s=_TIMEOUT_S, clock=self._clock
            )
        except StoreUnavailableError as error:
            if error.code == "store.slot_busy":
                return None
            raise
        if state.keep_size == UNBOUNDED:
            # The log of a reader that never comes back would fill the disk: max_slot_wal_keep_size should be set.
            tell("slot.unbounded", slot=state.slot_name)
        return WalSession(
            connection, stream, slot=state.slot_name, batch_size=self._batch_size, clock=self._clock, hear=self._hear
        )

    def _opened(self) -> WalSession:
        if self._session is None:
            raise StoreUnavailableError("The WAL feed is not connected; open it.")
        return self._session


def _session_settings(lease_s: float) -> dict[str, str]:
    lease_ms, lease_whole_s = str(int(lease_s * 1000)), str(max(1, int(lease_s)))
    return {
        "application_name": "rowcast wal feed",
        # What a crash takes back comes again, so nothing waits for the disk here; see unflushed.py.
        "synchronous_commit": "off",
        "idle_in_transaction_session_timeout": lease_ms,
        "tcp_keepalives_idle": lease_whole_s,
        "tcp_keepalives_interval": lease_whole_s,
        "tcp_keepalives_count": "2",
        "tcp_user_timeout": lease_ms,
        "default_transaction_isolation": "read committed",
        "jit": "off",
    }


_CONTRACT: type[Feed] = WalFeed
