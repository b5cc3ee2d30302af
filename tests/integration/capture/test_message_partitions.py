"""The table of messages: a partition for each day, nothing lost without one, nothing kept too long."""

from datetime import UTC, date, datetime, timedelta

from rowcast.capture.message_partitions import MessagePartitions
from rowcast.store.pool import Database
from tests.integration.capture.feeding import Heard, run

_DAYS = """
select to_date(substring(c.relname from 10), 'YYYY_MM_DD') from pg_inherits i join pg_class c on c.oid = i.inhrelid
where i.inhparent = 'realtime.messages'::regclass and c.relname <> 'messages_default' order by 1
"""
_WRITE = "insert into realtime.messages (topic, extension, inserted_at) values ('t', 'broadcast', %s)"
_WHERE = "select tableoid::regclass::text from realtime.messages"


def keeper(database: Database) -> MessagePartitions:
    return MessagePartitions(database=database, noise=lambda: 0.5)


def days(dsn: str) -> list[date]:
    return [day for (day,) in run(dsn, _DAYS)]


def around(first: int, last: int) -> list[date]:
    today = datetime.now(UTC).date()
    return [today + timedelta(days=ahead) for ahead in range(first, last + 1)]


def test_a_new_database_has_the_days_from_yesterday_to_three_days_ahead(any_dsn: str) -> None:
    assert days(any_dsn) == around(-1, 3)


async def test_a_day_that_is_missing_is_made_with_what_the_default_partition_took_in(
    dsn: str, database: Database
) -> None:
    day = around(2, 2)[0]
    run(dsn, f"drop table realtime.messages_{day:%Y_%m_%d}")
    run(dsn, _WRITE, [datetime(day.year, day.month, day.day, 13, tzinfo=UTC).replace(tzinfo=None)])
    assert run(dsn, _WHERE) == [("realtime.messages_default",)]

    await keeper(database).run_once()

    assert days(dsn) == around(-1, 3)
    assert run(dsn, _WHERE) == [(f"realtime.messages_{day:%Y_%m_%d}",)]


async def test_a_day_that_ended_more_than_72_hours_ago_goes(dsn: str, database: Database) -> None:
    for day in around(-5, -3):
        run(dsn, "select rowcast.make_message_partition(%s)", [day])
    run(dsn, _WRITE, [datetime.now(UTC).replace(tzinfo=None) - timedelta(days=30)])

    dropped = await keeper(database).run_once()

    assert dropped == 2
    assert days(dsn) == around(-3, -3) + around(-1, 3)
    assert run(dsn, _WHERE) == []


async def test_what_cannot_be_made_is_told_and_keeps_nothing_else_from_being_done(dsn: str, database: Database) -> None:
    run(dsn, "select rowcast.make_message_partition(%s)", [around(-9, -9)[0]])
    run(dsn, f"drop table realtime.messages_{around(3, 3)[0]:%Y_%m_%d}")
    run(
        dsn,
        f"create table realtime.other partition of realtime.messages for values from ('{around(3, 3)[0]}') to ('{around(4, 4)[0]}')",
    )

    with Heard() as heard:
        dropped = await keeper(database).run_once()

    assert dropped == 1
    assert [fact["ahead_days"] for fact in heard.named("messages.partition_failed")] == [3]


def test_the_time_zone_of_a_session_does_not_move_a_message_to_another_day(dsn: str) -> None:
    (found,) = run(
        dsn,
        """
        with told as (select set_config('timezone', 'Pacific/Kiritimati', false)),
             made as (insert into realtime.messages (topic, extension) select 't', 'broadcast' from told returning inserted_at)
        select abs(extract(epoch from inserted_at - (now() at time zone 'utc'))) < 60 from made
        """,
    )

    assert found == (True,)


async def test_a_table_that_is_gone_or_not_ours_stops_nothing_else(dsn: str, database: Database) -> None:
    run(dsn, "drop table realtime.messages")

    with Heard() as heard:
        dropped = await keeper(database).run_once()

    assert dropped == 0
    assert len(heard.named("messages.retention_failed")) == 1
