"""One session of the claim feed: its shards, how far it has read in each, and the batch that is out."""

import uuid
from collections.abc import Sequence

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.envelope import Envelope
from rowcast.outbox.event_row import read_envelope
from rowcast.outbox.feed import Batch, Record
from rowcast.outbox.horizon import Horizon, look
from rowcast.outbox.shards import SHARD_COUNT, Shards
from rowcast.outbox.side_lanes import SideLanes
from rowcast.store.pool import Connection
from rowcast.store.sql import load_queries

_NOWHERE = 2**63 - 1
_STORE_EVERY_S = 1.0


class Claimed(msgspec.Struct, frozen=True, eq=False):
    """The cursor of a batch: where each shard is read to once it is settled. None for a batch of a side lane."""

    positions: dict[int, int] | None


def session_settings(lease_s: float) -> dict[str, str]:
    """Give the settings by which the server ends a session that stands still for a lease, with all that it holds."""
    lease_ms, lease_whole_s = str(int(lease_s * 1000)), str(max(1, int(lease_s)))
    return {
        "idle_session_timeout": lease_ms,
        # A state that a crash of the server takes back is claimed again, so no batch waits for the disk.
        "synchronous_commit": "off",
        "idle_in_transaction_session_timeout": lease_ms,
        "tcp_keepalives_idle": lease_whole_s,
        "tcp_keepalives_interval": lease_whole_s,
        "tcp_keepalives_count": "2",
        "tcp_user_timeout": lease_ms,
        "default_transaction_isolation": "read committed",
        # A claim walks along one index and stops at its limit. No estimate may talk the planner out of it.
        "enable_seqscan": "off",
        "enable_bitmapscan": "off",
        "enable_sort": "off",
        "jit": "off",
    }


class ClaimSession:
    """Claims pending events of its shards. Used by one task at a time."""

    def __init__(self, connection: Connection, *, batch_size: int, clock: Clock, share_every_s: float) -> None:
        """Take a session of the server that nobody else uses."""
        self.connection = connection
        self._batch_size = batch_size
        self._clock = clock
        self._share_every_s = share_every_s
        self._queries = load_queries("rowcast.outbox")
        self._shards = Shards(connection)
        self._lanes = SideLanes(batch_size=batch_size, clock=clock)
        self._horizon: Horizon | None = None
        self._positions: dict[int, int] = {}
        self._stored: dict[int, tuple[int, int]] = {}
        self._out: Claimed | None = None
        self._share_at_s = self._store_at_s = 0.0

    @property
    def shards(self) -> frozenset[int]:
        """Give the shards that this session holds."""
        return self._shards.owned

    def is_out(self, batch: Batch) -> bool:
        """Tell whether `batch` is the one that this session handed out last and may still settle."""
        return batch.cursor is self._out and self._out is not None

    async def begin(self) -> None:
        """Be counted, and take what is free."""
        await self._shards.register()
        await self._share()

    async def claim(self) -> Batch | None:
        """Give the next batch, or None when nothing is pending here."""
        self._out = None
        if self._clock.monotonic_s() >= self._share_at_s:
            await self._share()
        if not self.shards:
            return None
        events = await self._lanes.next_events(self.connection, shards=sorted(self.shards))
        return self._hand_out(events, None) if events else await self._main()

    async def record(self, record: Record) -> frozenset[uuid.UUID]:
        """Write states and deliveries, and give the events whose state is new."""
        row = await self.connection.fetch_one(self._queries["settle_events"], **record)
        return frozenset(row["written"]) if row else frozenset()

    async def settled(self) -> None:
        """Go on behind the batch that is out; it has been committed."""
        out, self._out = self._out, None
        if out is None:
            return
        if out.positions is None:
            self._lanes.settled()
            return
        self._positions = out.positions
        await self._store_bounds()

    async def _share(self) -> None:
        new = await self._shards.share()
        self._share_at_s = self._clock.monotonic_s() + self._share_every_s
        if not new and self._positions.keys() == self.shards:
            return
        rows = await self.connection.fetch(self._queries["low_bounds"])
        low = {row["shard"]: row["low_seq"] for row in rows}
        if self._horizon is None:
            self._horizon = Horizon(min(low.values(), default=0) - 1)
        # A shard that came back may have been read further, or less far, by somebody else meanwhile.
        kept = {shard: at for shard, at in self._positions.items() if shard in self.shards and shard not in new}
        self._positions = kept | {shard: low.get(shard, 0) for shard in new}
        self._lanes.begin_anew()

    async def _main(self) -> Batch | None:
        horizon = self._horizon
        if horizon is None:
            return None
        await look(self.connection, horizon)
        self._positions = {shard: min(at, horizon.arrivals_from) for shard, at in self._positions.items()}
        if min(self._positions.values()) > horizon.last_seq:
            await self._store_bounds()
            return None
        rows = await self.connection.fetch(
            self._queries["pending_events"],
            from_seq=min(self._positions.values()),
            positions=[self._positions.get(shard, _NOWHERE) for shard in range(SHARD_COUNT)],
            limit=self._batch_size,
        )
        events = tuple(map(read_envelope, rows))
        is_more = len(events) == self._batch_size
        positions = positions_after(self._positions, events[-1].seq if is_more else None, horizon.last_seq)
        if not events:
            self._positions = positions
            await self._store_bounds()
            return None
        self._lanes.passed(events, is_more=is_more)
        return self._hand_out(events, positions)

    def _hand_out(self, events: Sequence[Envelope], positions: dict[int, int] | None) -> Batch:
        self._out = Claimed(positions)
        return Batch(tuple(events), self._out)

    async def _store_bounds(self) -> None:
        """Write down where the shards are, now and then, for whoever takes them over and for the statistics."""
        now_s = self._clock.monotonic_s()
        if now_s < self._store_at_s or self._horizon is None:
            return
        self._store_at_s = now_s + _STORE_EVERY_S
        bounds = low_bounds(self._positions, self._horizon.decided_seq)
        changed = {shard: bound for shard, bound in bounds.items() if self._stored.get(shard) != bound}
        if not changed:
            return
        await self.connection.execute(
            self._queries["raise_low_bounds"],
            shards=list(changed),
            low_seqs=[low_seq for low_seq, _ in changed.values()],
            read_seqs=[read_seq for _, read_seq in changed.values()],
        )
        self._stored.update(changed)


def positions_after(positions: dict[int, int], batch_end: int | None, last_seq: int) -> dict[int, int]:
    """Give where each shard is read to when a batch is settled.

    Args:
        positions: Where they were read from.
        batch_end: The last number of a full batch; None when the batch held all that was pending.
        last_seq: The last number that had been drawn before the batch was read.
    """
    end = last_seq if batch_end is None else batch_end
    return {shard: max(at, end + 1) for shard, at in positions.items()}


def low_bounds(positions: dict[int, int], decided_seq: int) -> dict[int, tuple[int, int]]:
    """Give for each shard below which number nothing can be pending any more, and to which it is read."""
    return {shard: (min(at, decided_seq + 1), at) for shard, at in positions.items()}
