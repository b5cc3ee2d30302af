"""Draining a backlog: each event is routed through 20 rules, gets one delivery, and is marked published.

The events lie there before anybody reads (1 KiB each, ten a transaction). Our clock runs from the first state to
the last, of real `rowcast serve` processes with the role relay alone. The peers are job queues on the same server,
drained by one worker each whose jobs do nothing, in batches of 500: they claim and complete a row, and route
nothing. Their clocks run from the start of the worker.
"""

import asyncio
import json
import time
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import asyncpg

from benchmarks.children import child, python_peer
from benchmarks.harness import Effort, Measure, Row, database, server, take_turns
from benchmarks.load import PAYLOAD_BYTES, connections, text_of
from benchmarks.nodes import node
from benchmarks.shop import FILL, RULES
from rowcast.server.embedded import EmbeddedPostgres

TITLE = f"Draining a backlog: route through {RULES} rules, add one delivery each, mark published"
WAL_FLOOR, CLAIM_FLOOR = 20_000.0, 12_000.0
EVENTS = 100_000
_A_TRANSACTION = 10
_JS = Path(__file__).parents[1] / "js"
_BODY = text_of(PAYLOAD_BYTES)
_SETTINGS = {"packs": "benchmarks.shop:pack", "server__roles": "relay"}
_SHARED_OUT_S = 3.0
"""After this long every process has its share of the shards."""
_PEERS = {"graphile": "graphile-worker, batched: claim + complete", "pgqueuer": "pgqueuer: claim + complete"}
_ADDED = "select case when is_called then last_value else 0 end from rowcast.delivery_id_seq"
_PUBLISHED = "select count(*) from rowcast.event_state where status = 'published'"


async def run(effort: Effort) -> list[Row]:
    """Drain with both feeds and both peers, turn by turn."""
    count, turns = max(20_000, int(EVENTS * effort.scale)), max(3, effort.turns // 3)
    async with server({"max_wal_size": "4GB"}) as postgres:
        measures: dict[str, Measure] = {
            "wal": partial(_measure_wal, postgres, count),
            "claim": partial(_measure_claim, postgres, count, processes=2),
        }
        peers = {
            "graphile": partial(_peer, postgres, count, "node", str(_JS / "graphile.mjs")),
            "pgqueuer": partial(_peer, postgres, count, *python_peer("pgqueuer_drain")),
        }
        missing = {name: why for name, measure in peers.items() if (why := await _why_missing(measure))}
        measures |= {name: measure for name, measure in peers.items() if name not in missing}
        taken = await take_turns(measures, turns)
    return [
        Row(f"WAL feed, 1 process, {count:,} events", taken["wal"], "/s", floor=WAL_FLOOR),
        Row(f"claim feed, 2 processes, {count:,} events", taken["claim"], "/s", floor=CLAIM_FLOOR),
        *(
            Row("WAL feed", taken["wal"], "/s", label, taken.get(name, ()), missing=missing.get(name, ""))
            for name, label in _PEERS.items()
        ),
    ]


async def _measure_wal(postgres: EmbeddedPostgres, count: int) -> float:
    settings = {**_SETTINGS, "relay__feed": "wal"}
    async with database(postgres, "drained") as dsn, connections(dsn, 1) as (connection,):
        await _make_slot(connection, dsn, settings)
        await _fill(connection, count)
        await connection.execute("vacuum analyze rowcast.event")
        await connection.execute("checkpoint")
        async with asyncio.TaskGroup() as group, node(dsn, is_up="feed.opened", **settings):
            watching = group.create_task(_watch(connection, count))
            await watching
        return watching.result()


async def _measure_claim(postgres: EmbeddedPostgres, count: int, *, processes: int) -> float:
    """All processes run and have their share of the shards when the events are committed, all in one transaction."""
    settings = {**_SETTINGS, "relay__feed": "claim"}
    async with (
        database(postgres, "drained") as dsn,
        connections(dsn, 2) as (connection, filler),
        AsyncExitStack() as stack,
    ):
        for _ in range(processes):
            await stack.enter_async_context(node(dsn, is_up="feed.opened", **settings))
        await asyncio.sleep(_SHARED_OUT_S)
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(_watch(connection, count))
            async with filler.transaction():
                await _fill(filler, count)
        return watching.result()


async def _make_slot(connection: asyncpg.Connection, dsn: str, settings: dict[str, str]) -> None:
    """Let a server make its slot and go, so that what is written from now on lies in the log."""
    async with node(dsn, is_up="feed.opened", **settings), asyncio.timeout(60):
        made = "select exists (select 1 from pg_replication_slots where database = current_database() and active)"
        while not await connection.fetchval(made):  # noqa: ASYNC110 - a table tells nobody
            await asyncio.sleep(0.05)


async def _fill(connection: asyncpg.Connection, count: int) -> None:
    await connection.execute("set synchronous_commit = off")
    fill = await connection.prepare(FILL)
    for _ in range(count // _A_TRANSACTION):
        await fill.fetch(_A_TRANSACTION, RULES, _BODY)


async def _watch(connection: asyncpg.Connection, count: int) -> float:
    """Give the events per second from the first batch on."""
    first, begun_at = 0, 0.0
    async with asyncio.timeout(300):
        while (added := await connection.fetchval(_ADDED)) < count:
            if not first:
                first, begun_at = added, time.perf_counter()
            await asyncio.sleep(0.01)
        while await connection.fetchval(_PUBLISHED) < count:  # noqa: ASYNC110 - a table tells nobody
            await asyncio.sleep(0.01)
    return (count - first) / (time.perf_counter() - begun_at)


async def _peer(postgres: EmbeddedPostgres, count: int, *command: str) -> float:
    async with database(postgres, "peer") as dsn, child(*command, dsn, str(count), str(PAYLOAD_BYTES)) as peer:
        assert await peer.line() == "ready"
        await peer.go()
        return count / float(json.loads(await peer.line())["seconds"])


async def _why_missing(measure: Measure) -> str:
    """Try a peer once, with all that it needs; give why it does not run."""
    try:
        await measure()
    except (OSError, RuntimeError, TimeoutError) as error:
        return " ".join(str(error).split())[-160:] or type(error).__name__
    return ""
