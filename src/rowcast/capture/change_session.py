"""The connection that streams row changes: it makes a temporary slot and reads it. The end of one ends the other.

A temporary slot holds back no log when nobody reads it. Its name holds the number of the database, so it is also the
lock that decides which node reads.
"""

import asyncio
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from rowcast.capture.replication import ReplicationStream
from rowcast.capture.replication_failures import Explained
from rowcast.core.clock import Clock
from rowcast.core.errors import StoreUnavailableError

CHANGES_PUBLICATION = "supabase_realtime"
"""What applications add their tables to; the name is the one that Supabase uses."""

_CREATE = sql.SQL("CREATE_REPLICATION_SLOT {} TEMPORARY LOGICAL pgoutput (SNAPSHOT 'nothing')")
_START = sql.SQL("START_REPLICATION SLOT {} LOGICAL 0/0 (proto_version '1', publication_names {})")
_CREATE_TIMEOUT_S = 60.0
# What a value's text looks like depends on the session; these are what `to_jsonb` of the stock server gives.
_FORMATS = "-c datestyle=ISO,YMD -c timezone=UTC -c intervalstyle=postgres -c extra_float_digits=1 -c bytea_output=hex"


async def start_change_stream(
    dsn: str, slot: str, *, lease_s: float, timeout_s: float, clock: Clock
) -> ReplicationStream:
    """Make the slot and stream it. It waits for the transactions that write now to end, at most a minute.

    Raises:
        StoreUnavailableError: `store.slot_busy`, when another node reads; `store.unavailable`.
        ConfigError: `config.replication_role` or `config.replication_slots`.
    """
    connection = await _connect(dsn, lease_s=lease_s, timeout_s=timeout_s)
    try:
        with Explained():
            async with asyncio.timeout(_CREATE_TIMEOUT_S):
                await _start(connection, slot)
    except BaseException:
        await connection.close()
        raise
    return ReplicationStream(connection, clock=clock)


async def _start(connection: psycopg.AsyncConnection[Any], slot: str) -> None:
    try:
        await connection.execute(_CREATE.format(sql.Identifier(slot)))
    except psycopg.errors.DuplicateObject as error:
        raise StoreUnavailableError(
            "Another process reads the changed rows; this one hears of them from it.", code="store.slot_busy"
        ) from error
    await connection.execute(_START.format(sql.Identifier(slot), sql.Literal(CHANGES_PUBLICATION)))


async def _connect(dsn: str, *, lease_s: float, timeout_s: float) -> psycopg.AsyncConnection[Any]:
    lease_ms, lease_whole_s = int(lease_s * 1000), max(1, int(lease_s))
    given: dict[str, Any] = dict(conninfo_to_dict(dsn))
    options = f"{given.pop('options', '')} {_FORMATS} -c wal_sender_timeout={lease_ms}"
    with Explained():
        async with asyncio.timeout(timeout_s):
            return await psycopg.AsyncConnection.connect(
                **{
                    **given,
                    "options": options.strip(),
                    "application_name": "rowcast changes",
                    "client_encoding": "utf8",
                },
                replication="database",
                autocommit=True,
                keepalives_idle=lease_whole_s,
                keepalives_interval=lease_whole_s,
                keepalives_count=2,
            )
