"""A tenant with a million pending events must not hold up another tenant's one.

The backlog is written first and no relay runs. Then a real `rowcast serve --roles relay` starts; when it publishes, the
fresh event of another tenant is committed, and we look until it is published.
"""

import asyncio
import time

from benchmarks.harness import Effort, Row, server
from benchmarks.nodes import node
from rowcast.store.pool import Connection, connect

TITLE = "A fresh event of another tenant, behind a backlog"
CEILING_S = 1.0
BACKLOG = 1_000_000
_CHUNK = 50_000
_FILL = """
insert into rowcast.event (id, tenant_id, aggregate_type, aggregate_id, event_type, occurred_at, payload)
select rowcast.uuid7(), 'big', 'order', (n % 1000)::text, 'orders.confirmed', clock_timestamp(), '{"n": 1}'
from generate_series(1, $1::int) as n
"""
_ANY = "select exists (select 1 from rowcast.event_state)"
_IS_PUBLISHED = "select exists (select 1 from rowcast.event_state where event_id = $1)"
_LEFT = """
select count(*) from (
    select 1 from rowcast.event e
    where tenant_id = 'big' and not exists (select 1 from rowcast.event_state s where s.event_id = e.id) limit 1
) as pending
"""


async def run(effort: Effort) -> list[Row]:
    """Measure once for each feed: filling the backlog takes longer than the rest."""
    size = int(BACKLOG * effort.scale)
    rows = []
    for feed in ("wal", "claim"):
        measured = [await _measure(feed, size)]
        rows.append(
            Row(f"{feed} feed, {size:,} pending: fresh event published after", measured, "s", ceiling=CEILING_S)
        )
    return rows


async def _measure(feed: str, size: int) -> float:
    async with server({"max_wal_size": "4GB"}) as postgres:
        connection = await connect(postgres.dsn, timeout_s=600)
        await _fill(connection, size)
        async with node(postgres.dsn, relay__feed=feed):
            await _await_progress(connection)
            fresh = await connection.driver.fetchval("select rowcast.emit('small', 'orders.confirmed', '{\"n\": 2}')")
            waited_s = await _await_published(connection, fresh)
            is_backlog_left = await connection.driver.fetchval(_LEFT)
        await connection.close()
        assert is_backlog_left, "the backlog was gone before the fresh event was: the measurement says nothing"
        return waited_s


async def _fill(connection: Connection, size: int) -> None:
    for _ in range(0, size, _CHUNK):
        await connection.driver.execute(_FILL, min(_CHUNK, size))
    await connection.driver.execute("analyze rowcast.event")


async def _await_progress(connection: Connection) -> None:
    """Wait until the relay is at work."""
    async with asyncio.timeout(60):
        while not await connection.driver.fetchval(_ANY):  # noqa: ASYNC110 - a table tells nobody
            await asyncio.sleep(0.01)


async def _await_published(connection: Connection, event_id: object) -> float:
    begun_at = time.perf_counter()
    async with asyncio.timeout(120):
        while not await connection.driver.fetchval(_IS_PUBLISHED, event_id):  # noqa: ASYNC110 - a table tells nobody
            await asyncio.sleep(0.005)
    return time.perf_counter() - begun_at
