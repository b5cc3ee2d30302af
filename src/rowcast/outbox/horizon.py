"""Which sequence numbers may still appear: the pure heart of every cursor over the outbox.

A cursor on `seq` alone loses rows: a transaction draws 5, another draws 6 and commits first, and whoever has read up
to 6 never sees 5. What makes a cursor safe is to know who could still commit a lower number. An insert holds its table
lock from before it draws a number until its transaction has ended, also when that was prepared for a two-phase commit,
and the lock is let go only after the transaction is visible. So: read the last number, then who holds the lock, then
take a snapshot. What is not in it and is not above that number can only come from those lock holders.
"""

from dataclasses import dataclass, field

from rowcast.store.pool import Connection
from rowcast.store.sql import load_queries


@dataclass(slots=True)
class Horizon:
    """What is known about numbers that have been drawn. `last_seq` begins at a number up to which all is decided."""

    last_seq: int
    arrivals_from: int = 0
    _above: dict[str, int] = field(default_factory=dict)

    def observe(self, last_seq: int, writers: frozenset[str]) -> None:
        """Take in one look: the last number drawn, and after that read, the transactions that write events.

        Afterwards `arrivals_from` is the lowest number that can have become visible since the look before.
        """
        ended = (above for writer, above in self._above.items() if writer not in writers)
        arrived_above = min(ended, default=self.last_seq)
        arrived_above = min(arrived_above, self.last_seq)
        # A prepared transaction has a new name. It may be one that we knew under its old name, which has just gone.
        self._above = {
            writer: self._above.get(writer, arrived_above if _is_prepared(writer) else self.last_seq)
            for writer in writers
        }
        self.arrivals_from = arrived_above + 1
        self.last_seq = max(last_seq, self.last_seq)

    @property
    def decided_seq(self) -> int:
        """Give the number up to which nothing new can appear."""
        return min(min(self._above.values(), default=self.last_seq), self.last_seq)


def _is_prepared(writer: str) -> bool:
    return writer.startswith("-1/")


async def look(connection: Connection, horizon: Horizon) -> None:
    """Observe the outbox once: two statements, one after the other, and the caller's next one sees what has ended."""
    queries = load_queries("rowcast.outbox")
    last = await connection.fetch_one(queries["last_seq"])
    writers = await connection.fetch_one(queries["event_writers"])
    assert last is not None
    assert writers is not None
    horizon.observe(last["last_seq"], frozenset(writers["writers"]))
