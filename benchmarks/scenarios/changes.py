"""Postgres changes: rows a second from the log to a thousand subscriptions, beside reading the same log to nowhere.

One transaction inserts the rows while both readers stand still; then each reads it, in turn. Ours decodes every row,
finds the subscriptions whose filter it passes among 1,000 (each waits for another value), asks row-level security once
for each piece of rows, writes the JSON and hands it over. The baseline is `pg_recvlogical` with the same plug-in, to
/dev/null: the server's part of the work, and nothing else.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from benchmarks.harness import Effort, Row, server, take_turns
from rowcast.bus.memory import MemoryBus
from rowcast.capture.change_feed import ChangeFeed
from rowcast.core.clock import SystemClock
from rowcast.core.row_change import RowChanges
from rowcast.realtime.authorize import Claims
from rowcast.realtime.change_source import Binding
from rowcast.realtime.changes import Changes
from rowcast.server.embedded_programs import find_programs
from rowcast.store.pool import Connection, connect, open_database

TITLE = "Postgres changes: rows a second to 1,000 subscriptions of one claim set"
NOTE = (
    "Each row concerns one of 1,000 subscriptions. `guarded`: a table with row-level security, asked once for each "
    "piece of 512 rows; `open`: a table without. The baseline writes the raw stream to /dev/null."
)
SUBSCRIPTIONS = 1000
FLOORS = {"open": 0.4, "guarded": 0.3}
ROWS_FLOOR = 30_000.0
_ROWS = 50_000
_TABLES = """
create table guarded (id bigint primary key, room int, status text, total numeric, at timestamptz default now());
alter table guarded enable row level security;
create policy members on guarded for select to authenticated using (auth.jwt() ->> 'sub' = 'me');
create table open (id bigint primary key, room int, status text, total numeric, at timestamptz default now());
grant select on guarded, open to anon, authenticated, service_role;
alter publication supabase_realtime add table guarded, open;
"""
_INSERT = """
insert into {} (id, room, status, total) select {} + n, n % 1000, 'confirmed', n / 100.0 from generate_series(1, {}) n
"""


class Gate:
    """Stands before the subscriptions, so that a transaction can be written while nobody reads."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self.is_open = asyncio.Event()
        self.is_open.set()
        self.rows = 0

    async def hear_changes(self, changes: RowChanges) -> None:
        await self.is_open.wait()
        await self._changes.hear_changes(changes)
        self.rows += len(changes.rows)

    def hear_gap(self, reason: str) -> None:
        raise SystemExit(f"a gap: {reason}")

    def hear_live(self) -> None:
        self._changes.hear_live()


class Receiver:
    """Counts what it hears, as a socket's queue would take it."""

    def __init__(self) -> None:
        self.heard = 0

    def hear_change(self, ids: tuple[int, ...], data: bytes) -> None:
        self.heard += 1

    def hear_changes_system(self, status: str, text: str) -> None:
        if status != "ok":
            raise SystemExit(text)


@dataclass
class Bench:
    """What the measures share."""

    dsn: str
    session: Connection
    gate: Gate
    changes: Changes
    rows: int
    inserted: int = 0

    async def insert(self, table: str) -> None:
        await self.session.run_script(_INSERT.format(table, self.inserted, self.rows))
        self.inserted += self.rows

    async def ours(self, table: str) -> float:
        """Give rows a second to subscriptions on one table."""
        rooms = [f"room=eq.{number}" for number in range(SUBSCRIPTIONS)]
        return await self.told(table, [await self.subscribe(table, room, "me") for room in rooms], self.rows)

    async def told(self, table: str, receivers: list[Receiver], heard: int) -> float:
        """Give rows a second of one transaction to receivers who must hear so much of it together."""
        await self._warm(table)
        before = sum(receiver.heard for receiver in receivers)
        self.gate.is_open.clear()
        await self.insert(table)
        want = self.gate.rows + self.rows
        begun_at = time.perf_counter()
        self.gate.is_open.set()
        async with asyncio.timeout(60):
            while self.gate.rows < want:  # noqa: ASYNC110 - rows are only counted
                await asyncio.sleep(0.002)
        took_s = time.perf_counter() - begun_at
        if (found := sum(receiver.heard for receiver in receivers) - before) != heard:
            raise SystemExit(f"{found} of {heard} rows were heard")
        for receiver in receivers:
            self.changes.unsubscribe(receiver)
        return self.rows / took_s

    async def bare(self) -> float:
        """Give rows a second of `pg_recvlogical` to /dev/null."""
        await self.session.run_script("select pg_replication_slot_advance('bare', pg_current_wal_lsn())")
        await self.insert("open")
        end = await self.session.driver.fetchval("select pg_current_wal_lsn()::text")
        words = ["--slot", "bare", "--start", "--endpos", end, "--no-loop", "-f", "/dev/null", "-F", "0"]
        options = ["-o", "proto_version=1", "-o", "publication_names=supabase_realtime"]
        begun_at = time.perf_counter()
        process = await asyncio.create_subprocess_exec(
            find_programs().path("pg_recvlogical"), "-d", self.dsn, *words, *options, stderr=asyncio.subprocess.DEVNULL
        )
        async with asyncio.timeout(60):
            await process.wait()
        return self.rows / (time.perf_counter() - begun_at)

    async def _warm(self, table: str) -> None:
        """Let the table be known: one row that concerns nobody."""
        want = self.gate.rows + 1
        await self.session.run_script(f"insert into {table} (id, room) values (-{self.inserted + 1}, -1)")
        async with asyncio.timeout(30):
            while self.gate.rows < want:  # noqa: ASYNC110 - rows are only counted
                await asyncio.sleep(0.002)

    async def subscribe(self, table: str, wanted: str | None, who: str) -> Receiver:
        """Subscribe somebody to what passes a filter, or to everything."""
        receiver = Receiver()
        claims = Claims("authenticated", 2**31, None, json.dumps({"role": "authenticated", "sub": who}).encode())
        await self.changes.subscribe(receiver, [Binding(1, "*", "public", table, wanted, None)], claims)
        return receiver


async def run(effort: Effort) -> list[Row]:
    """Read the same kind of transaction in turn."""
    async with server() as postgres, opened(postgres.dsn, int(_ROWS * max(effort.scale, 0.4))) as bench:
        taken = await take_turns(
            {"guarded": lambda: bench.ours("guarded"), "open": lambda: bench.ours("open"), "bare": bench.bare},
            max(3, effort.turns // 2),
        )
    against = "pg_recvlogical to /dev/null"
    return [
        row
        for name, floor in FLOORS.items()
        for row in (
            Row(f"{name} table: decoded, filtered, told", taken[name], "rows/s", against, taken["bare"], floor=floor),
            Row(f"{name} table", taken[name], "rows/s", floor=ROWS_FLOOR),
        )
    ]


@asynccontextmanager
async def opened(dsn: str, rows: int) -> AsyncIterator[Bench]:
    """Give tables, a feed and subscriptions without anybody, for a block."""
    session = await connect(dsn, timeout_s=120)
    await session.run_script(_TABLES)
    await session.run_script("select pg_create_logical_replication_slot('bare', 'pgoutput')")
    async with open_database(dsn) as database, asyncio.TaskGroup() as group:
        feed = ChangeFeed(dsn=dsn, database=database, bus=MemoryBus(), node="bench", clock=SystemClock())
        changes = Changes(database=database, feed=feed, clock=SystemClock())
        gate = Gate(changes)
        task = group.create_task(feed.run(gate))
        try:
            yield Bench(dsn, session, gate, changes, rows)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await session.close()
