"""Rights to channels on a real database: recorded, limited on all nodes together, seen by their own user only."""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

import psycopg
import pytest

from rowcast.core.errors import LimitExceededError, NotFoundError
from rowcast.realtime.subscriptions import Grant
from rowcast.realtime.subscriptions_table import Granted, SubscriptionLimits, SubscriptionTable, User
from rowcast.store.pool import Database

ADA, BOB = User("acme", "ada"), User("acme", "bob")


def grants(*names: str) -> list[Grant]:
    return [Grant(name, f"{name}:1", "*", "public", "orders", "id=eq.1") for name in names]


@pytest.fixture
def table(database: Database) -> SubscriptionTable:
    return SubscriptionTable(database=database)


def ask(dsn: str, text: str) -> Sequence[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(text)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else ()


async def test_what_is_granted_is_recorded_with_its_filter(table: SubscriptionTable, dsn: str) -> None:
    (granted,) = await table.grant(ADA, grants("orders"))

    assert granted == Granted("orders", granted.channel_id, "active", "orders:1", "*", "public", "orders", "id=eq.1")
    assert ask(
        dsn, "select id, user_id, channel, table_name, filter->>'filter', active from rowcast.realtime_subscriptions"
    ) == [(granted.channel_id, "ada", "orders", "public.orders", "id=eq.1", True)]
    assert ask(dsn, "select event_type, channel_id from rowcast.realtime_activity_logs") == [
        ("subscribe", granted.channel_id)
    ]


async def test_a_second_tab_is_a_second_subscription_and_the_same_tab_is_not(table: SubscriptionTable) -> None:
    one = (await table.grant(ADA, grants("orders"), connection_id="tab-1"))[0].channel_id
    two = (await table.grant(ADA, grants("orders"), connection_id="tab-2"))[0].channel_id
    again = (await table.grant(ADA, grants("orders"), connection_id="tab-1"))[0].channel_id

    assert one == again != two


async def test_the_eleventh_channel_of_a_minute_waits_and_none_of_its_request_is_granted(
    table: SubscriptionTable, dsn: str
) -> None:
    await table.grant(ADA, grants(*"abcdefgh"))

    with pytest.raises(LimitExceededError) as refusal:
        await table.grant(ADA, grants("i", "j", "k"))
    await table.grant(ADA, grants("i", "j"))
    await table.grant(BOB, grants("a"))

    assert refusal.value.code == "limit.subscriptions"
    assert 50 < refusal.value.retry_after_s <= 60
    assert ask(dsn, "select count(*) from rowcast.realtime_subscriptions where user_id = 'ada'") == [(10,)]


async def test_two_nodes_at_once_grant_no_more_than_the_limit(table: SubscriptionTable) -> None:
    async def attempt(number: int) -> bool:
        try:
            await table.grant(ADA, grants(f"c{number}"))
        except LimitExceededError:
            return False
        return True

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attempt(number)) for number in range(25)]

    assert sum(task.result() for task in tasks) == 10


async def test_the_wait_that_is_told_is_enough(database: Database) -> None:
    table = SubscriptionTable(database=database, limits=SubscriptionLimits(subscriptions=2, window_s=0.3))
    await table.grant(ADA, grants("a", "b"))
    with pytest.raises(LimitExceededError) as refusal:
        await table.grant(ADA, grants("c"))

    await asyncio.sleep(refusal.value.retry_after_s)

    assert await table.grant(ADA, grants("c"))


async def test_a_user_sees_and_ends_his_own_only(table: SubscriptionTable) -> None:
    (of_ada,) = await table.grant(ADA, grants("orders"))
    await table.grant(User("globex", "ada"), grants("orders"))

    for stranger in (BOB, User("globex", "bob"), User("globex", "ada")):
        with pytest.raises(NotFoundError):
            await table.give_back(stranger, [of_ada.channel_id])
    assert (await table.status(BOB)).channels == ()
    assert [channel.channel_id for channel in (await table.status(ADA)).channels] == [of_ada.channel_id]
    assert await table.give_back(ADA, [of_ada.channel_id]) == 1
    assert (await table.status(ADA)).channels == ()


async def test_one_stranger_among_the_ids_ends_none(table: SubscriptionTable) -> None:
    (own,) = await table.grant(ADA, grants("orders"))

    with pytest.raises(NotFoundError):
        await table.give_back(ADA, [own.channel_id, uuid4()])

    assert len((await table.status(ADA)).channels) == 1


async def test_all_of_ones_own_are_ended_together(table: SubscriptionTable) -> None:
    await table.grant(ADA, grants("a", "b"))
    await table.grant(BOB, grants("a"))

    assert await table.give_back(ADA, [], is_all=True) == 2
    assert len((await table.status(BOB)).channels) == 1


@pytest.mark.parametrize("name", ["realtime_subscriptions", "realtime_activity_logs", "realtime_message_counts"])
async def test_the_database_shows_a_user_his_own_rows_and_nobody_all_of_them(
    table: SubscriptionTable, dsn: str, name: str
) -> None:
    await table.grant(ADA, grants("orders"))
    await table.grant(BOB, grants("orders"))
    ask(
        dsn,
        "insert into rowcast.realtime_message_counts select 'acme', u, now(), 1, now() from unnest('{ada,bob}'::text[]) u",
    )

    def seen(tenant: str, claims: str) -> object:
        with psycopg.connect(dsn) as connection:
            connection.execute("set local role rowcast_app")
            connection.execute("select set_config('rowcast.tenant_id', %s, true)", [tenant])
            connection.execute("select set_config('request.jwt.claims', %s, true)", [claims])
            return connection.execute(f"select user_id from rowcast.{name}").fetchall()  # type: ignore[call-overload]

    assert seen("acme", '{"sub":"ada"}') == [("ada",)]
    assert seen("globex", '{"sub":"ada"}') == []
    assert seen("acme", "{}") == seen("acme", "") == seen("", '{"sub":"ada"}') == []


async def test_a_user_cannot_make_a_subscription_for_somebody_else_or_write_the_audit(dsn: str) -> None:
    for statement in (
        "insert into rowcast.realtime_subscriptions (tenant_id, user_id, connection_id, topic, channel) values ('acme', 'bob', '1', 't', 't')",
        "insert into rowcast.realtime_activity_logs (tenant_id, user_id, connection_id, topic, event_type) values ('acme', 'ada', '1', 't', 'join')",
        "select rowcast.take_realtime_turns('acme', 'bob', 10, 10, 60)",
    ):
        with psycopg.connect(dsn) as connection:
            connection.execute("set local role rowcast_app")
            connection.execute(
                "select set_config('rowcast.tenant_id', 'acme', true), set_config('request.jwt.claims', '{\"sub\":\"ada\"}', true)"
            )
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)  # type: ignore[call-overload]


async def test_the_sweep_removes_what_is_dead_logs_it_and_counts_it(table: SubscriptionTable, dsn: str) -> None:
    await table.grant(ADA, grants("dead", "ended", "alive"))
    ask(
        dsn,
        "update rowcast.realtime_subscriptions set last_ping_at = now() - interval '301 seconds' where channel = 'dead'",
    )
    ask(dsn, "update rowcast.realtime_subscriptions set active = false where channel = 'ended'")
    ask(
        dsn,
        "update rowcast.realtime_subscriptions set last_ping_at = now() - interval '290 seconds' where channel = 'alive'",
    )

    removed = await table.sweep()

    assert removed == 2
    assert ask(dsn, "select channel from rowcast.realtime_subscriptions") == [("alive",)]
    assert ask(dsn, "select topic from rowcast.realtime_activity_logs where event_type = 'expiry'") == [("dead:1",)]


async def test_the_sweep_forgets_what_is_older_than_its_retention(table: SubscriptionTable, dsn: str) -> None:
    await table.grant(ADA, grants("orders"))
    ask(dsn, "update rowcast.realtime_activity_logs set \"timestamp\" = now() - interval '31 days'")
    ask(dsn, "insert into rowcast.realtime_message_counts values ('acme', 'ada', now() - interval '31 days', 1, now())")
    ask(dsn, "update rowcast.realtime_turns set last_taken_at = now() - interval '2 hours'")

    await table.sweep(keep_days=30)

    assert ask(dsn, "select count(*) from rowcast.realtime_activity_logs") == [(0,)]
    assert ask(dsn, "select count(*) from rowcast.realtime_message_counts") == [(0,)]
    assert ask(dsn, "select count(*) from rowcast.realtime_turns") == [(0,)]
