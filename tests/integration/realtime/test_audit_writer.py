"""What sockets do is written in batches, survives a database that is away, and never grows without an end."""

import asyncio
from collections.abc import Sequence

import psycopg
import pytest

from rowcast.core.clock import SystemClock
from rowcast.core.errors import StoreError
from rowcast.realtime.audit import ActivityLog, Member
from rowcast.realtime.audit_writer import ActivityWriter, WriterLimits
from rowcast.realtime.subscriptions import Grant
from rowcast.realtime.subscriptions_table import SubscriptionTable, User
from rowcast.store.pool import Database, PoolSettings, open_database
from rowcast.testing.fake_clock import FakeClock

ADA = User("acme", "ada")


def member(connection: str = "1", topic: str = "room", user: str = "ada") -> Member:
    return Member("acme", user, connection, topic)


@pytest.fixture
def writer(database: Database, clock: FakeClock) -> ActivityWriter:
    return ActivityWriter(database=database, clock=clock)


def ask(dsn: str, text: str) -> Sequence[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(text)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else ()


async def test_a_join_is_a_row_and_a_leave_ends_it(writer: ActivityWriter, dsn: str) -> None:
    log: ActivityLog = writer
    log.joined(member())
    await writer.write()
    assert ask(
        dsn, "select connection_id, topic, active, joined_at is not null from rowcast.realtime_subscriptions"
    ) == [("1", "room", True, True)]

    log.left(member(), "leave")
    await writer.write()

    assert ask(dsn, "select active from rowcast.realtime_subscriptions") == [(False,)]
    assert ask(
        dsn,
        "select event_type, payload->>'reason', channel_id is not null from rowcast.realtime_activity_logs order by id",
    ) == [
        ("join", None, True),
        ("leave", "leave", True),
    ]


async def test_two_tabs_of_one_user_are_two_rows_and_a_rejoin_is_none_more(writer: ActivityWriter, dsn: str) -> None:
    for connection in ("1", "2", "1"):
        writer.joined(member(connection))
        await writer.write()

    assert ask(dsn, "select connection_id from rowcast.realtime_subscriptions order by 1") == [("1",), ("2",)]


async def test_a_socket_takes_over_the_right_that_waits_for_it(
    writer: ActivityWriter, database: Database, dsn: str
) -> None:
    table = SubscriptionTable(database=database)
    (granted,) = await table.grant(ADA, [Grant("orders", "orders:1", "*", "public", "orders", "id=eq.1")])
    assert not (await table.status(ADA)).connected

    writer.joined(member("1", "orders:1"))
    writer.joined(member("2", "orders:1"))
    writer.joined(member("3", "orders:1", user="bob"))
    await writer.write()

    status = await table.status(ADA)
    assert (status.connected, status.active_connections, status.active_channels) == (True, 2, 2)
    assert granted.channel_id in [channel.channel_id for channel in status.channels]
    assert ask(
        dsn, f"select connection_id, channel from rowcast.realtime_subscriptions where id = '{granted.channel_id}'"
    ) == [("1", "orders")]


async def test_a_heartbeat_keeps_a_channel_from_the_sweep(writer: ActivityWriter, database: Database, dsn: str) -> None:
    writer.joined(member("1"))
    writer.joined(member("2"))
    await writer.write()
    ask(dsn, "update rowcast.realtime_subscriptions set last_ping_at = now() - interval '6 minutes'")

    writer.alive("1")
    await writer.write()
    removed = await SubscriptionTable(database=database).sweep()

    assert removed == 1
    assert ask(dsn, "select connection_id from rowcast.realtime_subscriptions") == [("1",)]


async def test_a_socket_that_beats_often_is_noted_once_a_minute(
    writer: ActivityWriter, clock: FakeClock, dsn: str
) -> None:
    pinged = "select last_ping_at from rowcast.realtime_subscriptions"
    writer.joined(member())
    await writer.write()
    for wait_s, is_noted in ((0.0, True), (25.0, False), (36.0, True)):
        before = ask(dsn, pinged)
        clock.tick(wait_s)
        writer.alive("1")
        await writer.write()
        assert (ask(dsn, pinged) != before) is is_noted


async def test_messages_are_counted_in_one_row_for_each_user_and_hour(
    writer: ActivityWriter, database: Database, dsn: str
) -> None:
    for messages in (3, 4, 0):
        writer.told("acme", "ada", messages)
    writer.told("acme", "bob", 1)
    await writer.write()
    writer.told("acme", "ada", 5)
    await writer.write()

    assert ask(dsn, "select user_id, messages from rowcast.realtime_message_counts order by 1") == [
        ("ada", 12),
        ("bob", 1),
    ]
    assert ask(dsn, "select count(*) from rowcast.realtime_activity_logs") == [(0,)]


async def test_status_and_statistics_are_what_was_measured(database: Database, dsn: str) -> None:
    writer = ActivityWriter(database=database, clock=SystemClock())
    writer.joined(member("1"))
    writer.joined(member("1", "other"))
    writer.joined(member("2", user="bob"))
    writer.told("acme", "ada", 10)
    writer.told("globex", "ada", 99)
    await writer.write()
    table = SubscriptionTable(database=database)

    status, statistics = await table.status(ADA), await table.statistics("acme")

    assert (status.connected, status.active_connections, status.active_channels, status.message_count) == (
        True,
        1,
        2,
        10,
    )
    assert status.last_message_at is not None
    assert (statistics.active_connections, statistics.active_channels, statistics.active_users) == (2, 3, 2)
    assert (statistics.messages_today, statistics.average_per_connection) == (10, 5.0)


async def test_a_connection_that_is_silent_for_five_minutes_is_not_called_connected(
    writer: ActivityWriter, database: Database, dsn: str
) -> None:
    writer.joined(member())
    await writer.write()
    ask(dsn, "update rowcast.realtime_subscriptions set last_ping_at = now() - interval '6 minutes'")

    assert not (await SubscriptionTable(database=database).status(ADA)).connected


async def test_a_refusal_is_kept_whatever_was_asked_for(writer: ActivityWriter, dsn: str) -> None:
    writer.refused(member(topic="a\x00b" + "x" * 500), "Unauthorized: no\x00")
    await writer.write()

    ((topic, reason),) = ask(dsn, "select topic, payload->>'reason' from rowcast.realtime_activity_logs")
    assert str(topic).startswith("abxxx")
    assert reason == "Unauthorized: no"
    assert ask(dsn, "select count(*) from rowcast.realtime_subscriptions") == [(0,)]


async def test_what_could_not_be_written_is_written_later_and_once(clock: FakeClock, dsn: str) -> None:
    async with open_database(dsn, PoolSettings(timeout_s=0.2)) as impatient:
        writer = ActivityWriter(database=impatient, clock=clock)
        writer.joined(member())
        writer.told("acme", "ada", 2)
        with psycopg.connect(dsn) as blocker:
            blocker.execute("lock table rowcast.realtime_message_counts")
            with pytest.raises(StoreError):
                await writer.write()

        await writer.write()

    assert ask(dsn, "select count(*) from rowcast.realtime_activity_logs") == [(1,)]
    assert ask(dsn, "select messages from rowcast.realtime_message_counts") == [(2,)]


async def test_what_can_never_be_written_does_not_stand_before_the_rest(writer: ActivityWriter, dsn: str) -> None:
    writer.joined(member("\ud800"))
    await writer.write()
    writer.joined(member("2"))
    await writer.write()

    assert ask(dsn, "select connection_id from rowcast.realtime_subscriptions") == [("2",)]


async def test_a_storm_of_joins_is_written_without_a_pause_between_its_batches(database: Database, dsn: str) -> None:
    limits = WriterLimits(every_s=2.0, batch=100)
    writer = ActivityWriter(database=database, clock=SystemClock(), limits=limits)
    for number in range(2_000):
        writer.joined(member(str(number)))
    # Twenty batches: with a pause before each they would take longer than this, on any machine.
    async with asyncio.timeout(35), asyncio.TaskGroup() as group:
        task = group.create_task(writer.run())
        while ask(dsn, "select count(*) from rowcast.realtime_subscriptions") != [(2_000,)]:
            await asyncio.sleep(0.05)
        task.cancel()


async def test_the_writer_writes_and_sweeps_by_itself(database: Database, dsn: str) -> None:
    ask(
        dsn,
        "insert into rowcast.realtime_subscriptions (tenant_id, user_id, connection_id, topic, channel, active) values ('t', 'u', '9', 'x', 'x', false)",
    )
    limits = WriterLimits(every_s=0.01, sweep_s=0.05)
    writer = ActivityWriter(database=database, clock=SystemClock(), limits=limits)
    writer.joined(member())
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        task = group.create_task(writer.run())
        while ask(dsn, "select connection_id from rowcast.realtime_subscriptions") != [("1",)]:
            await asyncio.sleep(0.02)
        task.cancel()


async def test_past_the_bound_nothing_is_kept_and_the_rest_is_written(
    database: Database, clock: FakeClock, dsn: str
) -> None:
    writer = ActivityWriter(database=database, clock=clock, limits=WriterLimits(waiting=3, batch=2))
    for number in range(10):
        writer.joined(member(str(number)))
    await writer.write()
    assert ask(dsn, "select count(*) from rowcast.realtime_subscriptions") == [(2,)]

    await writer.close()

    assert ask(dsn, "select count(*) from rowcast.realtime_subscriptions") == [(3,)]
