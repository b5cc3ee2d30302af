"""Recovery: exactly what was chosen is delivered again, once, whoever is killed, cancelled or asked twice."""

import asyncio
import sys
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rowcast.core.errors import NotFoundError
from rowcast.store.pool import PoolSettings, open_database
from rowcast.store.sql import parse_query
from rowcast.webhooks.background_task import drop_old_tasks
from rowcast.webhooks.recovery import Recovery
from tests.integration.egress.receivers import answer
from tests.integration.webhooks.engine import WITHIN_S, Engine, run_until
from tests.integration.webhooks.ledger_rows import LedgerRows

_WORKER = """
import asyncio, sys
from rowcast.store.pool import open_database
from tests.integration.webhooks.ledger_rows import LedgerRows

async def main():
    async with open_database(sys.argv[1]) as database:
        await LedgerRows(database).recovery(step=1, poll_s=0.01).run()

asyncio.run(main())
"""


async def test_a_recovery_takes_what_is_dead_or_cancelled_in_its_time_and_nothing_else(rows: LedgerRows) -> None:
    await rows.endpoint()
    chosen = [await rows.event(), await rows.event(hours_ago=23), await rows.event(event_type="Other")]
    for event_id, status in zip(chosen, ("dead", "cancelled", "dead"), strict=True):
        await rows.owed(event_id, status)
    for status in ("delivered", "waiting", "running"):
        await rows.owed(await rows.event(), status)
    await rows.owed(await rows.event(), target="ep_2")
    await rows.owed(await rows.event(), sink="jobs")
    await rows.owed(await rows.event(tenant="other"), tenant="other")
    await rows.owed(await rows.event(hours_ago=25))
    expunged = await rows.event(uid="gone")
    await rows.fetch("update rowcast.message set expunged_at = now() where event_id = :id", id=expunged)
    await rows.owed(expunged)

    later = await rows.owed(await rows.event(), "waiting")
    task = await rows.begin()
    await rows.owed(await rows.event())
    await rows.fetch(
        "update rowcast.delivery set status = 'dead', settled_at = clock_timestamp() where id = :id", id=later
    )
    await rows.finish()

    waiting = await rows.fetch("select event_id from rowcast.delivery where replay_of is not null")
    assert sorted(str(row["event_id"]) for row in waiting) == sorted(map(str, chosen))
    assert await rows.state(task) == ("finished", 3, "")
    marked = await rows.fetch("select status from rowcast.delivery where replayed_at is not null")
    assert sorted(row["status"] for row in marked) == ["cancelled", "dead", "dead"]


async def test_asked_for_twice_and_at_once_it_replays_each_message_once(rows: LedgerRows) -> None:
    await rows.endpoint()
    events = await rows.dead(40)
    tasks = [await rows.begin(), await rows.begin(), await rows.begin("endpoint.bulk-replay", statuses=("dead",))]

    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(rows.finish(step=7))
    await rows.finish()

    assert await rows.replayed() == dict.fromkeys(events, 1)
    states = [await rows.state(task) for task in tasks]
    assert [status for status, _, _ in states] == ["finished"] * 3
    assert sum(replayed for _, replayed, _ in states) == 40
    again = await rows.begin()
    await rows.finish()
    assert await rows.state(again) == ("finished", 0, "")


async def test_whoever_is_killed_in_the_middle_is_gone_on_with_by_another(rows: LedgerRows, emptied_dsn: str) -> None:
    await rows.endpoint()
    events = await rows.dead(300)
    task = await rows.begin()
    worker = await asyncio.create_subprocess_exec(sys.executable, "-c", _WORKER, emptied_dsn)
    try:
        async with asyncio.timeout(WITHIN_S):
            while not await rows.replayed():
                await asyncio.sleep(0.005)
    finally:
        worker.kill()
        await worker.wait()
    done = (await rows.state(task))[1]

    await rows.finish()

    assert 0 < done < 300
    assert await rows.state(task) == ("finished", 300, "")
    assert await rows.replayed() == dict.fromkeys(events, 1)


async def test_a_process_that_stands_still_in_a_step_loses_it(
    rows: LedgerRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rows.endpoint()
    events = await rows.dead(3)
    task = await rows.begin()
    go_on = Recovery._go_on

    async def stand_still(self: Recovery, connection: Any, held: Any) -> None:
        await asyncio.sleep(1.0)
        await go_on(self, connection, held)

    with monkeypatch.context() as patched:
        patched.setattr(Recovery, "_go_on", stand_still)
        await rows.recovery(bound_s=0.1).step()
    assert await rows.replayed() == {}
    await rows.finish()

    assert await rows.state(task) == ("finished", 3, "")
    assert await rows.replayed() == dict.fromkeys(events, 1)


async def test_a_database_that_goes_away_again_and_again_ends_no_task(rows: LedgerRows, emptied_dsn: str) -> None:
    await rows.endpoint()
    events = await rows.dead(60)
    task, recovery = await rows.begin(), rows.recovery(step=1, poll_s=0.01)

    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group, open_database(emptied_dsn) as own:
        running = group.create_task(recovery.run())
        watching = LedgerRows(own)
        for count in (5, 20, 40):
            while len(await watching.replayed()) < count:
                await asyncio.sleep(0.005)
            await watching.fetch(
                "select pg_terminate_backend(pid) from pg_stat_activity "
                "where datname = current_database() and pid <> pg_backend_pid()"
            )
        while (await watching.state(task))[0] == "running":
            await asyncio.sleep(0.005)
        running.cancel()
        assert await watching.state(task) == ("finished", 60, "")
        assert await watching.replayed() == dict.fromkeys(events, 1)


async def test_whoever_is_nudged_begins_at_once(rows: LedgerRows) -> None:
    await rows.endpoint()
    recovery = rows.recovery(poll_s=3600.0)

    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
        running = group.create_task(recovery.run())
        await asyncio.sleep(0)
        for _ in range(2):
            task = await rows.begin()
            while (await rows.state(task))[0] == "running":
                recovery.nudge()
                await asyncio.sleep(0.01)
        running.cancel()


async def test_a_task_that_is_cancelled_half_way_leaves_the_rest_as_it_is(rows: LedgerRows) -> None:
    await rows.endpoint()
    events = await rows.dead(30)
    task, recovery = await rows.begin(), rows.recovery(step=10)
    assert [await recovery.step(), await recovery.step()] == [True, True]

    await rows.tasks.cancel(rows.database, task)

    assert await recovery.step() is False
    assert await rows.replayed() == dict.fromkeys(events[:20], 1)
    assert await rows.state(task) == ("failed", 20, "cancelled")
    rest = await rows.begin()
    await rows.finish()
    assert await rows.state(rest) == ("finished", 10, "")
    assert await rows.replayed() == dict.fromkeys(events, 1)
    assert (await rows.tasks.cancel(rows.database, rest)).status == "finished"
    with pytest.raises(NotFoundError):
        await rows.tasks.cancel(rows.database, rest, tenant_id="other")


async def test_tasks_are_done_in_turn_and_one_that_fails_does_not_hold_up_the_others(rows: LedgerRows) -> None:
    await rows.endpoint()
    events = await rows.dead(20)
    broken, task = await rows.begin(), await rows.begin()
    await rows.fetch("update rowcast.background_task set arguments = '{}' where id = :id", id=broken)

    await rows.finish(step=4)

    assert await rows.state(task) == ("finished", 20, "")
    assert await rows.replayed() == dict.fromkeys(events, 1)
    (row,) = await rows.fetch("select status, failures, reason from rowcast.background_task where id = :id", id=broken)
    assert tuple(row.values()) == ("failed", 20, "failed: input.shape")


async def test_a_message_that_somebody_holds_holds_up_no_other_task(rows: LedgerRows, emptied_dsn: str) -> None:
    await rows.endpoint()
    await rows.endpoint("ep_2")
    held, free = await rows.event(), await rows.event()
    held_id = await rows.owed(held)
    await rows.owed(free, target="ep_2")
    stuck, task = await rows.begin(), await rows.begin(endpoint="ep_2")
    await rows.fetch(
        "update rowcast.background_task set failures = 19, changed_at = changed_at where id = :id", id=stuck
    )

    impatient = PoolSettings(timeout_s=0.3)
    async with open_database(emptied_dsn, impatient) as own, rows.database.transaction() as connection:
        lock = parse_query("test", "select id from rowcast.delivery where id = :id for update")
        await connection.fetch(lock, id=held_id)
        recovery = LedgerRows(own).recovery()
        assert [await recovery.step() for _ in range(2)] == [True, True]
        assert await rows.replayed() == {free: 1}
    await rows.finish()

    assert [await rows.state(each) for each in (stuck, task)] == [("finished", 1, "")] * 2
    assert await rows.replayed() == {held: 1, free: 1}


async def test_a_task_whose_endpoint_is_gone_fails_and_replays_nothing(rows: LedgerRows) -> None:
    await rows.endpoint()
    await rows.dead(2)
    task = await rows.begin()
    await rows.fetch("delete from rowcast.endpoint")

    await rows.finish()

    assert await rows.state(task) == ("failed", 0, "endpoint_gone")
    assert await rows.replayed() == {}


async def test_its_end_is_told_once_to_whoever_looks_after_endpoints(rows: LedgerRows) -> None:
    await rows.endpoint()
    await rows.dead(1)
    task = await rows.begin()
    recovery = rows.recovery(operational="ops")
    while await recovery.step():
        pass

    told = await rows.fetch(
        "select event_type, payload->>'endpointId' as endpoint, payload->>'taskId' as task, payload->>'task' as kind, "
        "payload->>'status' as status, payload->'data'->>'replayed' as replayed from rowcast.event "
        "where tenant_id = 'ops' order by seq"
    )
    facts = ("ep_1", task, "endpoint.recover", "finished", "1")
    assert [tuple(row.values()) for row in told] == [
        ("background_task.finished", *facts),
        ("endpoint.recovered", *facts),
    ]


async def test_an_event_that_cannot_be_told_keeps_no_task_from_its_end(rows: LedgerRows) -> None:
    await rows.endpoint()
    events = await rows.dead(1)
    task = await rows.begin()
    recovery = rows.recovery(operational="no tenant at all")
    while await recovery.step():
        pass

    assert await rows.state(task) == ("finished", 1, "")
    assert await rows.replayed() == dict.fromkeys(events, 1)


@pytest.mark.parametrize(
    ("narrowing", "expected"),
    [
        ({}, {"plain", "typed", "labelled", "fine", "cancelled", "coded"}),
        ({"event_types": ("Other",)}, {"typed"}),
        ({"channel": "eu"}, {"labelled"}),
        ({"tag": "t1"}, {"labelled"}),
        ({"channel": "us"}, set()),
        ({"statuses": ("delivered",)}, {"fine"}),
        ({"statuses": ("cancelled",)}, {"cancelled"}),
        ({"statuses": ("waiting",)}, set()),
        ({"code_class": 500}, {"coded"}),
        ({"code_class": 200}, {"fine"}),
        ({"code_class": 0}, {"plain", "typed", "labelled", "cancelled"}),
    ],
)
async def test_a_bulk_replay_takes_what_its_filters_choose(
    rows: LedgerRows, narrowing: dict[str, Any], expected: set[str]
) -> None:
    await rows.endpoint()
    names: dict[uuid.UUID, str] = {}
    for name, event, owed in (
        ("plain", {}, {}),
        ("typed", {"event_type": "Other"}, {}),
        ("labelled", {"channels": ["eu", "de"], "tags": ["t1"]}, {}),
        ("fine", {}, {"status": "delivered", "code": "204"}),
        ("cancelled", {}, {"status": "cancelled"}),
        ("coded", {}, {"code": "503"}),
        ("on its way", {}, {"status": "waiting"}),
    ):
        event_id = await rows.event(**event)  # type: ignore[arg-type]
        names[event_id] = name
        await rows.owed(event_id, **owed)
    given = {"statuses": ("delivered", "dead", "cancelled"), **narrowing}

    await rows.begin("endpoint.bulk-replay", **given)
    await rows.finish()

    assert {names[event_id] for event_id in await rows.replayed()} == expected


async def test_what_an_endpoint_was_never_owed_is_owed_once(rows: LedgerRows) -> None:
    await rows.endpoint(event_types=["orders.*", "Other"], channels=["eu"])
    eu: dict[str, Any] = {"channels": ["eu"]}
    missing = [await rows.event(**eu), await rows.event(event_type="Other", channels=["us", "eu"])]
    await rows.owed(missing[0], target="ep_2")
    for status in ("delivered", "dead", "waiting"):
        await rows.owed(await rows.event(**eu), status)
    await rows.event()
    await rows.event(channels=["us"])
    await rows.event(event_type="Otherwise", **eu)
    await rows.event(tenant="other", **eu)
    await rows.event(hours_ago=25, **eu)
    await rows.event(topic="rowcast:example:ep_2", **eu)
    await rows.event(state="failed", **eu)
    await rows.event(state="dead", **eu)
    expunged = await rows.event(uid="gone", **eu)
    await rows.fetch("update rowcast.message set expunged_at = now() where event_id = :id", id=expunged)

    task = await rows.begin("endpoint.replay")
    await rows.finish(step=2)

    assert await rows.replayed() == dict.fromkeys(missing, 1)
    assert await rows.state(task) == ("finished", 2, "")
    columns = await rows.fetch(
        "select target, key, rule, sink from rowcast.delivery where status = 'waiting' and attempt = 0"
    )
    assert {tuple(row.values()) for row in columns} == {("ep_1", "ep_1", "rowcast.webhooks", "webhooks")}


async def test_two_tasks_at_once_find_the_same_message_missing_once(
    rows: LedgerRows, monkeypatch: pytest.MonkeyPatch
) -> None:
    await rows.endpoint()
    missing = [await rows.event() for _ in range(3)]
    tasks = [await rows.begin("endpoint.replay") for _ in range(2)]
    go_on = Recovery._go_on

    async def go_on_slowly(self: Recovery, connection: Any, held: Any) -> None:
        await go_on(self, connection, held)
        await asyncio.sleep(0.2)

    monkeypatch.setattr(Recovery, "_go_on", go_on_slowly)
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            group.create_task(rows.finish())

    assert await rows.replayed() == dict.fromkeys(missing, 1)
    assert sorted([await rows.state(task) for task in tasks]) == [("finished", 0, ""), ("finished", 3, "")]


async def test_what_is_to_be_posted_later_is_owed_for_then(rows: LedgerRows) -> None:
    await rows.endpoint()
    later = datetime.now(UTC) + timedelta(hours=3)
    await rows.event(deliver_at=later)

    await rows.begin("endpoint.replay")
    await rows.finish()

    (row,) = await rows.fetch("select due_at from rowcast.delivery")
    assert row["due_at"] == later


async def test_what_is_not_routed_yet_is_left_to_the_relay(rows: LedgerRows) -> None:
    await rows.endpoint()
    await rows.event(state=None)

    await rows.begin("endpoint.replay")
    await rows.finish()

    assert await rows.replayed() == {}


async def test_nothing_is_taken_for_missing_whose_deliveries_may_have_been_forgotten(rows: LedgerRows) -> None:
    await rows.endpoint()
    known = await rows.event(hours_ago=47)
    await rows.event(hours_ago=49)

    await rows.begin("endpoint.replay", hours=1000)
    await rows.finish(known_days=2)

    assert await rows.replayed() == {known: 1}


async def test_a_replay_goes_to_the_end_of_an_ordered_line(rows: LedgerRows) -> None:
    await rows.endpoint(is_ordered=True)
    (event_id,) = await rows.dead(1)
    live = await rows.owed(await rows.event(), "waiting")

    await rows.begin()
    await rows.finish()

    (row,) = await rows.fetch("select id, key, event_id, priority from rowcast.delivery where replay_of is not null")
    assert row["id"] > live
    assert (row["key"], uuid.UUID(str(row["event_id"])), row["priority"]) == ("ordered:ep_1", event_id, 3)


async def test_what_is_recovered_beside_live_traffic_arrives_once_under_the_same_id(engine: Engine) -> None:
    endpoint = await engine.endpoint("/turns", retry_schedule_s=[])
    engine.receiver.answers["/turns"] = [*[answer("503 Busy")] * 20, answer()]
    sink, rows = engine.sink(), LedgerRows(engine.database)

    async def counted(status: str, count: int) -> bool:
        row = await engine.row("select count(*) as n from rowcast.delivery where status = :status", status=status)
        return bool(row["n"] == count)

    for _ in range(20):
        await engine.owe(endpoint)
    await run_until(engine, sink, lambda: counted("dead", 20))
    failed = [headers["webhook-id"] for _, headers, _ in engine.receiver.requests]
    engine.receiver.requests.clear()
    for _ in range(10):
        await engine.owe(endpoint)
    await engine.run("update rowcast.delivery set status = 'cancelled', settled_at = now() where status = 'waiting'")

    await rows.begin(endpoint=endpoint)
    async with asyncio.TaskGroup() as group:
        group.create_task(run_until(engine, sink, lambda: counted("delivered", 50)))
        group.create_task(rows.finish(step=3))
        for _ in range(20):
            await engine.owe(endpoint)

    posted = [headers["webhook-id"] for _, headers, _ in engine.receiver.requests]
    assert len(set(posted)) == len(posted) == 50
    assert set(failed) < set(posted)


async def test_tasks_that_ended_long_ago_are_removed(rows: LedgerRows) -> None:
    await rows.endpoint()
    old, new = await rows.begin(), await rows.begin()
    await rows.finish()
    running = await rows.begin()
    age = "update rowcast.background_task set changed_at = now() - interval '91 days' where id <> :new"
    await rows.fetch(age, new=new)

    assert await drop_old_tasks(rows.database, most=10) == 1
    left = await rows.fetch("select id from rowcast.background_task order by id")
    assert {row["id"] for row in left} == {new, running}
    assert old not in {new, running}
