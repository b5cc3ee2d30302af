"""Limits as the database keeps them: exact across workers, and the same arithmetic as the pure module."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from rowcast.core.delivery import Delivery, Owed
from rowcast.delivery.ledger import Ledger, Settlement
from rowcast.delivery.rate_limit import Limits, grant, spacing_us


async def _admitted(
    ledger: Ledger, claimed: Sequence[Delivery], limits: Limits, *, hold_s: float = 5.0
) -> frozenset[int]:
    return await ledger.admit("jobs", [(delivery, limits) for delivery in claimed], hold_s=hold_s)


async def _claim_and_ask(ledger: Ledger, count: int, limits: Limits) -> frozenset[int]:
    return await _admitted(ledger, (await ledger.claim("jobs", count)).deliveries, limits)


async def test_a_rested_key_is_let_its_burst_and_the_rest_is_put_back_uncounted(bench: Any) -> None:
    await bench.owe_many(10, key="k")
    claimed = (await bench.ledger.claim("jobs", 10)).deliveries

    admitted = await _admitted(bench.ledger, claimed, Limits(rate_per_minute=60, burst=4))

    assert admitted == {delivery.id for delivery in claimed[:4]}
    assert await bench.statuses() == ["running"] * 4 + ["waiting"] * 6
    rows = await bench.rows("select distinct attempt, held, leased_by from rowcast.delivery where status = 'waiting'")
    assert [tuple(row.values()) for row in rows] == [(0, "rate_limit", None)]


async def test_deliveries_over_the_rate_wait_for_their_places_one_after_another(bench: Any) -> None:
    limits = Limits(rate_per_minute=60)
    await bench.owe_many(5, key="k")

    await _claim_and_ask(bench.ledger, 5, limits)

    rows = await bench.rows(
        """select extract(epoch from due_at - lag(due_at) over (order by id))::float8 as gap
           from rowcast.delivery where status = 'waiting' order by id"""
    )
    assert [row["gap"] for row in rows][1:] == pytest.approx([1.0] * 3)
    assert 0.0 < await bench.ledger.next_due_s("jobs") <= 1.0


async def test_newcomers_go_to_the_end_of_the_line_and_do_not_move_those_in_it(bench: Any) -> None:
    limits = Limits(rate_per_minute=60)
    await bench.owe_many(4, key="k")
    await _claim_and_ask(bench.ledger, 4, limits)
    await bench.owe_many(3, key="k")

    assert await _claim_and_ask(bench.ledger, 3, limits) == frozenset()

    rows = await bench.rows("select id from rowcast.delivery where status = 'waiting' order by due_at")
    assert [row["id"] for row in rows] == [2, 3, 4, 5, 6, 7]
    gaps = await bench.row(
        """select min(gap) as least, max(gap) as most from (
             select extract(epoch from due_at - lag(due_at) over (order by id))::float8 as gap
             from rowcast.delivery where status = 'waiting') gaps"""
    )
    assert tuple(gaps.values()) == pytest.approx((1.0, 1.0))


async def test_a_delivery_put_back_once_and_still_too_early_keeps_the_next_place(bench: Any) -> None:
    limits = Limits(rate_per_minute=60)
    await bench.owe_many(6, key="k")
    await _claim_and_ask(bench.ledger, 6, limits)
    await bench.run("update rowcast.delivery set due_at = now() where id = 2")

    await _claim_and_ask(bench.ledger, 1, limits)

    rows = await bench.rows("select id from rowcast.delivery where status = 'waiting' order by due_at, id")
    assert rows[0]["id"] == 2
    assert await bench.ledger.next_due_s("jobs") <= 1.0


async def test_the_limit_is_exact_however_many_workers_ask_at_once(bench: Any) -> None:
    limits = Limits(rate_per_minute=100, burst=30)
    await bench.owe_many(400, key="k")

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_claim_and_ask(bench.other(f"w{number}"), 20, limits)) for number in range(20)]

    admitted = [delivery_id for one in asked for delivery_id in one.result()]
    assert len(admitted) == len(set(admitted)) == 20


@pytest.mark.parametrize(
    ("rate", "burst", "wanted"), [(100, 1, 7), (100, 40, 60), (7, 3, 2), (1, 1, 3), (60_000, 50_000, 400), (3, 9, 3)]
)
async def test_the_database_grants_exactly_what_the_pure_rule_grants(
    bench: Any, rate: int, burst: int, wanted: int
) -> None:
    limits = Limits(rate_per_minute=rate, burst=burst)
    await bench.owe_many(wanted * 4, key="k")
    arrives_us = 0

    for _ in range(4):
        before_us = await _microseconds(bench, "clock_timestamp()")
        admitted = len(await _claim_and_ask(bench.ledger, wanted, limits))
        after_us = await _microseconds(bench, "clock_timestamp()")
        least = grant(arrives_us, before_us, wanted=wanted, limits=limits)
        most = grant(arrives_us, after_us, wanted=wanted, limits=limits)
        arrives_us = await _microseconds(bench, "(select arrives_at from rowcast.rate_limit)")

        assert least.granted <= admitted <= most.granted
        assert least.arrives_us <= arrives_us <= most.arrives_us
        await bench.make_all_due()


async def _microseconds(bench: Any, moment: str) -> int:
    return int((await bench.row(f"select (extract(epoch from {moment}) * 1000000)::bigint as us"))["us"])


async def test_keys_and_tenants_do_not_use_up_each_others_rate(bench: Any) -> None:
    limits = Limits(rate_per_minute=60)
    for tenant_id, key in (("acme", "a"), ("acme", "b"), ("other", "a")):
        await bench.owe_many(3, tenant_id=tenant_id, key=key)
    claimed = (await bench.ledger.claim("jobs", 9)).deliveries

    admitted = await _admitted(bench.ledger, claimed, limits)

    pairs = Counter((delivery.tenant_id, delivery.key) for delivery in claimed if delivery.id in admitted)
    assert pairs == {("acme", "a"): 1, ("acme", "b"): 1, ("other", "a"): 1}


async def test_no_more_of_a_key_run_at_once_than_its_concurrency_over_all_workers(bench: Any) -> None:
    limits = Limits(concurrency=3)
    await bench.owe_many(60, key="k")

    async with asyncio.TaskGroup() as group:
        asked = [group.create_task(_claim_and_ask(bench.other(f"w{number}"), 10, limits)) for number in range(6)]

    assert sum(len(one.result()) for one in asked) == 3
    assert Counter(await bench.statuses()) == {"running": 3, "waiting": 57}
    held = await bench.row("select distinct held from rowcast.delivery where status = 'waiting'")
    assert held["held"] == "concurrency"


async def test_a_settled_delivery_lets_the_next_one_of_its_key_forward_at_once(
    bench: Any, settle: Callable[..., Settlement]
) -> None:
    limits = Limits(concurrency=2)
    await bench.owe_many(5, key="k")
    claimed = (await bench.ledger.claim("jobs", 5)).deliveries
    assert await _admitted(bench.ledger, claimed, limits, hold_s=600.0) == {1, 2}
    assert (await bench.ledger.claim("jobs", 5)).deliveries == ()

    await bench.ledger.settle([settle(claimed[0])])
    assert await bench.ledger.call_forward("jobs", {("acme", "k"): 1}, reason="concurrency") == 1

    assert await _claim_and_ask(bench.ledger, 5, limits) == {3}


async def test_calling_forward_moves_only_what_was_held_for_that_reason(bench: Any) -> None:
    await bench.owe_many(4, key="k")
    await _claim_and_ask(bench.ledger, 4, Limits(rate_per_minute=1))

    assert await bench.ledger.call_forward("jobs", {("acme", "k"): 9}, reason="concurrency") == 0
    assert await bench.ledger.call_forward("jobs", {("acme", "k"): 9}, reason="breaker") == 0


async def test_a_delivery_refused_for_concurrency_uses_up_no_rate(bench: Any) -> None:
    await bench.owe_many(5, key="k")

    admitted = await _claim_and_ask(bench.ledger, 5, Limits(rate_per_minute=60, burst=5, concurrency=2))

    assert len(admitted) == 2
    spent = await bench.row("select arrives_at - clock_timestamp() as ahead from rowcast.rate_limit")
    assert spent["ahead"].total_seconds() < 2 * spacing_us(Limits(rate_per_minute=60, burst=5)) / 1e6


async def test_a_lost_claim_is_not_admitted(bench: Any) -> None:
    await bench.owe_many(2, key="k")
    claimed = (await bench.ledger.claim("jobs", 2)).deliveries
    await bench.ledger.cancel([claimed[0].id])

    assert await _admitted(bench.ledger, claimed, Limits(rate_per_minute=60, burst=9)) == {claimed[1].id}


async def test_a_backlog_over_its_limit_leaves_the_head_of_the_queue_to_others(bench: Any) -> None:
    await bench.owe_many(300, tenant_id="hot", key="k")
    await bench.owe(Owed("jobs", "x"), tenant_id="quiet")

    for _ in range(3):
        await _claim_and_ask(bench.ledger, 100, Limits(rate_per_minute=1))

    claim = await bench.ledger.claim("jobs", 1)
    assert [delivery.tenant_id for delivery in claim.deliveries] == ["quiet"]
