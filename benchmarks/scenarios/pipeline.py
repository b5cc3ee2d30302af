"""The whole pipeline keeping up: what an application's transactions keep while everything it emits is also worked off.

A real `rowcast serve` with all roles reads the events, routes each through 20 rules, records its state, and adds a
delivery (a job that does nothing) for one event in four, which it claims under a lease, runs and settles. Its rate
counts from the first transaction until the last delivery is settled: a pipeline that falls behind shows it here.
The bare insert runs without that server, so that nobody decodes its log. The second peer is an outbox as people
write it by hand, with NOTIFY in each transaction and a loop that claims and marks; it routes nothing and delivers
nothing.
"""

import asyncio
import itertools
import time
from functools import partial

import asyncpg

from benchmarks.children import child, python_peer
from benchmarks.harness import Effort, Row, server, take_turns
from benchmarks.load import CONNECTIONS, Work, connections, throughput
from benchmarks.nodes import node
from benchmarks.scenarios.commit_path import BODY, CATALOGUE, EMPTY, PLAIN_EVENT, ROW, TENANT, bare, prepare
from benchmarks.shop import RULES
from rowcast import Event, emit

TITLE = "Pipeline: what the caller's transaction keeps while all its events are routed and delivered"
FLOOR = 0.50
_KINDS = 4 * RULES  # one event in four has a kind that a rule asks for
_LEFT = """
select exists (select 1 from rowcast.event e left join rowcast.event_state s on s.event_id = e.id
               where s.event_id is null)
    or exists (select 1 from rowcast.delivery where status in ('waiting', 'running'))
"""
_PLAIN_LEFT = "select exists (select 1 from plain_outbox where published_at is null)"
_EMPTY_ALL = f"{EMPTY}, rowcast.event_state, rowcast.delivery, rowcast.attempt"


class OrderChanged(Event, type="orders.changed", key="id", catalogue=CATALOGUE):
    """What the producers emit; `kind` decides which rule fits."""

    id: str
    kind: int
    body: str


async def run(effort: Effort) -> list[Row]:
    """Measure producers with nothing behind them, with rowcast, and with the outbox written by hand."""
    seconds = effort.seconds * 1.5
    turns = max(3, effort.turns // 2)
    async with server() as postgres:
        dsn = postgres.dsn
        await prepare(dsn)
        measures = {
            "bare": partial(_measure_bare, dsn, seconds),
            **{feed: partial(_measure_pipeline, dsn, seconds, feed) for feed in ("wal", "claim")},
            "plain": partial(_measure_plain, dsn, seconds),
        }
        taken = await take_turns(measures, turns)
    base = f"bare insert, {CONNECTIONS} connections"
    hand = "outbox + NOTIFY + claim by hand"
    return [
        Row("pipeline, WAL feed", taken["wal"], "tx/s", base, taken["bare"], FLOOR),
        Row("pipeline, claim feed", taken["claim"], "tx/s", base, taken["bare"]),
        Row("pipeline, WAL feed", taken["wal"], "tx/s", hand, taken["plain"], 1.0),
        Row(f"for comparison: {hand}", taken["plain"], "tx/s", base, taken["bare"]),
    ]


async def _measure_bare(dsn: str, seconds: float) -> float:
    async with connections(dsn) as opened:
        await opened[0].execute(_EMPTY_ALL)
        return await throughput(opened, bare, seconds=seconds)


async def _measure_pipeline(dsn: str, seconds: float, feed: str) -> float:
    async with connections(dsn) as opened, node(dsn, packs="benchmarks.shop:pack", relay__feed=feed):
        await opened[0].execute(_EMPTY_ALL)
        await opened[0].execute("select rowcast.emit('acme', 'orders.changed', '{\"kind\": 1}')")
        await _until_done(opened[0], _LEFT)
        return await _kept_up(opened, _producer(), seconds, _LEFT)


async def _measure_plain(dsn: str, seconds: float) -> float:
    async with connections(dsn) as opened, child(*python_peer("plain_claim", dsn)) as peer:
        await opened[0].execute(_EMPTY_ALL)
        await peer.line()
        return await _kept_up(opened, _plain, seconds, _PLAIN_LEFT)


def _producer() -> Work:
    numbers = itertools.count()

    async def produce(connection: asyncpg.Connection) -> None:
        number = next(numbers)
        event = OrderChanged(id=f"o{number % 1000}", kind=number % _KINDS, body=BODY)
        async with connection.transaction():
            await connection.execute(ROW, TENANT, BODY)
            await emit(connection, event, tenant_id=TENANT, catalogue=CATALOGUE)

    return produce


async def _plain(connection: asyncpg.Connection) -> None:
    async with connection.transaction():
        await connection.execute(ROW, TENANT, BODY)
        await connection.execute(PLAIN_EVENT, TENANT, f'{{"id": "o1", "body": "{BODY}"}}')
        await connection.execute("notify plain_outbox")


async def _kept_up(opened: list[asyncpg.Connection], work: Work, seconds: float, left: str) -> float:
    """Give the transactions per second from the first one until the last event has been worked off."""
    begun_at = time.perf_counter()
    done = await throughput(opened, work, seconds=seconds, warm_up_s=0.0) * seconds
    await _until_done(opened[0], left)
    return done / (time.perf_counter() - begun_at)


async def _until_done(connection: asyncpg.Connection, left: str) -> None:
    async with asyncio.timeout(120):
        while await connection.fetchval(left):  # noqa: ASYNC110 - a table tells nobody
            await asyncio.sleep(0.02)
