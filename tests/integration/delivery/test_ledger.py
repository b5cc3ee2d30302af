import asyncio
import json
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from rowcast.core.delivery import Owed
from rowcast.core.errors import StoreUnavailableError
from rowcast.core.outcome import Delivered, Rejected, Retry
from rowcast.core.priority import Priority
from rowcast.core.telemetry import listening
from rowcast.delivery.attempt import Settled
from rowcast.delivery.ledger import Hold, Settlement, Share
from rowcast.store.pool import Connection, connect
from rowcast.store.sql import load_queries

Settle = Callable[..., Settlement]


async def test_a_claimed_delivery_carries_everything_that_its_rule_and_its_event_said(bench: Any) -> None:
    event_id = await bench.event(payload={"id": "o7", "total": "12.50"})
    owed = Owed("webhooks", "ep_1", "rule_1", Priority.HIGH, "slim", "shared", max_attempts=3)
    await bench.owe(owed, event_id=event_id)

    (delivery,) = (await bench.ledger.claim("webhooks", 10)).deliveries

    assert (delivery.tenant_id, delivery.target, delivery.rule, delivery.transform) == (
        "acme",
        "ep_1",
        "rule_1",
        "slim",
    )
    assert (delivery.key, delivery.priority, delivery.max_attempts) == ("shared", Priority.HIGH, 3)
    assert (delivery.attempt, delivery.fence, delivery.event_id) == (1, 1, event_id)
    assert delivery.event is not None
    assert (delivery.event.event_type, delivery.event.seq > 0) == ("orders.confirmed", True)
    assert delivery.event.payload_value() == {"id": "o7", "total": "12.50"}


async def test_the_key_is_the_target_when_none_is_named(bench: Any) -> None:
    await bench.owe(Owed("webhooks", "ep_1"))

    assert (await bench.ledger.claim("webhooks", 1)).deliveries[0].key == "ep_1"


async def test_a_job_without_an_event_carries_its_payload(bench: Any) -> None:
    await bench.run(
        "insert into rowcast.delivery (tenant_id, sink, target, payload) values ('acme', 'jobs', 'pdf', '{\"n\": 1}')"
    )

    (delivery,) = (await bench.ledger.claim("jobs", 1)).deliveries

    assert (delivery.event_id, delivery.event, bytes(delivery.payload)) == (None, None, b'{"n": 1}')


async def test_deliveries_are_claimed_by_priority_then_by_due_time(bench: Any) -> None:
    await bench.owe(Owed("jobs", "low", priority=Priority.LOW), Owed("jobs", "first"), Owed("jobs", "second"))
    await bench.owe(Owed("jobs", "critical", priority=Priority.CRITICAL))

    claimed = [(await bench.ledger.claim("jobs", 1)).deliveries[0].target for _ in range(4)]

    assert claimed == ["critical", "first", "second", "low"]


async def test_a_delivery_is_not_claimed_before_it_is_due(bench: Any) -> None:
    await bench.owe(Owed("jobs", "later", delay_s=60.0))

    assert (await bench.ledger.claim("jobs", 10)).deliveries == ()
    assert 55.0 < await bench.ledger.next_due_s("jobs") < 60.1


async def test_a_claim_takes_nothing_of_another_sink(bench: Any) -> None:
    await bench.owe(Owed("webhooks", "ep_1"))

    assert (await bench.ledger.claim("jobs", 10)).deliveries == ()


async def test_two_workers_never_claim_the_same_delivery(bench: Any) -> None:
    await bench.owe_many(600)

    async with asyncio.TaskGroup() as group:
        workers = [bench.other(f"worker-{number}") for number in range(6)]
        claims = [group.create_task(worker.claim("jobs", 40)) for worker in workers for _ in range(4)]

    ids = [delivery.id for claim in claims for delivery in claim.result().deliveries]
    assert len(ids) == len(set(ids)) > 100


async def test_a_settled_delivery_has_its_attempt_beside_it(bench: Any, settle: Settle) -> None:
    await bench.owe(Owed("webhooks", "ep_1"))
    (delivery,) = (await bench.ledger.claim("webhooks", 1)).deliveries

    assert await bench.ledger.settle([settle(delivery, Delivered("200", "ok", '{"id": 1}'))]) == 0

    row = await bench.row("select status, result::text, settled_at, leased_until, leased_by from rowcast.delivery")
    assert tuple(row.values())[:2] == ("delivered", '{"id": 1}')
    assert (row["settled_at"] is not None, row["leased_until"], row["leased_by"]) == (True, None, None)
    attempt = await bench.row("select fence, attempt, outcome, code, excerpt, latency_ms, worker from rowcast.attempt")
    assert tuple(attempt.values()) == (1, 1, "delivered", "200", "ok", 12.5, "worker-1")


async def test_one_batch_settles_results_of_every_kind(bench: Any, settle: Settle) -> None:
    await bench.owe_many(3)
    one, two, three = (await bench.ledger.claim("jobs", 3)).deliveries

    await bench.ledger.settle(
        [
            settle(three, Rejected("http_410"), Settled("dead", error="http_410", fingerprint="f")),
            settle(one),
            settle(two, Retry("http_503", excerpt="busy"), Settled("waiting", 30.0, "http_503: busy")),
        ]
    )

    assert await bench.statuses() == ["delivered", "waiting", "dead"]
    assert await bench.attempts() == [(1, "delivered", ""), (1, "retry", "http_503"), (1, "rejected", "http_410")]
    waiting = await bench.row("select due_at - now() as wait, error from rowcast.delivery where status = 'waiting'")
    assert timedelta(seconds=29) < waiting["wait"] <= timedelta(seconds=30)
    assert waiting["error"] == "http_503: busy"


async def test_a_retried_delivery_is_claimed_with_the_next_attempt_and_a_new_fence(bench: Any, settle: Settle) -> None:
    await bench.owe_many(1)
    (first,) = (await bench.ledger.claim("jobs", 1)).deliveries
    await bench.ledger.settle([settle(first, Retry("x"), Settled("waiting", 0.0))])

    (second,) = (await bench.ledger.claim("jobs", 1)).deliveries

    assert (second.attempt, second.fence) == (2, 2)


async def test_text_that_the_database_cannot_keep_does_not_stop_a_settlement(bench: Any, settle: Settle) -> None:
    await bench.owe_many(3)
    one, two, three = (await bench.ledger.claim("jobs", 3)).deliveries

    await bench.ledger.settle(
        [
            settle(one, Delivered("2\x0000", "a\ud800\x00" * 2_000, "no json")),
            settle(two, Delivered(result='"\\u0000"')),
            settle(three, Delivered(result='"' + "x" * 70_000 + '"')),
        ]
    )

    assert await bench.statuses() == ["delivered"] * 3


async def test_a_delivery_whose_lease_ran_out_is_taken_over_and_its_attempt_recorded_as_lost(bench: Any) -> None:
    await bench.owe_many(1)
    await bench.ledger.claim("jobs", 1)
    await bench.let_leases_run_out()

    (taken,) = (await bench.other().claim("jobs", 1)).deliveries

    assert (taken.attempt, taken.fence) == (2, 2)
    assert await bench.attempts() == [(1, "lost", "lease_expired")]


async def test_a_delivery_under_a_lease_is_not_taken_over(bench: Any) -> None:
    await bench.owe_many(1)
    await bench.ledger.claim("jobs", 1, lease_s=30.0)

    assert (await bench.other().claim("jobs", 1)).deliveries == ()
    assert await bench.attempts() == []


async def test_a_delivery_lost_in_its_last_attempt_is_dead(bench: Any) -> None:
    await bench.owe_many(1, max_attempts=2)
    for _ in range(2):
        assert (await bench.ledger.claim("jobs", 1)).deliveries
        await bench.let_leases_run_out()

    assert (await bench.ledger.claim("jobs", 1)).deliveries == ()
    row = await bench.row("select status, fingerprint is not null, left(error, 4) from rowcast.delivery")
    assert tuple(row.values()) == ("dead", True, "lost")
    assert await bench.attempts() == [(1, "lost", "lease_expired"), (2, "lost", "lease_expired")]


async def test_expired_leases_count_against_the_limit_of_a_claim(bench: Any) -> None:
    await bench.owe_many(6)
    await bench.ledger.claim("jobs", 3)
    await bench.let_leases_run_out()

    claim = await bench.other().claim("jobs", 4)

    assert len(claim.deliveries) == 4
    assert claim.is_more_due
    assert Counter(delivery.attempt for delivery in claim.deliveries) == {2: 3, 1: 1}


async def test_a_late_result_of_a_worker_that_lost_its_lease_changes_nothing_and_is_told(
    bench: Any, settle: Settle
) -> None:
    told: list[tuple[str, object]] = []
    await bench.owe_many(1)
    (frozen,) = (await bench.ledger.claim("jobs", 1)).deliveries
    await bench.let_leases_run_out()
    (taken,) = (await bench.other().claim("jobs", 1)).deliveries

    with listening(lambda name, facts: told.append((name, facts.get("count")))):
        assert await bench.ledger.settle([settle(frozen, Rejected("late"), Settled("dead"))]) == 1

    assert told == [("delivery.stale", 1)]
    assert await bench.statuses() == ["running"]
    assert await bench.ledger.put_back([Hold(frozen)]) == 0
    assert await bench.ledger.extend([frozen], lease_s=60.0) == frozenset()
    assert await bench.other().settle([settle(taken)]) == 0
    assert await bench.attempts() == [(1, "lost", "lease_expired"), (2, "delivered", "")]


async def test_a_stale_result_does_not_hold_up_the_others_of_its_batch(bench: Any, settle: Settle) -> None:
    await bench.owe_many(3)
    claimed = (await bench.ledger.claim("jobs", 3)).deliveries
    await bench.ledger.cancel([claimed[1].id])

    assert await bench.ledger.settle([settle(delivery) for delivery in claimed]) == 1
    assert await bench.statuses() == ["delivered", "cancelled", "delivered"]


async def test_the_same_result_settled_twice_changes_nothing_the_second_time(bench: Any, settle: Settle) -> None:
    await bench.owe_many(1)
    (delivery,) = (await bench.ledger.claim("jobs", 1)).deliveries

    assert await bench.ledger.settle([settle(delivery)]) == 0
    assert await bench.ledger.settle([settle(delivery)]) == 1
    assert len(await bench.attempts()) == 1


async def test_a_released_delivery_is_due_at_once_and_its_attempt_is_not_counted(bench: Any) -> None:
    await bench.owe_many(2)
    claimed = (await bench.ledger.claim("jobs", 2)).deliveries

    assert await bench.ledger.release(claimed) == 2

    again = (await bench.other().claim("jobs", 2)).deliveries
    assert [(delivery.attempt, delivery.fence) for delivery in again] == [(1, 2), (1, 2)]
    assert await bench.attempts() == []


async def test_an_extended_lease_outlives_the_first_one(bench: Any) -> None:
    await bench.owe_many(1)
    (delivery,) = (await bench.ledger.claim("jobs", 1, lease_s=0.05)).deliveries

    assert await bench.ledger.extend([delivery], lease_s=30.0) == {delivery.id}

    left = await bench.row("select leased_until - now() as time from rowcast.delivery")
    assert left["time"] > timedelta(seconds=20)


async def test_a_cancelled_delivery_is_never_claimed(bench: Any) -> None:
    await bench.owe_many(2)

    assert await bench.ledger.cancel([1, 2, 99]) == (1, 2)
    assert (await bench.ledger.claim("jobs", 10)).deliveries == ()
    assert await bench.attempts() == []


async def test_a_delivery_cancelled_while_it_runs_keeps_a_record_of_the_attempt(bench: Any) -> None:
    await bench.owe_many(1)
    (delivery,) = (await bench.ledger.claim("jobs", 1)).deliveries

    await bench.ledger.cancel([delivery.id])

    assert await bench.attempts() == [(1, "lost", "cancelled")]


async def test_a_tenant_cannot_cancel_what_belongs_to_another(bench: Any) -> None:
    await bench.owe_many(1, tenant_id="other")

    assert await bench.ledger.cancel([1], tenant_id="acme") == ()
    assert await bench.statuses() == ["waiting"]


async def test_what_is_settled_cannot_be_cancelled(bench: Any, settle: Settle) -> None:
    await bench.owe_many(1)
    (delivery,) = (await bench.ledger.claim("jobs", 1)).deliveries
    await bench.ledger.settle([settle(delivery)])

    assert await bench.ledger.cancel([delivery.id]) == ()


async def test_one_claim_gives_a_tenant_no_more_than_its_room(bench: Any) -> None:
    await bench.owe_many(20, tenant_id="hot")
    await bench.owe_many(2, tenant_id="quiet")

    claim = await bench.ledger.claim("jobs", 22, share=Share(tenant_room=5))

    assert Counter(delivery.tenant_id for delivery in claim.deliveries) == {"hot": 5, "quiet": 2}
    assert claim.is_more_due


async def test_a_claim_by_turns_serves_tenants_that_wait_behind_a_backlog(bench: Any) -> None:
    await bench.owe_many(500, tenant_id="hot")
    for tenant_id in ("a", "b", "z"):
        await bench.owe_many(2, tenant_id=tenant_id)

    claim = await bench.ledger.claim("jobs", 16, share=Share(after_tenant="", full_tenants=("hot",)))

    assert Counter(delivery.tenant_id for delivery in claim.deliveries) == {"a": 2, "b": 2, "z": 2}
    assert claim.next_tenant == ""


async def test_turns_go_on_after_the_tenant_that_was_served_last(bench: Any) -> None:
    for number in range(12):
        await bench.owe_many(3, tenant_id=f"t{number:02d}")
    served: list[str] = []
    cursor = ""

    for _ in range(12):
        claim = await bench.ledger.claim("jobs", 3, share=Share(after_tenant=cursor))
        served += [delivery.tenant_id for delivery in claim.deliveries]
        cursor = claim.next_tenant

    assert Counter(served) == {f"t{number:02d}": 3 for number in range(12)}
    assert set(served[:12]) == {f"t{number:02d}" for number in range(12)}


async def test_turns_pass_by_tenants_whose_deliveries_wait_for_later(bench: Any) -> None:
    for number in range(450):
        await bench.owe(Owed("jobs", "x", delay_s=600.0), tenant_id=f"t{number:03d}")
    await bench.owe(Owed("jobs", "x"), tenant_id="z")
    cursor, found, rounds = "", (), 0

    while not found:
        claim = await bench.ledger.claim("jobs", 8, share=Share(after_tenant=cursor))
        found, cursor, rounds = claim.deliveries, claim.next_tenant, rounds + 1

    assert found[0].tenant_id == "z"
    assert rounds == 3


async def _explain(connection: Connection, name: str, **values: object) -> str:
    query = load_queries("rowcast.delivery")[name]
    await connection.driver.execute("set plan_cache_mode = force_generic_plan")
    rows = await connection.driver.fetch(f"explain {query.text}", *query.bind(**values))
    return "\n".join(row[0] for row in rows)


_CLAIM = {"limit": 500, "lease_s": 10.0, "worker": "w"}
_OLDEST = {"max_attempts": 10, "tenant_room": 100, "low_at": None, "lost_fingerprint": "f"}
_TURNS = {"share": 10, "after_tenant": "", "full_tenants": [], "steps": 200}


async def test_claiming_keeps_its_indexes_beside_a_hundred_thousand_settled_and_as_many_waiting(bench: Any) -> None:
    await bench.run(
        """insert into rowcast.delivery (tenant_id, sink, target, key, status, due_at)
           select 't' || (n % 1000), 'jobs', 'x', 'x', s,
                  now() + case when s = 'waiting' then interval '1 day' else '0' end
           from generate_series(1, 100000) n, unnest(array['delivered', 'waiting']) s"""
    )
    await bench.run("analyze rowcast.delivery")

    async with bench.database.connection() as connection:
        oldest = await _explain(connection, "claim_due", sink="jobs", **_CLAIM, **_OLDEST)
        turns = await _explain(connection, "claim_turns", sink="jobs", **_CLAIM, **_TURNS)
        next_due = await _explain(connection, "next_due", sink="jobs")
        settling = await _explain(connection, "put_back", ids=[1], fences=[1], waits_s=[0.0], held=[""])
        await connection.driver.execute("reset plan_cache_mode")

    assert "Seq Scan on delivery" not in oldest + turns + next_due + settling
    assert "delivery_due" in oldest
    assert "delivery_leased" in oldest
    assert "delivery_turn" in turns
    assert "delivery_due" in next_due


async def test_an_idle_claim_reads_few_pages_however_much_waits_for_later(bench: Any) -> None:
    await bench.run(
        """insert into rowcast.delivery (tenant_id, sink, target, key, due_at)
           select 't', 'jobs', 'x', 'x', now() + interval '1 day' from generate_series(1, 50000)"""
    )
    await bench.run("vacuum analyze rowcast.delivery")
    query = load_queries("rowcast.delivery")["claim_due"]

    async with bench.database.connection() as connection:
        rows = await connection.driver.fetch(
            f"explain (analyze, buffers, costs off, timing off, format json) {query.text}",
            *query.bind(sink="jobs", **_CLAIM, **_OLDEST),
        )
    (plan,) = json.loads(rows[0][0])

    assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 60


async def test_a_session_ended_in_the_middle_of_a_claim_leaves_everything_claimable(bench: Any, dsn: str) -> None:
    await bench.owe_many(50)
    victim = await connect(dsn)
    query = load_queries("rowcast.delivery")["claim_due"]
    transaction = victim.driver.transaction()
    await transaction.start()
    row = await victim.fetch_one(query, sink="jobs", **_CLAIM, **_OLDEST)
    assert row is not None
    assert len(row["ids"]) == 50
    assert (await bench.ledger.claim("jobs", 50)).deliveries == ()

    await bench.run("select pg_terminate_backend(:pid, 10000)", pid=victim.driver.get_server_pid())
    victim.driver.terminate()

    claim = await bench.ledger.claim("jobs", 50)
    assert [delivery.fence for delivery in claim.deliveries] == [1] * 50


async def test_a_session_ended_in_the_middle_of_a_settlement_leaves_it_to_be_repeated(
    bench: Any, dsn: str, settle: Settle
) -> None:
    await bench.owe_many(5)
    claimed = (await bench.ledger.claim("jobs", 5)).deliveries
    blocker = await connect(dsn)
    transaction = blocker.driver.transaction()
    await transaction.start()
    await blocker.driver.execute("select 1 from rowcast.delivery where id = 5 for update")

    async with asyncio.TaskGroup() as group:
        settling = group.create_task(_settled(bench, [settle(delivery) for delivery in claimed]))
        waiting = """select pid from pg_stat_activity where datname = current_database()
                     and wait_event_type = 'Lock' and query like '%with settled as%'"""
        await bench.until(lambda: _is_there(bench, waiting))
        await bench.run(f"select pg_terminate_backend(pid) from ({waiting}) as stuck")
        assert isinstance(await settling, StoreUnavailableError)
    await transaction.rollback()
    await blocker.driver.close()

    assert await bench.statuses() == ["running"] * 5
    assert await bench.ledger.settle([settle(delivery) for delivery in claimed]) == 0
    assert len(await bench.attempts()) == 5


async def _settled(bench: Any, results: list[Settlement]) -> object:
    try:
        return await bench.ledger.settle(results)
    except StoreUnavailableError as error:
        return error


async def _is_there(bench: Any, text: str) -> bool:
    return bool(await bench.rows(text))


async def test_an_event_that_was_archived_leaves_a_delivery_without_an_envelope(bench: Any) -> None:
    missing = uuid.uuid4()
    await bench.owe(Owed("webhooks", "ep_1"), event_id=missing)

    await bench.run("update rowcast.delivery set created_at = created_at - interval '2 minutes'")
    (delivery,) = (await bench.ledger.claim("webhooks", 1)).deliveries

    assert (delivery.event_id, delivery.event) == (missing, None)
