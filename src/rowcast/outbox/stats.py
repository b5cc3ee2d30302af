"""What is waiting in the outbox, at a price that does not depend on how much there is."""

import msgspec

from rowcast.outbox.side_lanes import ALL_SHARDS
from rowcast.store.pool import Connection, Database
from rowcast.store.sql import load_queries

COUNT_LIMIT = 10_000
"""Up to here is counted; beyond, the number is an estimate."""


class OutboxStats(msgspec.Struct, frozen=True, rename="camel"):
    """How much waits. `is_exact` is false when `pending` is an upper bound read from the numbers drawn."""

    pending: int
    failed: int
    oldest_pending_seconds: float
    is_exact: bool = True


async def outbox_stats(database: Database) -> OutboxStats:
    """Give the number of pending and failed events, and the age of the oldest pending one."""
    async with database.connection() as connection:
        read_seq, last_seq = await _range(connection)
        pending = await _count(connection, "count_pending", from_seq=read_seq)
        failed = await _count(connection, "count_failed")
        age_s = await _oldest_s(connection, read_seq, last_seq) if pending else 0.0
    is_exact = pending <= COUNT_LIMIT
    return OutboxStats(pending if is_exact else last_seq - read_seq + 1, failed, age_s, is_exact)


async def oldest_pending_seconds(database: Database) -> float:
    """Give the age of the oldest event without a state, 0.0 when there is none."""
    async with database.connection() as connection:
        return await _oldest_s(connection, *await _range(connection))


async def _range(connection: Connection) -> tuple[int, int]:
    queries = load_queries("rowcast.outbox")
    bound = await connection.fetch_one(queries["lowest_bound"], shards=list(ALL_SHARDS))
    last = await connection.fetch_one(queries["last_seq"])
    return (bound["read_seq"] if bound else 0), (last["last_seq"] if last else 0)


async def _oldest_s(connection: Connection, read_seq: int, last_seq: int) -> float:
    query = load_queries("rowcast.outbox")["first_pending"]
    row = await connection.fetch_one(query, from_seq=read_seq, until_seq=last_seq + 1)
    return max(0.0, float(row["age_s"])) if row else 0.0


async def _count(connection: Connection, query: str, **values: object) -> int:
    row = await connection.fetch_one(load_queries("rowcast.outbox")[query], limit=COUNT_LIMIT + 1, **values)
    return int(row["found"]) if row else 0
