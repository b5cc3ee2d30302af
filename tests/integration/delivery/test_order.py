"""Keys whose deliveries are made one after the other, and deliveries that a sink gives back untried."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

from rowcast.core.clock import SystemClock
from rowcast.core.delivery import Delivery, Owed, ordered_key
from rowcast.core.envelope import Envelope
from rowcast.core.outcome import Delivered, Outcome, Postponed, Rejected, Retry
from rowcast.core.retry import RetryPolicy, scheduled
from rowcast.delivery.lane import SinkOptions
from rowcast.delivery.ledger import Ledger
from rowcast.delivery.runner import Runner, RunnerSettings

ORDERED = ordered_key("ep_1")


class AnsweringSink:
    """Answers what `answer` says and keeps what it was asked, in order."""

    name = "jobs"
    retry_policy: RetryPolicy = scheduled((0.05, 0.05, 0.05))

    def __init__(self, answer: Callable[[Delivery], Outcome]) -> None:
        self._answer = answer
        self.begun: list[Delivery] = []
        self.running: defaultdict[str, int] = defaultdict(int)
        self.most: defaultdict[str, int] = defaultdict(int)

    async def targets(self, owed: Sequence[tuple[Envelope, Owed]]) -> Sequence[Sequence[Owed]]:
        return [[one] for _, one in owed]

    async def deliver(self, delivery: Delivery) -> Outcome:
        self.begun.append(delivery)
        self.running[delivery.key] += 1
        self.most[delivery.key] = max(self.most[delivery.key], self.running[delivery.key])
        await asyncio.sleep(0.001)
        self.running[delivery.key] -= 1
        return self._answer(delivery)


async def _run_until_settled(bench: Any, sink: AnsweringSink, *ledgers: Ledger) -> None:
    runners = [
        Runner(
            ledger=ledger,
            sinks={"jobs": sink},
            clock=SystemClock(),
            noise=lambda: 0.5,
            options={"jobs": SinkOptions(concurrency=16)},
            settings=RunnerSettings(poll_s=0.1),
        )
        for ledger in ledgers
    ]

    async def is_settled() -> bool:
        return not set(await bench.statuses()) & {"waiting", "running"}

    async with asyncio.TaskGroup() as group:
        for runner in runners:
            group.create_task(runner.run())
        try:
            await bench.until(is_settled, within_s=30.0)
        finally:
            for runner in runners:
                await runner.stop(5.0)


async def test_two_workers_make_the_deliveries_of_an_ordered_key_one_after_the_other(bench: Any) -> None:
    await bench.owe(*[Owed("jobs", "ep_1", key=ORDERED) for _ in range(40)], *[Owed("jobs", "ep_2") for _ in range(40)])
    sink = AnsweringSink(
        lambda each: Retry("busy") if each.is_ordered and each.id % 7 == 0 and each.attempt < 3 else Delivered()
    )

    await _run_until_settled(bench, sink, bench.ledger, bench.other())

    ordered = [delivery.id for delivery in sink.begun if delivery.is_ordered]
    assert ordered == sorted(ordered)
    assert (len(set(ordered)), len(ordered)) == (40, 40 + 2 * 5)
    assert sink.most[ORDERED] == 1
    assert sink.most["ep_2"] > 1


async def test_a_dead_or_cancelled_one_lets_the_next_of_its_key_go_on(bench: Any) -> None:
    await bench.owe(*[Owed("jobs", "ep_1", key=ORDERED) for _ in range(4)])
    answers: dict[int, Outcome] = {1: Rejected("gone"), 2: Rejected("disabled", is_cancelled=True), 3: Retry("busy")}
    sink = AnsweringSink(lambda each: answers.get(each.id, Delivered()))

    await _run_until_settled(bench, sink, bench.ledger)

    assert await bench.statuses() == ["dead", "cancelled", "dead", "delivered"]
    assert [delivery.id for delivery in sink.begun] == [1, 2, 3, 3, 3, 3, 4]


async def test_those_whose_turn_has_not_come_wait_uncounted_and_say_so(bench: Any) -> None:
    await bench.owe(*[Owed("jobs", "ep_1", key=ORDERED) for _ in range(3)])
    await bench.owe(Owed("jobs", "ep_1", key=ORDERED), tenant_id="beta")
    claimed = (await bench.ledger.claim("jobs", 10)).deliveries

    early = await bench.ledger.keep_order("jobs", claimed)

    rows = await bench.rows(
        "select id, attempt, held, due_at > now() + interval '50 s' as later from rowcast.delivery order by id"
    )
    assert early == {2, 3}
    assert [tuple(row.values()) for row in rows] == [
        (1, 1, "", False),
        (2, 0, "order", True),
        (3, 0, "order", True),
        (4, 1, "", False),
    ]
    assert await bench.ledger.call_forward("jobs", {("acme", ORDERED): 1}, reason="order") == 1


async def test_the_line_of_an_ordered_key_is_found_by_its_index_beside_many_others(bench: Any) -> None:
    await bench.run(
        """insert into rowcast.delivery (tenant_id, sink, target, key)
           select 'acme', 'jobs', 'ep_1', case when n % 100 = 0 then 'ordered:ep_1' else 'ep_' || n end
           from generate_series(1, 20000) n"""
    )
    await bench.run("analyze rowcast.delivery")

    rows = await bench.rows(
        """explain select id from rowcast.delivery where sink = 'jobs' and tenant_id = 'acme' and key = 'ordered:ep_1'
           and key like 'ordered:%' and status in ('waiting', 'running') order by id limit 1"""
    )

    assert "delivery_ordered" in str([tuple(row.values()) for row in rows])


async def test_a_delivery_that_was_not_tried_goes_back_and_no_attempt_is_counted(bench: Any) -> None:
    await bench.owe(Owed("jobs", "ep_1"))
    answers: list[Outcome] = [Postponed(0.05), Postponed(0.05), Delivered("200", detail='{"url":"u"}')]
    sink = AnsweringSink(lambda each: answers.pop(0))

    await _run_until_settled(bench, sink, bench.ledger)

    row = await bench.row("select attempt, status from rowcast.delivery")
    attempts = await bench.rows("select attempt, outcome, detail ->> 'url' as url from rowcast.attempt")
    assert tuple(row.values()) == (1, "delivered")
    assert [tuple(each.values()) for each in attempts] == [(1, "delivered", "u")]


async def test_the_targets_own_policy_wins_over_that_of_its_sink(bench: Any) -> None:
    await bench.owe(Owed("jobs", "ep_1"))
    sink = AnsweringSink(lambda each: Retry("busy", policy=scheduled((0.01,))))

    await _run_until_settled(bench, sink, bench.ledger)

    assert await bench.attempts() == [(1, "retry", "busy"), (2, "retry", "busy")]
    assert await bench.statuses() == ["dead"]
