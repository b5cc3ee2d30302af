"""What an event costs the application: the throughput of its own transactions, with and without rowcast, no consumer.

The baseline is begin, one insert of a business row of 1 KiB, commit; 8 connections; default durability. Beside it
the same with `emit` of a payload of 1 KiB, with a watch on the table, and with the plain outbox table that people
write by hand. Once from Python (asyncpg), where one more statement is one more round trip of the client, and once
from pgbench, whose client costs next to nothing.
"""

import asyncio
import re
import statistics
import tempfile
from collections.abc import Mapping
from functools import partial

import asyncpg

from benchmarks.harness import Effort, Row, server, take_turns
from benchmarks.load import CONNECTIONS, PAYLOAD_BYTES, connections, cpu_s, text_of, throughput
from rowcast import Event, emit
from rowcast.capture.table import describe_table
from rowcast.capture.triggers import watch_sql
from rowcast.capture.watch import Watch
from rowcast.core.event_types import EventTypes
from rowcast.server.embedded_programs import find_programs
from rowcast.store.pool import connect

TITLE = "Commit path: what the caller's transaction keeps, no consumer"
FLOOR = 0.70
_FINER = 5
"""Turns are that much shorter and more: the machine's other work then hits neighbours alike."""
TENANT = "acme"
BODY = text_of(PAYLOAD_BYTES - 24)
CATALOGUE = EventTypes()
TABLES = """
create table shop_bare (
    id bigint generated always as identity primary key, tenant_id text not null, body text not null);
create table shop_watched (like shop_bare including all);
create table plain_outbox (id bigint generated always as identity primary key, tenant_id text not null,
    event_type text not null, payload jsonb not null,
    created_at timestamptz not null default now(), published_at timestamptz);
create index on plain_outbox (id) where published_at is null;
"""
EMPTY = "truncate shop_bare, shop_watched, plain_outbox, rowcast.event"
ROW = "insert into shop_bare (tenant_id, body) values ($1, $2)"
WATCHED_ROW = "insert into shop_watched (tenant_id, body) values ($1, $2)"
PLAIN_EVENT = "insert into plain_outbox (tenant_id, event_type, payload) values ($1, 'orders.confirmed', $2)"


class OrderConfirmed(Event, type="orders.confirmed", key="id", catalogue=CATALOGUE):
    """What the benchmark emits."""

    id: str
    body: str


EVENT = OrderConfirmed(id="o1", body=BODY)
PAYLOAD = f'{{"id": "o1", "body": "{BODY}"}}'


async def run(effort: Effort) -> list[Row]:
    """Measure both clients."""
    async with server() as postgres:
        await prepare(postgres.dsn)
        return [*await _asyncpg_rows(postgres.dsn, effort), *await _pgbench_rows(postgres.dsn, effort)]


async def prepare(dsn: str) -> None:
    """Make the tables and the watch."""
    connection = await connect(dsn)
    await connection.run_script(TABLES)
    watch = Watch(table="shop_watched", topic="orders:{tenant_id}", columns=("id", "tenant_id", "body"))
    await connection.run_script(watch_sql(watch, await describe_table(connection, "public", "shop_watched")))
    await connection.close()


async def bare(connection: asyncpg.Connection) -> None:
    """The application's own transaction."""
    async with connection.transaction():
        await connection.execute(ROW, TENANT, BODY)


async def emitting(connection: asyncpg.Connection) -> None:
    """The same with an event."""
    async with connection.transaction():
        await connection.execute(ROW, TENANT, BODY)
        await emit(connection, EVENT, tenant_id=TENANT, catalogue=CATALOGUE)


async def watched(connection: asyncpg.Connection) -> None:
    """The same on a watched table."""
    async with connection.transaction():
        await connection.execute(WATCHED_ROW, TENANT, BODY)


async def plain(connection: asyncpg.Connection) -> None:
    """The same with a row in a table that has no rules at all."""
    async with connection.transaction():
        await connection.execute(ROW, TENANT, BODY)
        await connection.execute(PLAIN_EVENT, TENANT, PAYLOAD)


async def _asyncpg_rows(dsn: str, effort: Effort) -> list[Row]:
    works = {"bare": bare, "emit": emitting, "watched": watched, "plain": plain}
    cost: dict[str, list[float]] = {name: [] for name in works}

    async with connections(dsn, CONNECTIONS) as opened:
        backends = [connection.get_server_pid() for connection in opened]

        async def measure(name: str) -> float:
            before = cpu_s(backends)
            rate = await throughput(opened, works[name], seconds=effort.seconds / _FINER, warm_up_s=0.0)
            cost[name].append((cpu_s(backends) - before) / (rate * effort.seconds / _FINER) * 1e6)
            return rate

        await opened[0].execute(EMPTY)
        await throughput(opened, bare, seconds=0.5)
        turns = await take_turns({name: partial(measure, name) for name in works}, effort.turns * _FINER)
    return [*_rows(turns, "asyncpg"), *_cost_rows(cost)]


def _cost_rows(cost: dict[str, list[float]]) -> list[Row]:
    """What the statement costs the server's processor, which other work on the machine does not change."""
    plain_us = _added(cost, "plain")
    against = "a plain outbox row adds"
    return [
        Row("server CPU that `emit` adds to a transaction", _added(cost, "emit"), "µs", against, plain_us),
        Row("server CPU that a watch adds to a transaction", _added(cost, "watched"), "µs", against, plain_us),
    ]


def _added(cost: dict[str, list[float]], name: str) -> list[float]:
    return [statistics.median(cost[name]) - statistics.median(cost["bare"])]


_SCRIPTS = {
    "bare": "begin;\ninsert into shop_bare (tenant_id, body) values ('acme', :body);\ncommit;\n",
    "emit": "begin;\ninsert into shop_bare (tenant_id, body) values ('acme', :body);\n"
    "select rowcast.emit('acme', 'orders.confirmed', :payload);\ncommit;\n",
    "watched": "begin;\ninsert into shop_watched (tenant_id, body) values ('acme', :body);\ncommit;\n",
    "plain": "begin;\ninsert into shop_bare (tenant_id, body) values ('acme', :body);\n"
    "insert into plain_outbox (tenant_id, event_type, payload) values ('acme', 'orders.confirmed', :payload);\n"
    "commit;\n",
}


async def _pgbench_rows(dsn: str, effort: Effort) -> list[Row]:
    async def measure(name: str) -> float:
        return await pgbench(dsn, _SCRIPTS[name], seconds=1.0)

    async with connections(dsn, 1) as opened:
        await opened[0].execute(EMPTY)
    turns = round(effort.turns * effort.seconds)
    return _rows(await take_turns({name: partial(measure, name) for name in _SCRIPTS}, turns), "pgbench")


async def pgbench(dsn: str, script: str, *, seconds: float, values: Mapping[str, str] | None = None) -> float:
    """Give the transactions per second that pgbench reports for a script."""
    given = {"body": BODY, "payload": PAYLOAD, **(values or {})}
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        command = [str(find_programs(None).path("pgbench")), "-n", "-M", "prepared", "-c", str(CONNECTIONS), "-j", "1"]
        command += ["-T", str(max(1, round(seconds))), "-f", file.name]
        command += [word for name, value in given.items() for word in ("-D", f"{name}={value}")]
        process = await asyncio.create_subprocess_exec(
            *command, dsn, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        printed, complaint = await process.communicate()
    found = re.search(rb"tps = ([0-9.]+)", printed)
    if found is None:
        raise RuntimeError(complaint.decode())
    return float(found[1])


def _rows(turns: Mapping[str, list[float]], client: str) -> list[Row]:
    base = f"bare insert, {CONNECTIONS} connections ({client})"
    return [
        Row(f"insert + `emit` ({client})", turns["emit"], "tx/s", base, turns["bare"], FLOOR),
        Row(f"insert, watched table ({client})", turns["watched"], "tx/s", base, turns["bare"], FLOOR),
        Row(f"for comparison: insert + plain outbox row ({client})", turns["plain"], "tx/s", base, turns["bare"]),
    ]
