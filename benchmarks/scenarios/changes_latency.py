"""From the commit of a row to a client's callback, by Postgres changes, at 500 rows a second.

Ours: an insert into a table with row-level security, a real `rowcast serve`, and a client that speaks the stock
protocol over a real WebSocket. The baseline is the one of `latency`: NOTIFY and a listener.
"""

import asyncio
import json
import time
from typing import Any

from websockets.asyncio.client import connect as connect_socket

from benchmarks.harness import Effort, Row, server
from benchmarks.nodes import SECRET, node
from benchmarks.scenarios.latency import Stopwatch, bare, committing, measured
from rowcast.realtime.authorize import sign_token
from rowcast.store.pool import connect

TITLE = "Postgres changes: from sending the commit to a client's callback, 500 rows a second"
NOTE = (
    "`guarded`: a table with row-level security, asked about each row after its commit; `open`: a table without. The "
    "baseline is NOTIFY and an asyncpg listener; the commit itself (an fsync) is in all of them."
)
_TABLES = """
create table guarded (id bigint generated always as identity primary key, n int);
alter table guarded enable row level security;
create policy members on guarded for select to authenticated using (auth.jwt() ->> 'sub' = 'me');
create table open (id bigint generated always as identity primary key, n int);
grant select on guarded, open to authenticated;
alter publication supabase_realtime add table guarded, open;
"""
_TOPIC = "realtime:rows"


async def run(effort: Effort) -> list[Row]:
    """Take all in turn."""
    taken: dict[str, list[tuple[float, float]]] = {"guarded": [], "open": [], "bare": []}
    async with server() as postgres:
        session = await connect(postgres.dsn)
        await session.run_script(_TABLES)
        await session.close()
        async with node(postgres.dsn) as running:
            for _ in range(max(3, effort.turns // 2)):
                for table in ("guarded", "open"):
                    taken[table].append(await _ours(postgres.dsn, running.websocket_url, table, effort.seconds))
                taken["bare"].append(await bare(postgres.dsn, effort.seconds))
    return [
        Row(
            f"{table}: {name}",
            [each[place] for each in taken[table]],
            "ms",
            "NOTIFY + listener",
            [each[place] for each in taken["bare"]],
        )
        for table in ("guarded", "open")
        for place, name in enumerate(("p50", "p99"))
    ]


async def _ours(dsn: str, url: str, table: str, seconds: float) -> tuple[float, float]:
    watch = Stopwatch()
    claims = {"role": "authenticated", "tenant_id": "acme", "sub": "me", "exp": int(time.time()) + 3600}
    token = sign_token(claims, SECRET)
    binding = {"event": "INSERT", "schema": "public", "table": table}
    join = {"config": {"postgres_changes": [binding]}, "access_token": token}
    insert = f"insert into {table} (n) values ($1)"
    async with (
        committing(dsn, insert) as commit,
        connect_socket(f"{url}/websocket?apikey={token}&vsn=1.0.0") as socket,
    ):
        push = {"topic": _TOPIC, "event": "phx_join", "ref": "1", "join_ref": "1", "payload": join}
        await socket.send(json.dumps(push))
        async with asyncio.timeout(30):
            while not _is_live(json.loads(await socket.recv())):
                pass

        async def listen() -> None:
            async for text in socket:
                frame: dict[str, Any] = json.loads(text)
                if frame["event"] == "postgres_changes":
                    watch.arrive(frame["payload"]["data"]["record"]["n"])

        return await measured(watch, commit, seconds, listen)


def _is_live(frame: dict[str, Any]) -> bool:
    return bool(frame["event"] == "system" and frame["payload"].get("extension") == "postgres_changes")
