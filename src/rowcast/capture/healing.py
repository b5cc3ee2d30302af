"""Healing: events that the slot has never seen are read from the table, once, before the stream goes on.

These are the events that were committed before the slot existed: a backlog at the first start, or what fell into a gap.
The slot is made first and the table is read after that, so nothing falls between. What both give is told once, because
the relay drops what has a state.
"""

from rowcast.core.envelope import Envelope
from rowcast.outbox.event_row import read_envelope
from rowcast.store.pool import Connection
from rowcast.store.sql import load_queries

_WINDOW = 50_000
"""Numbers that one statement passes over: some 20 ms where all of them are settled."""


class Healing:
    """One pass over the outbox, in the order of `seq`, from the oldest event that may be pending."""

    def __init__(self, *, from_seq: int, last_seq: int, batch_size: int) -> None:
        """Take the stretch to read; see `begin_healing`."""
        self._position = self._next_position = max(from_seq, 1)
        self._last_seq = last_seq
        self._batch_size = batch_size
        self._queries = load_queries("rowcast.capture")
        self.healed_events = 0
        self._handed_out = 0

    @property
    def is_over(self) -> bool:
        """Tell whether everything in the stretch is settled."""
        return self._position > self._last_seq

    async def next_events(self, connection: Connection) -> tuple[Envelope, ...]:
        """Give the next pending events; nothing when it is over. Without `settled` in between, the same come again."""
        while not self.is_over:
            until_seq = min(self._position + _WINDOW, self._last_seq + 1)
            events = await self._read(connection, until_seq)
            if events:
                self._next_position = events[-1].seq + 1
                self._handed_out = len(events)
                return events
            self._position = until_seq
        return ()

    def settled(self) -> None:
        """Go on behind the events that were given last."""
        self._position = self._next_position
        self.healed_events += self._handed_out
        self._handed_out = 0

    async def _read(self, connection: Connection, until_seq: int) -> tuple[Envelope, ...]:
        rows = await connection.fetch(
            self._queries["events_to_heal"], from_seq=self._position, until_seq=until_seq, limit=self._batch_size
        )
        return tuple(map(read_envelope, rows))


async def begin_healing(connection: Connection, *, batch_size: int) -> Healing:
    """Give the pass over everything that was committed before now. Call it when the slot is there."""
    row = await connection.fetch_one(load_queries("rowcast.capture")["heal_bounds"])
    from_seq, last_seq = (row["from_seq"], row["last_seq"]) if row else (0, 0)
    return Healing(from_seq=from_seq, last_seq=last_seq, batch_size=batch_size)
