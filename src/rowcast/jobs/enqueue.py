"""Enqueueing: one run of a task is owed as soon as the caller's transaction commits, and not before."""

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, TypedDict, Unpack, overload

from rowcast.core.errors import InvalidInputError, PayloadTooLargeError
from rowcast.core.payload import encode_raw_payload
from rowcast.core.priority import Priority
from rowcast.core.topic import checked_tenant_id
from rowcast.jobs.arguments import encode_arguments
from rowcast.jobs.task import Task, checked_task_name
from rowcast.store.caller import AsyncCaller, BlockingCaller, ask
from rowcast.store.sql import load_queries

ARGUMENTS_LIMIT_BYTES = 65_536
LONGEST_DELAY_S = 366 * 86_400.0


class JobOptions(TypedDict, total=False):
    """What may be said of a job beside its arguments.

    `priority` by default NORMAL; `delay_s` postpones the first attempt; `key` groups jobs that share limits, by default
    the task; `max_attempts` by default what the task says.
    """

    priority: Priority
    delay_s: float
    key: str
    max_attempts: int


@overload
def enqueue(
    connection: AsyncCaller,
    task: Task[..., Any] | str,
    *,
    tenant_id: str,
    arguments: Mapping[str, Any] | None = None,
    **options: Unpack[JobOptions],
) -> Coroutine[Any, Any, int]: ...
@overload
def enqueue(
    connection: BlockingCaller,
    task: Task[..., Any] | str,
    *,
    tenant_id: str,
    arguments: Mapping[str, Any] | None = None,
    **options: Unpack[JobOptions],
) -> int: ...
def enqueue(
    connection: object,
    task: Task[..., Any] | str,
    *,
    tenant_id: str,
    arguments: Mapping[str, Any] | None = None,
    **options: Unpack[JobOptions],
) -> Any:
    """Add one run of a task inside the transaction that is open on `connection`, and give the id of its delivery.

    Args:
        connection: As for `emit`.
        task: The task, or its name where another program defines it; a name's arguments are checked when it runs.
        tenant_id: Whose job it is.
        arguments: By the names of the task's parameters.
        options: `priority`, `delay_s`, `key`, `max_attempts`.
    Returns:
        The id at once for a connection that blocks, something to await for an async one.
    Raises:
        InvalidInputError: `input.payload` for arguments that do not fit, `input.tenant`, `input.task` or
            `input.job_options`.
        PayloadTooLargeError: `outbox.payload_too_large`, above 65,536 bytes; before the database is touched.
        PermissionDeniedError: `auth.denied`, when the session speaks for another tenant.
    """
    values = {
        "tenant_id": checked_tenant_id(tenant_id),
        "task": checked_task_name(task) if isinstance(task, str) else task.name,
        "arguments": _encoded(task, arguments or {}).decode(),
        "key": options.get("key"),
        "priority": int(options.get("priority", Priority.NORMAL)),
        "delay_s": str(float(options.get("delay_s", 0.0))),
        "max_attempts": options.get("max_attempts", 0 if isinstance(task, str) else task.max_attempts),
    }
    _check_options(values["max_attempts"], options)
    return ask(connection, load_queries("rowcast.jobs")["enqueue"], values, _id)


def _encoded(task: Task[..., Any] | str, arguments: Mapping[str, Any]) -> bytes:
    if isinstance(task, str):
        text = encode_raw_payload(arguments, dict[str, Any], name=f"the task {task}")
    else:
        text = encode_arguments(task, arguments)
    if len(text) > ARGUMENTS_LIMIT_BYTES:
        raise PayloadTooLargeError(size_bytes=len(text), limit_bytes=ARGUMENTS_LIMIT_BYTES)
    return text


def _check_options(max_attempts: object, options: JobOptions) -> None:
    is_right = 0.0 <= options.get("delay_s", 0.0) <= LONGEST_DELAY_S
    if not (
        is_right
        and options.get("priority", 0) in tuple(Priority)
        and isinstance(max_attempts, int)
        and max_attempts >= 0
    ):
        raise InvalidInputError(
            "The job's options cannot be taken: priority is a Priority, delay_s 0 to a year, max_attempts 0 (as the "
            "task says) or more.",
            code="input.job_options",
        )


def _id(texts: Sequence[str]) -> int:
    return int(texts[0])
