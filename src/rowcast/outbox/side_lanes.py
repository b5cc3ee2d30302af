"""What goes beside the main road: failed events whose time has come, and events that a backlog would hold up.

Both feeds ask here before each batch. A side batch is settled like any other; the main road passes over its events.
"""

from collections import Counter
from collections.abc import Sequence

from rowcast.core.clock import Clock
from rowcast.core.envelope import Envelope
from rowcast.outbox.event_row import read_envelope
from rowcast.outbox.horizon import Horizon, look
from rowcast.store.pool import Connection
from rowcast.store.sql import load_queries

ALL_SHARDS: tuple[int, ...] = tuple(range(64))
_RETRY_EVERY_S = 0.5
_WINDOW = 50_000
"""Numbers that one statement of the express lane passes over: some 20 ms."""
_PATIENCE_S = 0.1
"""How long the express lane may look before the main road goes on."""
_NEWEST = 2_000
_NEWEST_TENANTS = 50
"""How many of the newest events are asked for their tenants, and how many of those are served at once."""
_HEAVY_SHARE = 8
"""A tenant with more than an eighth of a batch is part of the backlog."""
_HEAVY_LIMIT = 256


class SideLanes:
    """The retry lane and the express lane of one feed. Give it the connection that the feed settles on.

    The express lane is a second cursor that runs ahead of the main road over the whole backlog, in the same order, and
    takes every event except those of the heavy tenants. So each aggregate keeps its order: of any tenant it takes a
    prefix of what is pending. A tenant that has become heavy stays so until the lane begins anew.

    While the lane itself is still far behind, every other time it asks which tenants the newest events have, and takes
    what is pending of those, from the low bound on: a prefix again. So a fresh event need not wait for the cursor.
    """

    def __init__(self, *, batch_size: int, clock: Clock) -> None:
        """Take the most events in a batch."""
        self._batch_size = batch_size
        self._clock = clock
        self._queries = load_queries("rowcast.outbox")
        self._retry_at_s = 0.0
        self._heavy: set[str] = set()
        self._horizon: Horizon | None = None
        self._position = self._next_position = self._low_seq = 0
        self._is_express_turn = self._is_newest_turn = False

    def begin_anew(self) -> None:
        """Forget the express lane's place. Call it when shards were taken or given, and after an interruption."""
        self._heavy.clear()
        self._horizon = None
        self._is_express_turn = self._is_newest_turn = False

    def passed(self, events: Sequence[Envelope], *, is_more: bool) -> None:
        """Note what the main road hands out. `is_more`: the batch was full, so a backlog waits behind it."""
        if not is_more:
            self.begin_anew()
            return
        self._note_heavy(events)
        self._is_express_turn = bool(self._heavy)

    def settled(self) -> None:
        """Note that the last side batch is settled; until then it would be handed out again."""
        self._position = self._next_position

    async def next_events(self, connection: Connection, *, shards: Sequence[int] = ALL_SHARDS) -> tuple[Envelope, ...]:
        """Give what goes before the next batch of the main road; mostly nothing.

        After an express batch it is the main road's turn.
        """
        self._next_position = self._position
        now_s = self._clock.monotonic_s()
        if now_s >= self._retry_at_s:
            due = await self._due(connection, shards)
            if due:
                return due
            self._retry_at_s = now_s + _RETRY_EVERY_S
        if not self._is_express_turn:
            return ()
        self._is_express_turn = False
        return await self._overtaking(connection, shards)

    async def _due(self, connection: Connection, shards: Sequence[int]) -> tuple[Envelope, ...]:
        rows = await connection.fetch(self._queries["due_events"], shards=list(shards), limit=self._batch_size)
        return tuple(map(read_envelope, rows))

    async def _overtaking(self, connection: Connection, shards: Sequence[int]) -> tuple[Envelope, ...]:
        horizon = self._horizon or await self._begin(connection, shards)
        await look(connection, horizon)
        self._position = self._next_position = min(self._position, horizon.arrivals_from)
        self._is_newest_turn = not self._is_newest_turn
        if self._is_newest_turn and horizon.last_seq - self._position > _WINDOW:
            events = await self._newest(connection, shards, horizon.last_seq)
            if events:
                return events
        return await self._forward(connection, shards, horizon.last_seq)

    async def _newest(self, connection: Connection, shards: Sequence[int], last_seq: int) -> tuple[Envelope, ...]:
        rows = await connection.fetch(
            self._queries["newest_tenants"],
            from_seq=last_seq - _NEWEST,
            shards=list(shards),
            heavy=sorted(self._heavy),
            limit=min(_NEWEST_TENANTS, self._batch_size),
        )
        tenants = [row["tenant_id"] for row in rows]
        if not tenants:
            return ()
        room = self._batch_size // len(tenants)
        found = await connection.fetch(
            self._queries["events_of_tenants"],
            tenants=tenants,
            from_seq=self._low_seq,
            shards=list(shards),
            limit=room,
        )
        return tuple(map(read_envelope, found))

    async def _forward(self, connection: Connection, shards: Sequence[int], last_seq: int) -> tuple[Envelope, ...]:
        stop_s = self._clock.monotonic_s() + _PATIENCE_S
        while self._position <= last_seq and self._clock.monotonic_s() <= stop_s:
            events, until_seq = await self._step(connection, shards, last_seq)
            if events:
                self._next_position = events[-1].seq + 1 if len(events) == self._batch_size else until_seq
                self._note_heavy(events)
                return events
            self._position = self._next_position = until_seq
        return ()

    async def _begin(self, connection: Connection, shards: Sequence[int]) -> Horizon:
        row = await connection.fetch_one(self._queries["lowest_bound"], shards=list(shards))
        low_seq = row["low_seq"] if row else 0
        self._position = self._next_position = self._low_seq = low_seq
        self._horizon = Horizon(low_seq - 1)
        return self._horizon

    async def _step(
        self, connection: Connection, shards: Sequence[int], last_seq: int
    ) -> tuple[tuple[Envelope, ...], int]:
        until_seq = min(self._position + _WINDOW, last_seq + 1)
        rows = await connection.fetch(
            self._queries["overtaking_events"],
            from_seq=self._position,
            until_seq=until_seq,
            shards=list(shards),
            heavy=sorted(self._heavy),
            limit=self._batch_size,
        )
        return tuple(map(read_envelope, rows)), until_seq

    def _note_heavy(self, events: Sequence[Envelope]) -> None:
        counts = Counter(event.tenant_id for event in events)
        least = max(self._batch_size // _HEAVY_SHARE, 1)
        found = {tenant_id for tenant_id, count in counts.items() if count > least}
        if len(self._heavy) + len(found) <= _HEAVY_LIMIT:
            self._heavy |= found
