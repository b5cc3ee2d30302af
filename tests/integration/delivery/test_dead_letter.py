import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rowcast.core.delivery import Owed
from rowcast.core.outcome import Rejected
from rowcast.delivery.attempt import Settled
from rowcast.delivery.dead_letter import DeadFilter, DeadLetters, Leg
from rowcast.delivery.ledger import Settlement

Settle = Callable[..., Settlement]


@pytest.fixture
def dead(bench: Any) -> DeadLetters:
    return DeadLetters(database=bench.database)


@pytest.fixture
def die(bench: Any, settle: Settle) -> Callable[..., Any]:
    """`await die(count, tenant_id, reason)` makes dead letters of one kind."""

    async def make(count: int, tenant_id: str = "acme", reason: str = "http_410") -> None:
        await bench.owe_many(count, tenant_id=tenant_id)
        claim = await bench.ledger.claim("jobs", count)
        settled = Settled("dead", error=f"{reason}: gone", fingerprint=reason)
        await bench.ledger.settle([settle(delivery, Rejected(reason), settled) for delivery in claim.deliveries])

    return make


async def test_dead_letters_gather_by_what_went_wrong(dead: DeadLetters, die: Callable[..., Any]) -> None:
    await die(3, "acme", "http_410")
    await die(1, "other", "http_410")
    await die(2, "acme", "http_400")

    groups = {group.fingerprint: group for group in await dead.groups()}

    assert [(groups[word].deliveries, groups[word].tenants) for word in ("http_410", "http_400")] == [(4, 2), (2, 1)]
    assert groups["http_410"].sample_error == "http_410: gone"
    assert groups["http_410"].sample_id == 4
    first_at, last_at = groups["http_410"].first_at, groups["http_410"].last_at
    assert first_at is not None
    assert last_at is not None
    assert first_at < last_at


async def test_a_tenant_sees_its_own_dead_letters_only(dead: DeadLetters, die: Callable[..., Any]) -> None:
    await die(2, "acme")
    await die(1, "other")

    (group,) = await dead.groups(tenant_id="other")

    assert (group.deliveries, group.sample_id) == (1, 3)


async def test_a_replayed_dead_letter_goes_out_again_with_the_same_event(
    bench: Any, dead: DeadLetters, settle: Settle
) -> None:
    event_id = await bench.event()
    await bench.owe(Owed("webhooks", "ep_1", "rule_1", transform="slim", key="k", max_attempts=3), event_id=event_id)
    (first,) = (await bench.ledger.claim("webhooks", 1)).deliveries
    await bench.ledger.settle([settle(first, Rejected("x"), Settled("dead", fingerprint="f"))])

    assert await dead.replay(DeadFilter(ids=(first.id,))) == 1

    (again,) = (await bench.ledger.claim("webhooks", 1)).deliveries
    assert (again.event_id, again.event, again.target, again.rule) == (event_id, first.event, "ep_1", "rule_1")
    assert (again.transform, again.key, again.max_attempts, again.attempt) == ("slim", "k", 3, 1)
    row = await bench.row("select replay_of from rowcast.delivery where id = :id", id=again.id)
    assert row["replay_of"] == first.id


async def test_a_replayed_job_keeps_its_arguments(bench: Any, dead: DeadLetters) -> None:
    await bench.run(
        """insert into rowcast.delivery (tenant_id, sink, target, payload, status)
           values ('acme', 'jobs', 'pdf', '{"n": 1}', 'dead')"""
    )

    await dead.replay(DeadFilter())

    (again,) = (await bench.ledger.claim("jobs", 1)).deliveries
    assert bytes(again.payload) == b'{"n": 1}'


async def test_replaying_twice_adds_nothing(bench: Any, dead: DeadLetters, die: Callable[..., Any]) -> None:
    await die(5)

    assert await dead.replay(DeadFilter(fingerprint="http_410")) == 5
    assert await dead.replay(DeadFilter(fingerprint="http_410")) == 0
    assert await bench.statuses() == ["dead"] * 5 + ["waiting"] * 5
    assert await dead.groups() == ()


async def test_replaying_at_once_from_two_places_adds_each_once(
    bench: Any, dead: DeadLetters, die: Callable[..., Any]
) -> None:
    await die(1200)

    async with asyncio.TaskGroup() as group:
        counts = [group.create_task(dead.replay(DeadFilter())) for _ in range(4)]

    assert sum(count.result() for count in counts) == 1200
    row = await bench.row(
        """select count(*) as all, count(distinct replay_of) as distinct
           from rowcast.delivery where replay_of is not null"""
    )
    assert (row["all"], row["distinct"]) == (1200, 1200)


@pytest.mark.parametrize(
    ("chosen", "replayed"),
    [
        (DeadFilter(ids=(1, 4)), [1, 4]),
        (DeadFilter(tenant_id="other"), [4]),
        (DeadFilter(tenant_id="other", ids=(1, 4)), [4]),
        (DeadFilter(fingerprint="http_400"), [3]),
        (DeadFilter(target="task_1"), [2]),
        (DeadFilter(sink="webhooks"), []),
        (DeadFilter(), [1, 2, 3, 4]),
    ],
)
async def test_exactly_the_chosen_dead_letters_are_replayed(
    bench: Any, dead: DeadLetters, die: Callable[..., Any], chosen: DeadFilter, replayed: list[int]
) -> None:
    await die(2, "acme", "http_410")
    await die(1, "acme", "http_400")
    await die(1, "other", "http_410")

    assert await dead.replay(chosen) == len(replayed)

    rows = await bench.rows("select replay_of from rowcast.delivery where replay_of is not null order by id")
    assert [row["replay_of"] for row in rows] == replayed


async def test_a_replay_stopped_half_way_leaves_the_rest_dead_and_can_go_on(
    bench: Any, dead: DeadLetters, die: Callable[..., Any]
) -> None:
    await die(1200)

    async for _ in dead.replay_in_batches(DeadFilter()):
        break
    waiting = (await bench.statuses()).count("waiting")

    assert waiting == 500
    assert await dead.replay(DeadFilter()) == 700


async def test_what_dies_while_a_replay_runs_is_left_to_the_next_one(
    bench: Any, dead: DeadLetters, die: Callable[..., Any], settle: Settle
) -> None:
    await die(600)
    replay = dead.replay_in_batches(DeadFilter())
    counts = [await anext(replay)]
    claim = await bench.ledger.claim("jobs", 500)
    again = Settled("dead", fingerprint="again")
    await bench.ledger.settle([settle(delivery, Rejected("x"), again) for delivery in claim.deliveries])

    counts += [count async for count in replay]

    assert counts == [500, 100]


async def test_all_legs_of_an_event_are_delivered_again(bench: Any, dead: DeadLetters, settle: Settle) -> None:
    event_id = await bench.event()
    await bench.owe(Owed("jobs", "a"), Owed("jobs", "b"), event_id=event_id)
    claim = await bench.ledger.claim("jobs", 2)
    await bench.ledger.settle(
        [settle(claim.deliveries[0]), settle(claim.deliveries[1], Rejected("x"), Settled("dead", fingerprint="f"))]
    )

    assert await dead.replay_event(event_id) == (3, 4)

    again = (await bench.ledger.claim("jobs", 9)).deliveries
    assert [(delivery.target, delivery.event_id) for delivery in again] == [("a", event_id), ("b", event_id)]


async def test_one_leg_is_replayed_alone(bench: Any, dead: DeadLetters, settle: Settle) -> None:
    event_id = await bench.event()
    await bench.owe(Owed("jobs", "a"), Owed("jobs", "b"), event_id=event_id)
    await bench.ledger.settle([settle(delivery) for delivery in (await bench.ledger.claim("jobs", 2)).deliveries])

    assert await dead.replay_event(event_id, leg=Leg(sink="jobs", target="b")) == (3,)


async def test_a_leg_that_is_on_its_way_is_not_doubled(bench: Any, dead: DeadLetters, settle: Settle) -> None:
    event_id = await bench.event()
    await bench.owe(Owed("jobs", "a"), event_id=event_id)
    assert await dead.replay_event(event_id) == ()
    (delivery,) = (await bench.ledger.claim("jobs", 1)).deliveries
    assert await dead.replay_event(event_id) == ()
    await bench.ledger.settle([settle(delivery)])

    assert [await dead.replay_event(event_id) for _ in range(2)] == [(2,), ()]


async def test_a_tenant_cannot_replay_the_event_of_another(bench: Any, dead: DeadLetters, settle: Settle) -> None:
    event_id = await bench.event()
    await bench.owe(Owed("jobs", "a"), event_id=event_id)
    await bench.ledger.settle([settle(delivery) for delivery in (await bench.ledger.claim("jobs", 1)).deliveries])

    assert await dead.replay_event(event_id, tenant_id="other") == ()
    assert await dead.replay(DeadFilter(tenant_id="other", event_id=event_id)) == 0
