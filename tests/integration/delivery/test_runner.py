import asyncio
import os
import signal
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from rowcast.core.clock import SystemClock
from rowcast.core.delivery import Delivery, Owed
from rowcast.core.envelope import Envelope
from rowcast.core.errors import StoreUnavailableError
from rowcast.core.outcome import Delivered, Outcome, Rejected, Retry
from rowcast.core.retry import RetryPolicy
from rowcast.core.telemetry import listening
from rowcast.delivery.breaker import BreakerPolicy
from rowcast.delivery.lane import SinkOptions, alike
from rowcast.delivery.ledger import Claim, Ledger, Settlement
from rowcast.delivery.rate_limit import Limits, spacing_us
from rowcast.delivery.runner import Runner, RunnerSettings
from rowcast.store.sql import parse_query
from rowcast.testing.fake_clock import FakeClock

_WORKER = Path(__file__).with_name("worker.py")
Act = Callable[[Delivery], Awaitable[Outcome]]


class ActingSink:
    """Does what the test says for each delivery; keeps in which order attempts began and how many ran at once."""

    def __init__(self, act: Act | None = None, name: str = "jobs", retry_policy: RetryPolicy | None = None) -> None:
        self.name = name
        self.retry_policy = retry_policy or RetryPolicy(base_s=0.0, max_attempts=3)
        self.begun: list[Delivery] = []
        self.running = 0
        self.most_running = 0
        self._act = act

    async def targets(self, owed: Sequence[tuple[Envelope, Owed]]) -> Sequence[Sequence[Owed]]:
        return [[one] for _, one in owed]

    async def deliver(self, delivery: Delivery) -> Outcome:
        self.begun.append(delivery)
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        try:
            return await self._act(delivery) if self._act else Delivered()
        finally:
            self.running -= 1


def _runner(ledger: Ledger, *sinks: ActingSink, poll_s: float = 0.2, clock: Any = None, **options: Any) -> Runner:
    return Runner(
        ledger=ledger,
        sinks={sink.name: sink for sink in sinks},
        clock=clock or SystemClock(),
        noise=lambda: 0.5,
        options={sink.name: SinkOptions(**options) for sink in sinks},
        settings=RunnerSettings(poll_s=poll_s),
    )


@asynccontextmanager
async def _running(*runners: Runner) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(runner.run()) for runner in runners]
        try:
            yield
        finally:
            for runner in runners:
                await runner.stop(5.0)
            for task in tasks:
                task.cancel()


async def _hang(delivery: Delivery) -> Outcome:
    await asyncio.Event().wait()
    return Delivered()


async def test_what_is_owed_is_delivered_and_settled_with_its_attempt(bench: Any) -> None:
    await bench.owe_many(1_200)
    sink = ActingSink()

    async with _running(_runner(bench.ledger, sink)):
        await bench.until(lambda: bench.all_are("delivered"))

    assert len(sink.begun) == 1_200
    assert Counter(await bench.attempts()) == {(1, "delivered", ""): 1_200}


async def test_what_attempts_need_is_read_while_their_limits_are_asked_for(bench: Any) -> None:
    await bench.owe_many(3)
    order: list[str] = []
    is_asked, is_prepared = asyncio.Event(), asyncio.Event()

    async def prepare(deliveries: Sequence[Delivery]) -> None:
        order.append(f"prepare {len(deliveries)}")
        await is_asked.wait()
        is_prepared.set()

    async def limits(deliveries: Sequence[Delivery]) -> Sequence[Limits]:
        is_asked.set()
        await is_prepared.wait()
        order.append("limits")
        return [Limits()] * len(deliveries)

    async def act(delivery: Delivery) -> Outcome:
        order.append("attempt")
        return Delivered()

    async with _running(_runner(bench.ledger, ActingSink(act), prepare=prepare, limits=limits)):
        await bench.until(lambda: bench.all_are("delivered"))

    assert order == ["prepare 3", "limits", "attempt", "attempt", "attempt"]


async def test_what_cannot_be_prepared_is_delivered_all_the_same(bench: Any) -> None:
    await bench.owe_many(3)

    async def prepare(deliveries: Sequence[Delivery]) -> None:
        raise StoreUnavailableError("away")

    async with _running(_runner(bench.ledger, ActingSink(), prepare=prepare)):
        await bench.until(lambda: bench.all_are("delivered"))

    assert len(await bench.attempts()) == 3


async def test_a_delivery_that_fails_for_ever_is_tried_as_often_as_the_policy_says_and_is_dead_then(bench: Any) -> None:
    await bench.owe_many(1)

    async def refuse(delivery: Delivery) -> Outcome:
        return Retry("http_503", excerpt="busy")

    async with _running(_runner(bench.ledger, ActingSink(refuse))):
        await bench.until(lambda: bench.all_are("dead"))

    assert await bench.attempts() == [(1, "retry", "http_503"), (2, "retry", "http_503"), (3, "retry", "http_503")]


async def _poison(delivery: Delivery) -> Outcome:
    match delivery.target:
        case "raises":
            raise ValueError("no")
        case "exits":
            sys.exit(3)
        case "recurses":
            return await _poison(delivery)
        case "cancels":
            raise asyncio.CancelledError
        case "hangs":
            return await _hang(delivery)
        case "has no store":
            raise StoreUnavailableError("The database is away.")
        case "lies":
            return None  # type: ignore[return-value]
    return Delivered()


async def test_a_sink_that_raises_hangs_exits_or_lies_never_disturbs_its_neighbours(bench: Any) -> None:
    poison = ["raises", "exits", "recurses", "cancels", "hangs", "has no store", "lies"]
    await bench.owe(*[Owed("jobs", target, max_attempts=1) for target in poison], *[Owed("jobs", "good")] * 20)

    async with _running(_runner(bench.ledger, ActingSink(_poison), timeout_s=0.3)):
        await bench.until(lambda: _none_is_left(bench))

    assert await bench.statuses() == ["dead"] * 7 + ["delivered"] * 20
    reasons = [row["reason"] for row in await bench.rows("select reason from rowcast.attempt order by delivery_id")][:7]
    assert reasons == [
        "crash:ValueError",
        "crash:SystemExit",
        "crash:RecursionError",
        "crash:CancelledError",
        "timeout",
        "store_unavailable",
        "sink_fault",
    ]


async def _none_is_left(bench: Any) -> bool:
    return not {"waiting", "running"} & set(await bench.statuses())


async def test_a_sink_that_hangs_does_not_hold_up_another_sink(bench: Any) -> None:
    await bench.owe_many(8)
    await bench.owe(Owed("webhooks", "ep_1"))
    webhooks = ActingSink(name="webhooks")
    runner = _runner(bench.ledger, ActingSink(_hang), webhooks, concurrency=2)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(runner.run())
        await bench.until(lambda: _count_is(webhooks.begun, 1))
        await runner.stop(0.1)
        await task


async def _count_is(things: Sequence[object], count: int) -> bool:
    return len(things) == count


async def test_no_more_attempts_run_at_once_than_the_sinks_concurrency(bench: Any) -> None:
    await bench.owe_many(60)

    async def take_a_moment(delivery: Delivery) -> Outcome:
        await asyncio.sleep(0.005)
        return Delivered()

    sink = ActingSink(take_a_moment)
    async with _running(_runner(bench.ledger, sink, concurrency=7, tenant_share=1.0)):
        await bench.until(lambda: bench.all_are("delivered"))

    assert sink.most_running == 7


async def test_a_nudge_wakes_a_resting_runner(bench: Any) -> None:
    sink = ActingSink()
    runner = _runner(bench.ledger, sink, poll_s=60.0)

    async with _running(runner):
        for count in (1, 2, 3):
            await bench.owe_many(1)
            runner.nudge("jobs")
            await bench.until(lambda count=count: _count_is(sink.begun, count))  # type: ignore[misc]


async def test_without_a_nudge_the_next_poll_finds_what_is_due(bench: Any) -> None:
    sink = ActingSink()

    async with _running(_runner(bench.ledger, sink, poll_s=0.1)):
        await asyncio.sleep(0.05)
        await bench.owe_many(1)
        await bench.until(lambda: _count_is(sink.begun, 1))


async def test_what_was_committed_long_after_it_fell_due_is_delivered_too(bench: Any) -> None:
    sink = ActingSink()
    async with _running(_runner(bench.ledger, sink)):
        await bench.owe(Owed("jobs", "in time"))
        await bench.until(lambda: _count_is(sink.begun, 1))
        await bench.owe(Owed("jobs", "late", delay_s=-3600.0))
        await bench.until(lambda: _count_is(sink.begun, 2))

    assert [delivery.target for delivery in sink.begun] == ["in time", "late"]


async def test_a_resting_runner_knows_when_the_next_delivery_is_due(bench: Any) -> None:
    await bench.owe(Owed("jobs", "later", delay_s=0.3))
    sink = ActingSink()

    async with _running(_runner(bench.ledger, sink, poll_s=60.0)):
        await bench.until(lambda: bench.all_are("delivered"))

    early = await bench.row("select started_at < due_at as is_early from rowcast.attempt, rowcast.delivery")
    assert early["is_early"] is False


async def test_a_stop_lets_what_is_in_flight_finish_and_claims_nothing_more(bench: Any) -> None:
    await bench.owe_many(10)
    go = asyncio.Event()

    async def wait_for_go(delivery: Delivery) -> Outcome:
        await go.wait()
        return Delivered()

    sink = ActingSink(wait_for_go)
    runner = _runner(bench.ledger, sink, concurrency=4, tenant_share=1.0)
    async with asyncio.TaskGroup() as group:
        group.create_task(runner.run())
        await bench.until(lambda: _count_is(sink.begun, 4))
        stopping = group.create_task(runner.stop(20.0))
        await asyncio.sleep(0.05)
        go.set()
        await stopping

    assert Counter(await bench.statuses()) == {"delivered": 4, "waiting": 6}


async def test_a_stop_past_its_grace_gives_the_rest_back_at_once_and_uncounted(bench: Any) -> None:
    await bench.owe_many(3)
    sink = ActingSink(_hang)
    runner = _runner(bench.ledger, sink, lease_s=60.0)

    async with asyncio.TaskGroup() as group:
        group.create_task(runner.run())
        await bench.until(lambda: _count_is(sink.begun, 3))
        await runner.stop(0.1)

    claim = await bench.other().claim("jobs", 10)
    assert [(delivery.attempt, delivery.fence) for delivery in claim.deliveries] == [(1, 2)] * 3
    assert await bench.attempts() == []


class _Pausing(Ledger):
    """A ledger whose first claim comes back when the test lets it."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.claimed = asyncio.Event()
        self.go = asyncio.Event()

    async def claim(self, sink: str, limit: int, **options: Any) -> Claim:
        claim = await super().claim(sink, limit, **options)
        self.claimed.set()
        await self.go.wait()
        return claim


async def test_what_a_claim_under_way_brings_after_the_stop_is_given_back_untried(bench: Any) -> None:
    await bench.owe_many(5)
    ledger, sink = _Pausing(database=bench.database, worker="w"), ActingSink()
    runner = _runner(ledger, sink, lease_s=60.0)

    async with asyncio.TaskGroup() as group:
        group.create_task(runner.run())
        await ledger.claimed.wait()
        stopping = group.create_task(runner.stop(5.0))
        await asyncio.sleep(0)
        ledger.go.set()
        await stopping

    assert sink.begun == []
    claim = await bench.other().claim("jobs", 10)
    assert [(delivery.attempt, delivery.fence) for delivery in claim.deliveries] == [(1, 2)] * 5


async def test_a_cancelled_runner_ends_with_its_attempts(bench: Any) -> None:
    await bench.owe_many(2)
    sink = ActingSink(_hang)

    async with asyncio.TaskGroup() as group:
        task = group.create_task(_runner(bench.ledger, sink).run())
        await bench.until(lambda: _count_is(sink.begun, 2))
        task.cancel()

    assert sink.running == 0


async def test_an_attempt_longer_than_its_lease_keeps_its_delivery(bench: Any) -> None:
    await bench.owe_many(1)

    async def take_long(delivery: Delivery) -> Outcome:
        await asyncio.sleep(1.5)
        return Delivered()

    sinks = [ActingSink(take_long), ActingSink(take_long)]
    runners = [
        _runner(ledger, sink, lease_s=0.6, poll_s=0.05)
        for ledger, sink in zip((bench.ledger, bench.other()), sinks, strict=True)
    ]
    async with _running(*runners):
        await bench.until(lambda: bench.all_are("delivered"))

    assert sum(len(sink.begun) for sink in sinks) == 1
    assert await bench.attempts() == [(1, "delivered", "")]


async def test_an_attempt_whose_lease_another_worker_has_is_ended(bench: Any) -> None:
    await bench.owe_many(1)
    sink = ActingSink(_hang)
    runner = _runner(bench.ledger, sink, lease_s=0.4, poll_s=60.0)

    async with _running(runner):
        await bench.until(lambda: _count_is(sink.begun, 1))
        await bench.let_leases_run_out()
        (taken,) = (await bench.other().claim("jobs", 1)).deliveries
        await bench.until(lambda: _is_idle(sink))

    assert taken.fence == 2
    assert await bench.statuses() == ["running"]


async def _is_idle(sink: ActingSink) -> bool:
    return sink.running == 0


class _StandingStill(Ledger):
    """A ledger whose claim takes longer than the lease, as when the whole process is frozen after it."""

    clock: FakeClock

    async def claim(self, sink: str, limit: int, **options: Any) -> Claim:
        claim = await super().claim(sink, limit, **options)
        self.clock.tick(11.0)
        return claim


async def test_an_attempt_does_not_begin_when_its_lease_ran_out_meanwhile(bench: Any) -> None:
    await bench.owe_many(1)
    ledger = _StandingStill(database=bench.database, worker="frozen")
    ledger.clock = FakeClock()
    sink = ActingSink()
    told: list[str] = []

    with listening(lambda name, facts: told.append(name)):
        async with _running(_runner(ledger, sink, clock=ledger.clock)):
            await bench.until(lambda: _is_told(told, "delivery.lease_lost"))

    assert sink.begun == []


async def _is_told(told: list[str], name: str) -> bool:
    return name in told


async def _start_worker(dsn: str, how: str, lease_s: float = 1.0) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, str(_WORKER), dsn, str(lease_s), how, stdout=asyncio.subprocess.PIPE
    )


async def _line(worker: asyncio.subprocess.Process, word: str) -> str:
    assert worker.stdout is not None
    async with asyncio.timeout(20.0):
        while word not in (line := (await worker.stdout.readline()).decode()):
            assert line, f"the worker ended before it said {word}"
    return line


async def test_a_frozen_worker_that_wakes_after_its_lease_changes_nothing(bench: Any, dsn: str) -> None:
    await bench.owe_many(1)
    worker = await _start_worker(dsn, "slow")
    try:
        await _line(worker, "begun 1")
        os.kill(worker.pid, signal.SIGSTOP)
        async with _running(_runner(bench.ledger, ActingSink())):
            await bench.until(lambda: bench.all_are("delivered"))
        before = await bench.row(
            "select d.*, (select count(*) from rowcast.attempt) as attempts from rowcast.delivery d"
        )
        os.kill(worker.pid, signal.SIGCONT)
        await _line(worker, "delivery.")
    finally:
        worker.kill()
        await worker.wait()

    after = await bench.row("select d.*, (select count(*) from rowcast.attempt) as attempts from rowcast.delivery d")
    assert dict(after) == dict(before)
    assert await bench.attempts() == [(1, "lost", "lease_expired"), (2, "delivered", "")]


async def test_a_worker_killed_between_attempt_and_result_leaves_a_lost_attempt_and_the_delivery_comes_again(
    bench: Any, dsn: str
) -> None:
    await bench.owe_many(3)
    worker = await _start_worker(dsn, "crash")
    assert await worker.wait() == 9

    async with _running(_runner(bench.ledger, ActingSink())):
        await bench.until(lambda: bench.all_are("delivered"))

    assert Counter(await bench.attempts()) == {(1, "lost", "lease_expired"): 3, (2, "delivered", ""): 3}


class _Unsettling(Ledger):
    """A ledger whose store is away for the first settlements."""

    failures = 3

    async def settle(self, results: Sequence[Settlement]) -> int:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailableError("away")
        return await super().settle(results)


async def test_results_are_kept_while_the_store_is_away_and_nothing_is_delivered_twice(bench: Any) -> None:
    await bench.owe_many(40)
    sink = ActingSink()

    async with _running(_runner(_Unsettling(database=bench.database, worker="w"), sink)):
        await bench.until(lambda: bench.all_are("delivered"))

    assert len(sink.begun) == 40


async def test_a_runner_whose_sessions_are_ended_again_and_again_delivers_everything(bench: Any) -> None:
    await bench.owe_many(300)
    kill = """select pg_terminate_backend(pid) from pg_stat_activity
              where datname = current_database() and pid <> pg_backend_pid()"""

    async def take_a_moment(delivery: Delivery) -> Outcome:
        await asyncio.sleep(0.02)
        return Delivered()

    sink = ActingSink(take_a_moment)
    async with _running(_runner(bench.ledger, sink, concurrency=10, tenant_share=1.0, lease_s=1.0)):
        for _ in range(6):
            await _tolerant(bench, kill)
            await asyncio.sleep(0.1)
        await bench.until(lambda: _all_delivered(bench), within_s=60.0)

    delivered = [attempt for attempt in await bench.attempts() if attempt[1] == "delivered"]
    assert len(delivered) == 300


async def _tolerant(bench: Any, text: str) -> None:
    try:
        await bench.run(text)
    except StoreUnavailableError:
        return


async def _all_delivered(bench: Any) -> bool:
    try:
        return bool(await bench.all_are("delivered"))
    except StoreUnavailableError:
        return False


async def test_a_tenant_with_a_backlog_of_slow_deliveries_does_not_keep_another_waiting(bench: Any) -> None:
    await bench.owe_many(400, tenant_id="hot")
    sink = ActingSink(_one_moment)

    async with _running(_runner(bench.ledger, sink, concurrency=8)):
        await bench.until(lambda: _at_least(sink.begun, 20))
        await bench.owe_many(1, tenant_id="quiet")
        before = len(sink.begun)
        await bench.until(lambda: _has_begun(sink, "quiet"))

    place = [delivery.tenant_id for delivery in sink.begun].index("quiet")
    assert place - before < 40


async def _one_moment(delivery: Delivery) -> Outcome:
    await asyncio.sleep(0.02)
    return Delivered()


async def _is_held(bench: Any, reason: str) -> bool:
    return bool(await bench.rows("select 1 from rowcast.delivery where held = :reason", reason=reason))


async def _at_least(things: Sequence[object], count: int) -> bool:
    return len(things) >= count


async def _has_begun(sink: ActingSink, tenant_id: str) -> bool:
    return any(delivery.tenant_id == tenant_id for delivery in sink.begun)


async def test_a_tenant_whose_attempts_all_hang_leaves_room_for_the_others(bench: Any) -> None:
    await bench.owe_many(50, tenant_id="hot")

    async def hang_if_hot(delivery: Delivery) -> Outcome:
        return await _hang(delivery) if delivery.tenant_id == "hot" else Delivered()

    sink = ActingSink(hang_if_hot)
    runner = _runner(bench.ledger, sink, concurrency=8, tenant_share=0.75)
    async with asyncio.TaskGroup() as group:
        group.create_task(runner.run())
        await bench.until(lambda: _at_least(sink.begun, 6))
        await bench.owe_many(30, tenant_id="quiet")
        runner.nudge()
        await bench.until(lambda: _count_is([d for d in sink.begun if d.tenant_id == "quiet"], 30))
        await runner.stop(0.1)

    assert Counter(delivery.tenant_id for delivery in sink.begun) == {"hot": 6, "quiet": 30}


async def test_an_open_breaker_holds_its_key_back_without_counting_attempts_and_others_go_on(bench: Any) -> None:
    await bench.owe(*[Owed("jobs", "dead", max_attempts=99)] * 30, *[Owed("jobs", "good")] * 30)

    async def refuse_the_dead(delivery: Delivery) -> Outcome:
        return Retry("timeout", after_s=600.0) if delivery.target == "dead" else Delivered()

    sink = ActingSink(refuse_the_dead, retry_policy=RetryPolicy(base_s=1.0))
    options = {"concurrency": 5, "tenant_share": 1.0, "breaker": BreakerPolicy(failures=3, open_s=600.0)}
    async with _running(_runner(bench.ledger, sink, **options)):
        await bench.until(lambda: _held(bench, "breaker", at_least=20))
        await bench.until(lambda: _count_is([d for d in sink.begun if d.target == "good"], 30))

    tried = sum(delivery.target == "dead" for delivery in sink.begun)
    assert 3 <= tried <= 10
    row = await bench.row("select sum(attempt) as counted from rowcast.delivery where target = 'dead'")
    assert row["counted"] == tried


async def _held(bench: Any, reason: str, *, at_least: int) -> bool:
    row = await bench.row("select count(*) from rowcast.delivery where held = :held", held=reason)
    return bool(row["count"] >= at_least)


_HOLD_AN_HOUR = """
with held as (
    update rowcast.delivery set due_at = now() + interval '1 hour' where held = 'breaker' and status = 'waiting'
    returning id
) select count(*) from held
"""


async def test_a_probe_that_was_claimed_and_never_made_is_made_by_the_next_delivery(bench: Any) -> None:
    await bench.owe(Owed("jobs", "ep", max_attempts=99))
    asked: list[int] = []

    async def limits(deliveries: Sequence[Delivery]) -> Sequence[Limits]:
        asked.append(len(deliveries))
        if len(asked) == 2:
            raise StoreUnavailableError("away")
        return [Limits()] * len(deliveries)

    async def fail_once(delivery: Delivery) -> Outcome:
        return Retry("timeout") if len(asked) == 1 else Delivered()

    sink = ActingSink(fail_once, retry_policy=RetryPolicy(base_s=0.0))
    breaker = BreakerPolicy(failures=1, open_s=0.05)
    async with _running(_runner(bench.ledger, sink, breaker=breaker, limits=limits)):
        await bench.until(lambda: bench.all_are("delivered"))

    row = await bench.row("select attempt from rowcast.delivery")
    assert (len(sink.begun), row["attempt"]) == (2, 2)


class _ForgetfulLedger(Ledger):
    """Takes results only after a while."""

    until_s = 0.0

    async def settle(self, results: Sequence[Settlement]) -> int:
        if asyncio.get_running_loop().time() < self.until_s:
            raise StoreUnavailableError("away")
        return await super().settle(results)


async def test_what_is_done_and_cannot_be_recorded_yet_is_not_done_again_when_its_lease_is_over(bench: Any) -> None:
    await bench.owe_many(5)
    ledger = _ForgetfulLedger(database=bench.database, worker="w")
    ledger.until_s = asyncio.get_running_loop().time() + 1.5
    sink = ActingSink()

    async with _running(_runner(ledger, sink, poll_s=0.05, lease_s=0.2)):
        await bench.until(lambda: bench.all_are("delivered"))

    assert len(sink.begun) == 5


async def test_a_target_that_answers_again_gets_its_backlog_at_once(bench: Any) -> None:
    await bench.owe(*[Owed("jobs", "ep", max_attempts=99)] * 12)
    answers = [Retry("timeout")] * 3

    async def recover(delivery: Delivery) -> Outcome:
        if answers:
            return answers.pop()
        if len(sink.begun) == 4:  # from here on only being called forward brings the others back in time
            await bench.row(_HOLD_AN_HOUR)
        return Delivered()

    sink = ActingSink(recover)
    options = {"concurrency": 1, "tenant_share": 1.0, "breaker": BreakerPolicy(failures=3, open_s=0.3)}
    async with _running(_runner(bench.ledger, sink, poll_s=0.05, **options)):
        await bench.until(lambda: bench.all_are("delivered"))


async def test_two_runners_together_keep_a_keys_concurrency(bench: Any) -> None:
    await bench.owe(*[Owed("jobs", "ep")] * 40)
    running = Counter[str]()
    most = 0

    async def count(delivery: Delivery) -> Outcome:
        nonlocal most
        running[delivery.key] += 1
        most = max(most, running[delivery.key])
        await asyncio.sleep(0.005)
        running[delivery.key] -= 1
        return Delivered()

    options = {"limits": alike(Limits(concurrency=3)), "poll_s": 0.1}
    async with _running(
        _runner(bench.ledger, ActingSink(count), **options), _runner(bench.other(), ActingSink(count), **options)
    ):
        await bench.until(lambda: bench.all_are("delivered"))

    assert most == 3
    assert {attempt[1] for attempt in await bench.attempts()} == {"delivered"}


async def test_two_runners_together_keep_a_keys_rate(bench: Any) -> None:
    await bench.owe(*[Owed("jobs", "ep")] * 60)
    sinks = [ActingSink(), ActingSink()]
    limits = Limits(rate_per_minute=600, burst=5)
    runners = [
        _runner(ledger, sink, limits=alike(limits), poll_s=0.05)
        for ledger, sink in zip((bench.ledger, bench.other()), sinks, strict=True)
    ]
    async with _running(*runners):
        await bench.until(lambda: _at_least([*sinks[0].begun, *sinks[1].begun], 20))

    # All permits lie between the first claim and the last result, and n of them take n - burst spacings.
    row = await bench.row(
        """select count(*) as permits,
                  extract(epoch from max(settled_at) - min(claimed_at))::float8 * 1000000 as elapsed_us
           from rowcast.delivery where status = 'delivered'"""
    )
    assert row["elapsed_us"] >= (row["permits"] - limits.burst) * spacing_us(limits)


async def test_an_event_that_is_no_longer_there_makes_a_dead_letter_that_says_so(bench: Any) -> None:
    await bench.owe(Owed("jobs", "x"), event_id=uuid.uuid4())
    await bench.run("update rowcast.delivery set created_at = created_at - interval '2 minutes'")

    async with _running(_runner(bench.ledger, ActingSink())):
        await bench.until(lambda: bench.all_are("dead"))

    assert await bench.attempts() == [(1, "rejected", "event_archived")]


async def test_an_event_that_other_sessions_do_not_see_yet_is_waited_for(bench: Any) -> None:
    """The log tells of a commit before it is visible: whoever commits may wait for a standby, or for the processor."""
    sink = ActingSink()
    async with _running(_runner(bench.ledger, sink)):
        async with bench.database.transaction() as connection:
            emitted = parse_query("emitted", "select rowcast.emit('acme', 'orders.confirmed', '{}') as id")
            row = await connection.fetch_one(emitted)
            await bench.owe(Owed("jobs", "x"), event_id=row["id"])
            await bench.until(lambda: _is_held(bench, "event"))
            assert sink.begun == []
        await bench.until(lambda: bench.all_are("delivered"))

    assert dict(await bench.row("select attempt, held from rowcast.delivery")) == {"attempt": 1, "held": ""}


async def test_each_attempt_is_told_once_when_it_ends(bench: Any) -> None:
    await bench.owe_many(1)
    told: list[dict[str, object]] = []

    async def refuse(delivery: Delivery) -> Outcome:
        return Rejected("http_410")

    with listening(lambda name, facts: told.append({"name": name, **facts})):
        async with _running(_runner(bench.ledger, ActingSink(refuse))):
            await bench.until(lambda: bench.all_are("dead"))

    (settled,) = [facts for facts in told if facts["name"] == "delivery.settled"]
    assert (settled["sink"], settled["status"], settled["reason"], settled["attempt"]) == (
        "jobs",
        "dead",
        "http_410",
        1,
    )
