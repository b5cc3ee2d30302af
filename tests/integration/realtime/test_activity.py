"""Real sockets drive the record: joins, leaves, refusals, heartbeats and messages of one server."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import psycopg

from rowcast.core.clock import SystemClock
from rowcast.realtime.audit_writer import ActivityWriter
from rowcast.realtime.subscriptions_table import SubscriptionTable, User
from rowcast.store.pool import Database
from tests.protocol.raw_socket import raw_socket
from tests.protocol.socket_server import SocketServer, serving, token

TOPIC = "realtime:room"


@asynccontextmanager
async def recording(database: Database) -> AsyncIterator[tuple[SocketServer, ActivityWriter]]:
    """Serve sockets whose doings are kept."""
    writer = ActivityWriter(database=database, clock=SystemClock())
    async with serving() as server:
        server.hub.activity = writer
        yield server, writer


def ask(dsn: str, text: str) -> Sequence[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(text).fetchall()  # type: ignore[call-overload]


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


async def test_a_socket_that_joins_leaves_and_goes_is_in_the_record(database: Database, dsn: str) -> None:
    async with recording(database) as (server, writer):
        async with raw_socket(server.port, token()) as client:
            await client.join("room", private=True)
            await client.join("hall", ref="2")
            await writer.write()
            now = ask(dsn, "select topic, active from rowcast.realtime_subscriptions order by topic")
            await client.say("1", "3", TOPIC, "phx_leave", {})
            await client.hear()
        await server.until(lambda hub: hub.connections == 0)
        await writer.write()

    assert now == [("hall", True), ("room", True)]
    assert ask(dsn, "select count(*) from rowcast.realtime_subscriptions where active") == [(0,)]
    assert ask(dsn, "select event_type, topic, payload->>'reason' from rowcast.realtime_activity_logs order by id") == [
        ("join", "room", None), ("join", "hall", None), ("leave", "room", "leave"), ("leave", "hall", "disconnect"),
    ]  # fmt: skip


async def test_two_sockets_of_one_user_are_two_connections(database: Database) -> None:
    async with (
        recording(database) as (server, writer),
        raw_socket(server.port, token(sub="ada")) as one,
        raw_socket(server.port, token(sub="ada")) as two,
    ):
        await one.join("room", private=True)
        await two.join("room", private=True)
        await writer.write()
        status = await SubscriptionTable(database=database).status(User("acme", "ada"))

    assert (status.connected, status.active_connections, status.active_channels) == (True, 2, 2)


async def test_a_refused_join_is_in_the_record_with_its_reason_once(database: Database, dsn: str) -> None:
    async with recording(database) as (server, writer), raw_socket(server.port, token()) as client:
        for ref in "123":
            await client.join("tenant:globex", ref=ref, private=True)
        await writer.write()

    ((event_type, topic, reason, times),) = ask(
        dsn, "select event_type, topic, payload->>'reason', payload->>'times' from rowcast.realtime_activity_logs"
    )
    assert (event_type, topic, times) == ("refusal", "tenant:globex", "3")
    assert "You do not have permissions to read from this Channel topic" in str(reason)


async def test_a_real_heartbeat_is_a_sign_of_life_and_counts_the_messages(database: Database, dsn: str) -> None:
    async with (
        recording(database) as (server, writer),
        raw_socket(server.port, token(sub="ada")) as client,
        raw_socket(server.port, token(sub="bob")) as other,
    ):
        await client.join("room")
        await other.join("room")
        for _ in range(4):
            await other.say("1", "9", TOPIC, "broadcast", {"type": "broadcast", "event": "e", "payload": {}})
            await client.hear()
        await writer.write()
        with psycopg.connect(dsn) as connection:
            connection.execute("update rowcast.realtime_subscriptions set last_ping_at = now() - interval '1 hour'")
        await client.heartbeat()
        await writer.write()
        swept = await SubscriptionTable(database=database).sweep()

    assert swept == 1
    assert ask(dsn, "select user_id from rowcast.realtime_subscriptions") == [("ada",)]
    assert ask(dsn, "select user_id, messages from rowcast.realtime_message_counts") == [("ada", 4)]
