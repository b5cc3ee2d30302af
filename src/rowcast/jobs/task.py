"""Tasks: functions that run as deliveries, with a name that outlives a renaming of the function."""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, ParamSpec, TypeVar

import msgspec

from rowcast.core.errors import InvalidInputError, UsageError

P = ParamSpec("P")
R = TypeVar("R")

TASK_PATTERN = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9][a-z0-9_]*)*\Z")
TASK_LIMIT_CHARS = 128
LONGEST_TIMEOUT_S = 86_400.0


class Task(msgspec.Struct, Generic[P, R], frozen=True):
    """A function under its name. Called like the function, it is the function: so a test needs no runner.

    `timeout_s` bounds one attempt; `max_attempts` 0 leaves the number of attempts to the sink.
    """

    name: str
    function: Callable[P, R]
    timeout_s: float = 30.0
    max_attempts: int = 0

    def __post_init__(self) -> None:
        """Refuse a task that could not run.

        Raises:
            InvalidInputError: `input.task`, for a name that is not lower-case words with dots between them.
            UsageError: `usage.task`, for a function with `*args`, `**kwargs` or positional-only parameters, or bounds
                out of range.
        """
        checked_task_name(self.name)
        if not 0.0 < self.timeout_s <= LONGEST_TIMEOUT_S or self.max_attempts < 0:
            raise UsageError(
                f"The task {self.name} has timeout_s {self.timeout_s} and max_attempts {self.max_attempts}. They must "
                f"be above 0 and at most {LONGEST_TIMEOUT_S:.0f}, and 0 or more.",
                code="usage.task",
            )
        for parameter in inspect.signature(self.function).parameters.values():
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise UsageError(
                    f"The parameter {parameter.name!r} of the task {self.name} has no name in a job's arguments. Give "
                    "it one: no *args, no **kwargs, nothing positional-only.",
                    code="usage.task",
                )

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function."""
        return self.function(*args, **kwargs)

    @property
    def is_async(self) -> bool:
        """Tell whether the function is awaited; others run in a thread."""
        return inspect.iscoroutinefunction(self.function) or inspect.iscoroutinefunction(
            getattr(self.function, "__call__", None)  # noqa: B004 - an object whose call is a coroutine function
        )


def task(name: str, *, timeout_s: float = 30.0, max_attempts: int = 0) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a task of a function, async or not: `@task("shop.write_receipt", timeout_s=5.0, max_attempts=5)`.

    Raises:
        InvalidInputError: `input.task`.
        UsageError: `usage.task`.
    """

    def make(function: Callable[P, R]) -> Task[P, R]:
        return Task(name, function, timeout_s, max_attempts)

    return make


def checked_task_name(name: str) -> str:
    """Give `name` back if it is lower-case words with dots between them, at most 128 characters.

    Raises:
        InvalidInputError: `input.task`.
    """
    if len(name) > TASK_LIMIT_CHARS or not TASK_PATTERN.match(name):
        raise InvalidInputError(
            f"The task name {name[:140]!r} must be lower-case words with dots between them, such as "
            f"'shop.write_receipt', at most {TASK_LIMIT_CHARS} characters.",
            code="input.task",
        )
    return name


class Tasks:
    """Tasks by name: what one process can run."""

    __slots__ = ("_by_name",)

    def __init__(self, tasks: Iterable[Task[..., Any]]) -> None:
        """Keep the tasks.

        Raises:
            UsageError: `usage.task`, when two have one name.
        """
        self._by_name: dict[str, Task[..., Any]] = {}
        for each in tasks:
            if each.name in self._by_name and self._by_name[each.name] != each:
                raise UsageError(f"Two tasks are named {each.name}. Rename one of them.", code="usage.task")
            self._by_name[each.name] = each

    def __iter__(self) -> Iterator[Task[..., Any]]:
        """Give the tasks, sorted by name."""
        return (self._by_name[name] for name in self.names())

    def get(self, name: str) -> Task[..., Any] | None:
        """Give the task of that name, or None."""
        return self._by_name.get(name)

    def names(self) -> tuple[str, ...]:
        """Give the names, sorted."""
        return tuple(sorted(self._by_name))
