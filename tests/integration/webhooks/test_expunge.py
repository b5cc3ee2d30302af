"""What is expunged is gone from every row that held it."""

import uuid
from typing import Any

import pytest

from rowcast.store.pool import Database
from rowcast.store.sql import parse_query
from rowcast.testing.fake_clock import FakeClock
from rowcast.webhooks.background_task import Chosen, TaskTable
from rowcast.webhooks.expunge import Expunge
from rowcast.webhooks.operational import OperationalEvents
from rowcast.webhooks.recovery import Recovery, RecoveryLimits, task_data

CANARY = "canary-of-the-payload"


class Messages:
    """Short ways to fill and read the rows."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def fetch(self, text: str, **values: object) -> Any:
        return await self.database.fetch(parse_query("test", text), **values)

    async def add(self, tenant_id: str = "acme", expires: str | None = None) -> uuid.UUID:
        (row,) = await self.fetch(
            "select rowcast.emit(:tenant_id, 'orders.confirmed', jsonb_build_object('secret', :canary::text)) as id",
            tenant_id=tenant_id,
            canary=CANARY,
        )
        await self.fetch(
            """with owed as (
                 insert into rowcast.delivery (tenant_id, event_id, sink, target, status, error, settled_at)
                 values (:tenant_id, :id, 'webhooks', 'ep_1', 'dead', 'http_500: ' || :canary, now()),
                        (:tenant_id, :id, 'webhooks', 'ep_2', 'waiting', null, null)
                 returning id)
               insert into rowcast.attempt (delivery_id, fence, tenant_id, attempt, outcome, excerpt, detail, started_at,
                                            latency_ms)
               select id, 1, :tenant_id, 1, 'retry', :canary, json_build_object('body', :canary::text), now(), 1 from owed""",
            tenant_id=tenant_id,
            id=row["id"],
            canary=CANARY,
        )
        if expires:
            await self.fetch(
                """insert into rowcast.message (event_id, tenant_id, raw_payload, expires_at)
                   values (:id, :tenant_id, :canary, now() + :expires::text::interval)""",
                id=row["id"],
                tenant_id=tenant_id,
                canary=CANARY,
                expires=expires,
            )
        return uuid.UUID(str(row["id"]))

    async def hits(self) -> int:
        """Give how many rows hold what was in a payload."""
        (row,) = await self.fetch(
            """select (select count(*) from rowcast.event e where e::text like :canary)
                    + (select count(*) from rowcast.delivery d where d::text like :canary)
                    + (select count(*) from rowcast.attempt a where a::text like :canary)
                    + (select count(*) from rowcast.message m where m::text like :canary) as hits""",
            canary=f"%{CANARY}%",
        )
        return int(row["hits"])


@pytest.fixture
def messages(database: Database) -> Messages:
    return Messages(database)


async def test_what_a_message_held_is_gone_and_what_came_of_it_stays(messages: Messages, database: Database) -> None:
    event_id = await messages.add(expires="1 hour")
    expunge = Expunge(database=database)

    counts = [await expunge.contents("acme", [event_id]) for _ in range(2)]

    assert counts == [1, 1]
    assert await messages.hits() == 0
    rows = await messages.fetch("select status, error from rowcast.delivery order by id")
    assert [tuple(row.values()) for row in rows] == [("dead", "http_500"), ("cancelled", None)]
    (row,) = await messages.fetch("select expunged_at is not null as gone from rowcast.message")
    assert row["gone"]


async def test_another_tenants_message_is_not_touched(messages: Messages, database: Database) -> None:
    event_id = await messages.add(expires="1 hour")
    before = await messages.hits()

    assert await Expunge(database=database).contents("beta", [event_id]) == 0
    assert await messages.hits() == before > 0


async def test_messages_whose_time_is_over_are_expunged_and_no_others(messages: Messages, database: Database) -> None:
    for expires in ("-1 hour", "-1 second", "1 hour", None):
        await messages.add(expires=expires)
    expunge = Expunge(database=database)

    counts = [await expunge.sweep(most=most) for most in (1, 10, 10)]

    assert counts == [1, 1, 0]
    rows = await messages.fetch("select count(*) as n from rowcast.event where payload::text = '{}'")
    assert rows[0]["n"] == 2


async def test_message_whose_event_is_gone_is_expunged_once_and_for_all(messages: Messages, database: Database) -> None:
    await messages.add(expires="-1 hour")
    await messages.fetch("delete from rowcast.event")
    expunge = Expunge(database=database)

    counts = [await expunge.sweep(most=10) for _ in range(2)]

    assert (counts, await messages.hits()) == ([1, 0], 0)


async def test_what_is_removed_in_a_transaction_that_comes_to_nothing_is_still_there(
    messages: Messages, database: Database
) -> None:
    event_id = await messages.add()
    before = await messages.hits()

    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as session:
            assert await Expunge(database=database).contents("acme", [event_id], session=session) == 1
            raise ZeroDivisionError

    assert await messages.hits() == before > 0


async def test_all_messages_of_a_tenant_are_purged_in_steps_that_whoever_comes_goes_on_with(
    messages: Messages, database: Database, clock: FakeClock
) -> None:
    for _ in range(5):
        await messages.add()
    other = await messages.add("beta")
    tasks = TaskTable(clock=clock)
    chosen = Chosen(since=clock.now())
    begun = await tasks.begin(database, "acme", "", task="application.purge_content", chosen=chosen)
    later = await messages.add()

    workers = [
        Recovery(
            database=database,
            operational=OperationalEvents(database=database, tenant_id="ops"),
            noise=lambda: 0.5,
            limits=RecoveryLimits(step=2),
        )
        for _ in range(4)
    ]
    steps = [await worker.step() for worker in workers]

    task = await tasks.get(database, begun.id)
    assert steps == [True, True, True, False]
    assert (task.status, task_data(task)) == ("finished", {"messagesPurged": 5})
    rows = await messages.fetch("select id from rowcast.event where payload::text <> '{}' order by seq")
    assert [row["id"] for row in rows] == [other, later]
