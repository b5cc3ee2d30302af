"""The sink of jobs: an attempt is one call of a task."""

import asyncio
import contextvars
import traceback
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from typing import Any

import msgspec

from rowcast.core.codec import encode_json
from rowcast.core.delivery import Delivery, Owed
from rowcast.core.envelope import Envelope
from rowcast.core.errors import (
    InvalidInputError,
    LimitExceededError,
    NotFoundError,
    RowcastError,
    UsageError,
    VendorError,
)
from rowcast.core.event import DECLARED
from rowcast.core.event_types import EventTypes
from rowcast.core.outcome import EXCERPT_LIMIT_CHARS, Delivered, Outcome, Rejected, Retry
from rowcast.core.retry import RetryPolicy
from rowcast.core.sink import Sink
from rowcast.core.telemetry import tell
from rowcast.jobs.arguments import Call, call_of
from rowcast.jobs.task import Task, Tasks

RESULT_LIMIT_BYTES = 65_536


class JobSink:
    """Runs tasks. A function that is not async runs in a thread of `executor`, which bounds how many run at a time."""

    def __init__(
        self,
        *,
        tasks: Iterable[Task[..., Any]],
        executor: Executor,
        catalogue: EventTypes = DECLARED,
        retry_policy: RetryPolicy | None = None,
    ) -> None:
        """Keep the parts; whoever made the executor ends it.

        Raises:
            UsageError: `usage.task`, when two tasks have one name.
        """
        self._tasks = Tasks(tasks)
        self._catalogue = catalogue
        self._executor = executor
        self._retry_policy = retry_policy or RetryPolicy()

    @property
    def name(self) -> str:
        """The word that rules and delivery rows use."""
        return "jobs"

    @property
    def retry_policy(self) -> RetryPolicy:
        """How often a job is tried when neither it nor its task says."""
        return self._retry_policy

    @property
    def longest_timeout_s(self) -> float:
        """Give the longest timeout of its tasks: what the runner must allow an attempt, at least."""
        return max((task.timeout_s for task in self._tasks), default=0.0)

    async def targets(self, owed: Sequence[tuple[Envelope, Owed]]) -> Sequence[Sequence[Owed]]:
        """Give each job as it is owed, with the attempts that its task allows.

        Raises:
            NotFoundError: `input.unknown_task`, when this process has no such task.
        """
        return [(self._target(each),) for _, each in owed]

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Call the task once, within its timeout."""
        task = self._tasks.get(delivery.target)
        if task is None:
            return Rejected("unknown_task", excerpt=_clipped(_unknown(delivery.target, self._tasks)))
        try:
            call = call_of(task, delivery, self._catalogue)
        except (InvalidInputError, UsageError) as error:
            return Rejected(error.code, excerpt=_clipped(str(error)))
        return await self._attempt(task, call)

    def _target(self, owed: Owed) -> Owed:
        task = self._tasks.get(owed.target)
        if task is None:
            raise NotFoundError(_unknown(owed.target, self._tasks), code="input.unknown_task")
        return msgspec.structs.replace(owed, max_attempts=owed.max_attempts or task.max_attempts)

    async def _attempt(self, task: Task[..., Any], call: Call) -> Outcome:
        attempt = _Threaded(task, call, self._executor) if not task.is_async else None
        try:
            async with asyncio.timeout(task.timeout_s) as bound:
                value = await (attempt.run() if attempt else task.function(*call.args, **call.kwargs))
        except asyncio.CancelledError:
            if _is_cancelled_from_outside():
                raise
            return Retry("crash:CancelledError", excerpt="The task cancelled itself.")
        except GeneratorExit:
            raise
        except BaseException as error:  # noqa: BLE001 - task boundary: whatever a task does is an outcome
            # Also KeyboardInterrupt: a real Ctrl-C comes as a signal, and never in the middle of a task.
            if bound.expired() and isinstance(error, TimeoutError):
                return _timed_out(task, attempt)
            return outcome_of(error)
        return _delivered(task, value)


class _Threaded:
    """One call in a thread. A thread cannot be stopped: after a timeout it goes on, and its result is dropped."""

    __slots__ = ("_call", "_executor", "_task", "has_started")

    def __init__(self, task: Task[..., Any], call: Call, executor: Executor) -> None:
        self._task = task
        self._call = call
        self._executor = executor
        self.has_started = False

    async def run(self) -> Any:
        context = contextvars.copy_context()
        run: Callable[[], Any] = lambda: context.run(self._run)  # noqa: E731
        return await asyncio.get_running_loop().run_in_executor(self._executor, run)

    def _run(self) -> Any:
        self.has_started = True
        return self._task.function(*self._call.args, **self._call.kwargs)


def outcome_of(error: BaseException) -> Outcome:
    """Give what a task's error comes to: an error of the family knows whether trying again can help, others may."""
    match error:
        case LimitExceededError(code=code, retry_after_s=retry_after_s):
            return Retry(code, after_s=retry_after_s, excerpt=_clipped(str(error)))
        case InvalidInputError(code=code) | UsageError(code=code) | VendorError(code=code, is_retryable=False):
            return Rejected(code, excerpt=_clipped(str(error)))
        case RowcastError(code=code):
            return Retry(code, excerpt=_clipped(str(error)))
    return Retry(f"crash:{type(error).__name__}", excerpt=_clipped(f"{error} ({_place(error)})"))


def _delivered(task: Task[..., Any], value: object) -> Outcome:
    """The work is done, so a result that cannot be kept must not bring it again."""
    if isinstance(value, (Delivered, Retry, Rejected)):
        return value
    if value is None:
        return Delivered()
    try:
        text = encode_json(value)
    except InvalidInputError as error:
        return _without_result(task, str(error))
    if len(text) > RESULT_LIMIT_BYTES:
        return _without_result(task, f"The result has {len(text)} bytes and the limit is {RESULT_LIMIT_BYTES}.")
    return Delivered(result=text.decode())


def _without_result(task: Task[..., Any], reason: str) -> Delivered:
    tell("job.result_dropped", task=task.name)
    return Delivered(code="result_dropped", excerpt=_clipped(reason))


def _timed_out(task: Task[..., Any], attempt: _Threaded | None) -> Retry:
    if attempt is not None and not attempt.has_started:
        return Retry("no_free_thread", excerpt=f"No thread became free within {task.timeout_s:g} s.")
    return Retry("timeout", excerpt=f"The task took longer than its {task.timeout_s:g} s.")


def _is_cancelled_from_outside() -> bool:
    current = asyncio.current_task()
    return current is not None and current.cancelling() > 0


def _unknown(name: str, tasks: Tasks) -> str:
    known = ", ".join(tasks.names()) or "none"
    return f"There is no task {name} here. Known: {known}. Add its pack to the setting `packs`."


def _place(error: BaseException) -> str:
    """Give the innermost line that raised: file name and number, no path."""
    frames = traceback.extract_tb(error.__traceback__, limit=-1)
    return f"{frames[0].filename.rpartition('/')[2]}:{frames[0].lineno}" if frames else "unknown place"


def _clipped(text: str) -> str:
    return text[:EXCERPT_LIMIT_CHARS]


_CONTRACT: type[Sink] = JobSink
