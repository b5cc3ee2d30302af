import asyncio
import contextvars
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from rowcast.core.delivery import Delivery, Owed
from rowcast.core.envelope import Envelope
from rowcast.core.errors import (
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
    StoreUnavailableError,
    UsageError,
    VendorError,
)
from rowcast.core.outcome import Delivered, Rejected, Retry
from rowcast.core.retry import RetryPolicy
from rowcast.core.sink import Sink
from rowcast.core.telemetry import listening
from rowcast.jobs.sink import JobSink, outcome_of
from rowcast.jobs.task import Task

AT = datetime(2026, 1, 1, tzinfo=UTC)
EVENT = Envelope(
    id=uuid.UUID(int=1), tenant_id="acme", aggregate_type="order", aggregate_id="o", event_type="orders.confirmed",
    version=1, occurred_at=AT, payload=msgspec.Raw(b"{}"),
)  # fmt: skip
SPEAKER: contextvars.ContextVar[str] = contextvars.ContextVar("speaker", default="nobody")


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


def job(target: str = "t", payload: bytes | None = None) -> Delivery:
    return Delivery(
        id=1, tenant_id="acme", sink="jobs", target=target, attempt=1, fence=1, due_at=AT,
        payload=msgspec.Raw(payload) if payload is not None else None,
    )  # fmt: skip


def sink_of(threads: ThreadPoolExecutor, function: Callable[..., Any], **bounds: Any) -> JobSink:
    return JobSink(tasks=[Task("t", function, **bounds)], executor=threads)


async def outcome(threads: ThreadPoolExecutor, function: Callable[..., Any], **bounds: Any) -> Any:
    return await sink_of(threads, function, **bounds).deliver(job())


def raising(error: BaseException) -> Callable[[], Any]:
    async def fail() -> None:
        raise error

    return fail


def returning(value: Any) -> Callable[[], Any]:
    async def give() -> Any:
        return value

    return give


def test_it_is_a_sink_named_jobs(threads: ThreadPoolExecutor) -> None:
    sink: Sink = JobSink(tasks=[], executor=threads, retry_policy=RetryPolicy(max_attempts=3))

    assert sink.name == "jobs"
    assert sink.retry_policy.max_attempts == 3


def test_it_says_how_long_an_attempt_may_take(threads: ThreadPoolExecutor) -> None:
    tasks = [Task("a", returning(1), 5.0), Task("b", returning(1), 60.0)]

    assert JobSink(tasks=tasks, executor=threads).longest_timeout_s == 60.0
    assert JobSink(tasks=[], executor=threads).longest_timeout_s == 0.0


async def test_an_async_task_runs_and_its_result_is_kept_as_json(threads: ThreadPoolExecutor) -> None:
    assert await outcome(threads, returning({"receipt": 1})) == Delivered(result='{"receipt":1}')


async def test_a_task_without_a_result_is_delivered_all_the_same(threads: ThreadPoolExecutor) -> None:
    assert await outcome(threads, returning(None)) == Delivered()


async def test_a_task_that_is_not_async_runs_in_a_thread_with_the_context_of_its_delivery(
    threads: ThreadPoolExecutor,
) -> None:
    SPEAKER.set("acme")

    found = await outcome(threads, lambda: [SPEAKER.get(), threading.current_thread() is threading.main_thread()])

    assert found == Delivered(result='["acme",false]')


async def test_a_task_gets_its_arguments(threads: ThreadPoolExecutor) -> None:
    def add(one: int, other: int = 10) -> int:
        return one + other

    assert await sink_of(threads, add).deliver(job(payload=b'{"one":1}')) == Delivered(result="11")


async def test_a_task_gets_its_event(threads: ThreadPoolExecutor) -> None:
    async def note(event: Any) -> str:
        return str(event.aggregate_id)

    delivery = msgspec.structs.replace(job(), event=EVENT, event_id=EVENT.id)

    assert await sink_of(threads, note).deliver(delivery) == Delivered(result='"o"')


async def test_a_task_that_nobody_has_is_rejected_with_the_known_ones(threads: ThreadPoolExecutor) -> None:
    found = await sink_of(threads, returning(1)).deliver(job("shop.lost"))

    assert found == Rejected(
        "unknown_task", excerpt="There is no task shop.lost here. Known: t. Add its pack to the setting `packs`."
    )


async def test_arguments_that_do_not_fit_are_rejected(threads: ThreadPoolExecutor) -> None:
    async def pack(order_id: str) -> None:
        """Pack."""

    found = await sink_of(threads, pack).deliver(job(payload=b"{}"))

    assert isinstance(found, Rejected)
    assert found.reason == "input.payload"


async def test_a_task_that_takes_too_long_is_tried_again(threads: ThreadPoolExecutor) -> None:
    async def stand_still() -> None:
        await asyncio.Event().wait()

    assert (await outcome(threads, stand_still, timeout_s=0.01)).reason == "timeout"


async def test_a_thread_that_takes_too_long_is_left_to_itself_and_holds_its_place(threads: ThreadPoolExecutor) -> None:
    may_end = threading.Event()
    sink = JobSink(
        tasks=[Task("slow", lambda: may_end.wait(30) and None, 0.02), Task("t", lambda: "ran", 0.02)], executor=threads
    )

    slow = await sink.deliver(job("slow"))
    crowded = await sink.deliver(job("t"))
    may_end.set()
    threads.submit(int).result()

    assert (slow.reason, crowded.reason) == ("timeout", "no_free_thread")  # type: ignore[union-attr]
    assert await sink.deliver(job("t")) == Delivered(result='"ran"')


async def test_a_crash_is_tried_again_and_says_where(threads: ThreadPoolExecutor) -> None:
    found = await outcome(threads, raising(ValueError("bad total")))

    assert found.reason == "crash:ValueError"
    assert found.excerpt.startswith("bad total (test_sink.py:")


async def test_a_timeout_inside_a_task_is_its_own_crash(threads: ThreadPoolExecutor) -> None:
    assert (await outcome(threads, raising(TimeoutError()))).reason == "crash:TimeoutError"


@pytest.mark.parametrize(
    "error",
    [SystemExit(1), KeyboardInterrupt(), BaseException("x"), RecursionError(), asyncio.CancelledError()],
    ids=repr,
)
async def test_a_task_cannot_take_the_runner_down(threads: ThreadPoolExecutor, error: BaseException) -> None:
    assert (await outcome(threads, raising(error))).reason == f"crash:{type(error).__name__}"


async def test_a_thread_cannot_take_the_runner_down(threads: ThreadPoolExecutor) -> None:
    def leave() -> None:
        raise SystemExit(1)

    assert (await outcome(threads, leave)).reason == "crash:SystemExit"


async def test_a_cancelled_runner_cancels_its_task(threads: ThreadPoolExecutor) -> None:
    started, seen = asyncio.Event(), []

    async def watch() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            seen.append("cancelled")

    async with asyncio.TaskGroup() as group:
        running = group.create_task(outcome(threads, watch))
        await started.wait()
        running.cancel()

    assert running.cancelled()
    assert seen == ["cancelled"]


@pytest.mark.parametrize("value", [Delivered(code="ok"), Retry("later", after_s=60.0), Rejected("no_such_order")])
async def test_a_task_may_say_its_outcome_itself(threads: ThreadPoolExecutor, value: Any) -> None:
    assert await outcome(threads, returning(value)) == value


@pytest.mark.parametrize("value", [object(), "x" * 65_535], ids=["no JSON", "too large"])
async def test_a_result_that_cannot_be_kept_does_not_bring_the_job_again(
    threads: ThreadPoolExecutor, value: Any
) -> None:
    heard: list[str] = []

    with listening(lambda name, facts: heard.append(name)):
        found = await outcome(threads, returning(value))

    assert isinstance(found, Delivered)
    assert (found.code, found.result) == ("result_dropped", None)
    assert found.excerpt
    assert heard == ["job.result_dropped"]


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InvalidInputError("no", code="input.order"), Rejected("input.order", excerpt="no")),
        (UsageError("no"), Rejected("usage.invalid", excerpt="no")),
        (LimitExceededError("no", retry_after_s=7.0), Retry("limit.exceeded", after_s=7.0, excerpt="no")),
        (StoreUnavailableError("no"), Retry("store.unavailable", excerpt="no")),
        (VendorError("no", vendor="x", is_retryable=True), Retry("vendor.failed", excerpt="no")),
        (VendorError("no", vendor="x"), Rejected("vendor.failed", excerpt="no")),
    ],
)
def test_an_error_of_the_family_knows_whether_trying_again_can_help(error: Exception, expected: Any) -> None:
    assert outcome_of(error) == expected


def test_a_long_error_is_cut() -> None:
    assert len(outcome_of(ValueError("x" * 5000)).excerpt) == 1024


async def test_a_target_is_itself_with_the_attempts_of_its_task(threads: ThreadPoolExecutor) -> None:
    sink = sink_of(threads, returning(1), max_attempts=4)

    found = await sink.targets([(EVENT, Owed("jobs", "t")), (EVENT, Owed("jobs", "t", max_attempts=2))])

    assert found == [(Owed("jobs", "t", max_attempts=4),), (Owed("jobs", "t", max_attempts=2),)]


async def test_a_target_that_is_no_task_is_refused(threads: ThreadPoolExecutor) -> None:
    with pytest.raises(NotFoundError) as refused:
        await sink_of(threads, returning(1)).targets([(EVENT, Owed("jobs", "shop.lost"))])

    assert refused.value.code == "input.unknown_task"
