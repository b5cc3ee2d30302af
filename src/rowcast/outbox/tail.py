"""The tail of the outbox: one tenant's events as they are committed, each once. It looks and changes nothing."""

from collections.abc import Iterable, Sequence

from rowcast.core.envelope import Envelope
from rowcast.outbox.event_row import read_envelope
from rowcast.outbox.horizon import Horizon, look
from rowcast.store.pool import Connection, Database
from rowcast.store.sql import load_queries

_BATCH = 200
_BACK = 10_000


class Tail:
    """Reads on from where it began, also behind a transaction that drew its numbers early and committed late.

    Used by one task. After a `StoreError` it may be asked again, and goes on where it was.
    """

    __slots__ = ("_batch_size", "_database", "_decided_seq", "_from_seq", "_horizon", "_queries", "_seen", "_tenant_id")

    def __init__(self, *, database: Database, tenant_id: str, batch_size: int = _BATCH) -> None:
        """Follow the events of this tenant; `begin` says from when on."""
        self._database = database
        self._tenant_id = tenant_id
        self._batch_size = batch_size
        self._queries = load_queries("rowcast.outbox")
        self._horizon = Horizon(0)
        self._from_seq = 1
        self._decided_seq = 0
        self._seen: set[int] = set()

    async def begin(self) -> None:
        """Take what is committed by now as known. What is committed from now on is not.

        That holds for numbers drawn up to 10,000 events ago: further back nobody looks.

        Raises:
            StoreUnavailableError: `store.unavailable`.
        """
        async with self._database.connection() as connection:
            last = await connection.fetch_one(self._queries["last_seq"])
            low_seq = max(0, (last["last_seq"] if last else 0) - _BACK)
            rows = await connection.fetch(self._queries["seqs_of_tenant"], tenant_id=self._tenant_id, above_seq=low_seq)
        self._seen = {row["seq"] for row in rows}
        self._horizon = Horizon(low_seq)
        self._from_seq = low_seq + 1

    async def next_events(self) -> Sequence[Envelope]:
        """Give what was committed since the call before, in the order of the numbers; a part of it where it is much.

        Raises:
            StoreUnavailableError: `store.unavailable`.
        """
        async with self._database.connection() as connection:
            return await self._read(connection)

    async def _read(self, connection: Connection) -> Sequence[Envelope]:
        await look(connection, self._horizon)
        # Kept before anything is read: the horizon says only once what has arrived.
        self._from_seq = min(self._from_seq, self._horizon.arrivals_from)
        rows = await connection.fetch(
            self._queries["arrived_events"],
            tenant_id=self._tenant_id,
            from_seq=self._from_seq,
            until_seq=self._horizon.last_seq,
            limit=self._batch_size,
        )
        new = [row for row in rows if row["seq"] not in self._seen]
        is_more = len(rows) == self._batch_size
        self._from_seq = rows[-1]["seq"] + 1 if is_more else self._horizon.last_seq + 1
        self._remember(row["seq"] for row in new)
        return [read_envelope(row) for row in new]

    def _remember(self, seqs: Iterable[int]) -> None:
        """Keep the numbers that may be met again: those behind which one may still appear."""
        self._seen.update(seqs)
        decided_seq = min(self._horizon.decided_seq, self._from_seq - 1)
        if decided_seq > self._decided_seq:
            self._decided_seq = decided_seq
            self._seen = {seq for seq in self._seen if seq > decided_seq}
