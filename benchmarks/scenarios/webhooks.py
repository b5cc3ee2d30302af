"""Webhooks: from an event in PostgreSQL to its 2xx recorded, against loops that post the same body and keep nothing.

Ours: events of 40 tenants with one endpoint each, committed in one transaction; a real `rowcast serve` with all its
roles routes them, claims, signs and posts them, and records each attempt. The clock runs from the commit until the last
result is in the database. The receiver is a process of its own, the same for everybody, on the same cores.
"""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import asyncpg

from benchmarks.children import Child
from benchmarks.crowds import cpu_s
from benchmarks.harness import Effort, Measure, Row, server, take_turns
from benchmarks.hooks import (
    AT_ONCE,
    ATTEMPTS,
    TENANTS,
    Node,
    Receiver,
    add_endpoints,
    poster,
    posting,
    receiver,
    settled,
)
from benchmarks.load import PAYLOAD_BYTES, connections, text_of

TITLE = "Webhooks: events in PostgreSQL posted, signed, and their 2xx recorded"
NOTE = (
    f"1 KiB each, kept connections. The loops make {AT_ONCE} posts at once; rowcast has up to {ATTEMPTS} attempts "
    "under way, of which most wait for the database. The libcurl loop is the ceiling: one thread that posts the same "
    "body to the same receiver and does nothing else. `server time` is the processor time of rowcast's process, or the "
    "loop's, for a thousand posts; PostgreSQL's is not in it."
)
PLAIN_FLOOR, TLS_FLOOR = 4_000.0, 3_000.0
EVENTS = 20_000
PEERS = {"curl_posts": "libcurl loop (ceiling)", "aiohttp_posts": "aiohttp loop, no database"}
_WAYS = {"plain": False, "TLS": True}
_FILL = """
insert into rowcast.event (id, tenant_id, aggregate_type, aggregate_id, event_type, occurred_at, payload)
select rowcast.uuid7(), $2 || '-' || (n % $3::integer), 'orders', (n % 1000)::text, 'orders.confirmed',
       clock_timestamp(), json_build_object('n', n, 'body', $4::text)
from generate_series(1, $1::integer) as n
"""
Costs = dict[str, list[float]]


@dataclass(frozen=True)
class Stage:
    """A running rowcast, a connection to its database, and who gets its posts."""

    running: Node
    connection: asyncpg.Connection
    target: Receiver


async def run(effort: Effort) -> list[Row]:
    """Post plain and encrypted, turn by turn with the loops."""
    count, turns = max(4_000, int(EVENTS * effort.scale)), max(3, effort.turns // 3)
    rows: list[Row] = []
    for way, is_encrypted in _WAYS.items():
        costs: Costs = {}
        async with server({"max_wal_size": "4GB"}) as postgres, receiver(is_encrypted=is_encrypted) as target:
            await add_endpoints(postgres.dsn, {f"bench-{n}": f"{target.url}/{n}" for n in range(TENANTS)})
            async with _measures(postgres.dsn, target, count, costs) as (measures, missing):
                taken = await take_turns(measures, turns)
        rows += _rows(way, taken, costs, missing)
    return rows


@asynccontextmanager
async def _measures(
    dsn: str, target: Receiver, count: int, costs: Costs
) -> AsyncIterator[tuple[dict[str, Measure], dict[str, str]]]:
    async with (
        connections(dsn, 1) as (connection,),
        posting(dsn, [target]) as running,
        poster("curl_posts", target, PAYLOAD_BYTES) as curl,
    ):
        stage = Stage(running, connection, target)
        await _ours(stage, AT_ONCE, [])
        measures: dict[str, Measure] = {
            "rowcast": partial(_ours, stage, count, costs.setdefault("rowcast", [])),
            "curl_posts": partial(_theirs, curl, count, costs.setdefault("curl_posts", [])),
        }
        try:
            async with poster("aiohttp_posts", target, PAYLOAD_BYTES) as aiohttp:
                measures["aiohttp_posts"] = partial(_theirs, aiohttp, count, costs.setdefault("aiohttp_posts", []))
                yield measures, {}
        except RuntimeError as error:
            if "aiohttp_posts" in measures:
                raise
            yield measures, {"aiohttp_posts": str(error)[-160:]}


async def _ours(stage: Stage, count: int, costs: list[float]) -> float:
    target, connection = stage.target, stage.connection
    await target.forget()
    before_s = cpu_s(stage.running.pid)
    async with connection.transaction():
        await connection.execute(_FILL, count, "bench", TENANTS, text_of(PAYLOAD_BYTES))
        begun_at = time.perf_counter()
    await target.begin_wait(count)
    await target.ended_at()
    await settled(connection)
    seconds = time.perf_counter() - begun_at
    costs.append((cpu_s(stage.running.pid) - before_s) / count * 1e6)
    return count / seconds


async def _theirs(peer: Child, count: int, costs: list[float]) -> float:
    await peer.say(str(count))
    seconds, cpu = (float(text) for text in (await peer.line()).split())
    costs.append(cpu / count * 1e6)
    return count / seconds


def _rows(way: str, taken: dict[str, list[float]], costs: Costs, missing: dict[str, str]) -> list[Row]:
    floor = TLS_FLOOR if way == "TLS" else PLAIN_FLOOR
    return [
        Row(f"event to 2xx recorded, {way}", taken["rowcast"], "/s", floor=floor),
        *(
            Row(
                f"event to 2xx recorded, {way}",
                taken["rowcast"],
                "/s",
                label,
                taken.get(name, ()),
                missing=missing.get(name, ""),
            )
            for name, label in PEERS.items()
        ),
        *(
            Row(
                f"server time of 1,000, {way}",
                costs["rowcast"],
                "ms",
                label,
                costs.get(name, ()),
                missing=missing.get(name, ""),
            )
            for name, label in PEERS.items()
        ),
    ]
