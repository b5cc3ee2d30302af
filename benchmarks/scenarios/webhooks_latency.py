"""Webhooks: from sending the commit of an event until its post arrives, at four rates, and beside a dead endpoint.

Each event is committed by a transaction of its own, at its time whether the one before has arrived or not; a real
`rowcast serve` with all its roles posts it. The time runs from sending the statement until the receiver has the whole
post, on one clock (both processes are on one machine), so the commit itself is in it.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from benchmarks.harness import Effort, Row, server
from benchmarks.hooks import TENANTS, Receiver, add_endpoints, posting, receiver, settled
from benchmarks.load import PAYLOAD_BYTES, connections, text_of

TITLE = "Webhooks: from sending the commit to the receiver"
NOTE = (
    "1 KiB each, to 40 tenants with one endpoint each. `beside a dead one`: another tenant's endpoint takes the "
    "connection and never answers, and 10,000 deliveries wait for it; the bound is twice what the same run took "
    "without it."
)
RATES = {50: 20.0, 200: 20.0, 1_000: 50.0, 3_000: None}
QUEUED = 10_000
_DEAD = "dead"
_BESIDE = (50, 200, 1_000)
_CONNECTIONS = 8
_EMIT = """select rowcast.emit($1, 'orders.confirmed', json_build_object('at', $2::float8, 'body', $3::text)::jsonb)"""
_QUEUE = """
insert into rowcast.event (id, tenant_id, aggregate_type, aggregate_id, event_type, occurred_at, payload)
select rowcast.uuid7(), $2, 'orders', n::text, 'orders.confirmed', clock_timestamp(), json_build_object('n', n)
from generate_series(1, $1::integer) as n
"""
_ROUTED = "select count(*) from rowcast.delivery where tenant_id = $1"
_BODY = text_of(PAYLOAD_BYTES)
Quantiles = tuple[float, float, float]


async def run(effort: Effort) -> list[Row]:
    """Measure every rate, first without the dead endpoint, then beside it."""
    turns = max(3, effort.turns // 3)
    async with server({"max_wal_size": "4GB"}) as postgres, _world(postgres.dsn) as (opened, target):
        alone = {rate: [await _measure(opened, target, rate, effort) for _ in range(turns)] for rate in RATES}
        await _queue(opened[0])
        beside = {rate: [await _measure(opened, target, rate, effort) for _ in range(turns)] for rate in _BESIDE}
    rows = [row for rate, found in alone.items() for row in _rows_alone(rate, found)]
    return rows + [_row_beside(rate, found, alone[rate]) for rate, found in beside.items()]


@asynccontextmanager
async def _world(dsn: str) -> AsyncIterator[tuple[list[asyncpg.Connection], Receiver]]:
    async with receiver(is_encrypted=False) as target:
        urls = {f"bench-{n}": f"{target.url}/{n}" for n in range(TENANTS)}
        await add_endpoints(dsn, {**urls, _DEAD: f"{target.url}/dead"})
        async with posting(dsn, [target]), connections(dsn, _CONNECTIONS) as opened:
            await _emit_at(opened, 100, TENANTS)
            yield opened, target


async def _measure(opened: list[asyncpg.Connection], target: Receiver, rate: int, effort: Effort) -> Quantiles:
    await target.forget()
    count = int(rate * max(2.0, effort.seconds))
    await _emit_at(opened, rate, count)
    await target.begin_wait(count)
    await target.ended_at()
    await asyncio.sleep(0.2)
    return await target.quantiles_ms()


async def _emit_at(opened: list[asyncpg.Connection], rate: int, count: int) -> None:
    """Commit so many events at a rate: each connection those whose turn it is."""
    begun_at = time.perf_counter()

    async def commit(place: int, connection: asyncpg.Connection) -> None:
        prepared = await connection.prepare(_EMIT)
        for number in range(place, count, len(opened)):
            await asyncio.sleep(max(0.0, begun_at + number / rate - time.perf_counter()))
            await prepared.fetchval(f"bench-{number % TENANTS}", time.perf_counter(), _BODY)

    async with asyncio.TaskGroup() as group:
        for place, connection in enumerate(opened):
            group.create_task(commit(place, connection))


async def _queue(connection: asyncpg.Connection) -> None:
    """Owe the dead endpoint its messages, and wait until they are all in its queue."""
    await settled(connection)
    await connection.execute(_QUEUE, QUEUED, _DEAD)
    async with asyncio.timeout(60):
        while await connection.fetchval(_ROUTED, _DEAD) < QUEUED:  # noqa: ASYNC110 - a table tells nobody
            await asyncio.sleep(0.05)


def _rows_alone(rate: int, found: list[Quantiles]) -> list[Row]:
    what = f"{rate:,} events a second"
    return [
        Row(f"{what}: p50", [p50 for p50, _, _ in found], "ms"),
        Row(f"{what}: p95", [p95 for _, p95, _ in found], "ms", ceiling=RATES[rate]),
        Row(f"{what}: p99", [p99 for _, _, p99 in found], "ms"),
    ]


def _row_beside(rate: int, found: list[Quantiles], alone: list[Quantiles]) -> Row:
    without = [p95 for _, p95, _ in alone]
    return Row(
        f"{rate:,} events a second beside a dead one: p95",
        [p95 for _, p95, _ in found],
        "ms",
        "the same without it",
        without,
        ceiling=round(2 * sorted(without)[len(without) // 2], 1),
    )
