"""A connection of the replication protocol: how it is opened, how it makes a slot, and how it becomes a stream."""

import asyncio
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from rowcast.capture.replication import ReplicationStream
from rowcast.capture.replication_failures import Explained
from rowcast.core.clock import Clock

PUBLICATION = "rowcast_events"
_SLOTS_FOLLOW_A_FAILOVER = 170_000
_CREATE = sql.SQL("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput (SNAPSHOT 'nothing')")
_CREATE_FOR_FAILOVER = sql.SQL("CREATE_REPLICATION_SLOT {} LOGICAL pgoutput (SNAPSHOT 'nothing', FAILOVER true)")
_START = sql.SQL("START_REPLICATION SLOT {} LOGICAL 0/0 (proto_version '1', publication_names {})")
_CREATE_TIMEOUT_S = 600.0


async def create_slot(dsn: str, slot: str, *, lease_s: float, timeout_s: float) -> None:
    """Make a logical slot. It waits for the transactions that write now to end, at most ten minutes.

    Raises:
        StoreUnavailableError: `store.unavailable`.
        ConfigError: `config.replication_role` or `config.replication_slots`.
    """
    connection = await _connect(dsn, lease_s=lease_s, timeout_s=timeout_s)
    try:
        is_followed = connection.info.server_version >= _SLOTS_FOLLOW_A_FAILOVER
        command = (_CREATE_FOR_FAILOVER if is_followed else _CREATE).format(sql.Identifier(slot))
        with Explained():
            async with asyncio.timeout(_CREATE_TIMEOUT_S):
                await connection.execute(command)
    finally:
        await connection.close()


async def start_stream(dsn: str, slot: str, *, lease_s: float, timeout_s: float, clock: Clock) -> ReplicationStream:
    """Stream a slot from where it was left. The server ends the stream when it hears nothing for `lease_s`.

    Raises:
        StoreUnavailableError: `store.slot_busy`, when another process has the slot; `store.unavailable`.
        ConfigError: `config.replication_role`.
    """
    connection = await _connect(dsn, lease_s=lease_s, timeout_s=timeout_s)
    try:
        with Explained():
            async with asyncio.timeout(timeout_s):
                await connection.execute(_START.format(sql.Identifier(slot), sql.Literal(PUBLICATION)))
    except BaseException:
        await connection.close()
        raise
    return ReplicationStream(connection, clock=clock)


async def _connect(dsn: str, *, lease_s: float, timeout_s: float) -> psycopg.AsyncConnection[Any]:
    lease_ms, lease_whole_s = int(lease_s * 1000), max(1, int(lease_s))
    given: dict[str, Any] = dict(conninfo_to_dict(dsn))
    # No tcp_user_timeout: it would also end a stream that we let wait on purpose while a batch is worked on.
    options = f"{given.pop('options', '')} -c wal_sender_timeout={lease_ms}"
    with Explained():
        async with asyncio.timeout(timeout_s):
            return await psycopg.AsyncConnection.connect(
                **{**given, "options": options.strip(), "application_name": "rowcast wal feed"},
                replication="database",
                autocommit=True,
                keepalives_idle=lease_whole_s,
                keepalives_interval=lease_whole_s,
                keepalives_count=2,
            )
