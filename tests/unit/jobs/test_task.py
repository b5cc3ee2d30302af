from typing import Any

import pytest

from rowcast.core.errors import InvalidInputError, UsageError
from rowcast.jobs.task import Task, Tasks, task


@task("shop.add", timeout_s=5.0, max_attempts=3)
def add(one: int, other: int = 1) -> int:
    """Give the sum."""
    return one + other


@task("shop.add_later")
async def add_later(one: int) -> int:
    return one + 1


class Adder:
    async def __call__(self, one: int) -> int:
        return one + 1


def test_a_task_is_called_like_its_function() -> None:
    assert add(1, other=2) == 3


async def test_an_async_task_is_awaited_like_its_function() -> None:
    assert await add_later(1) == 2


def test_a_task_keeps_its_name_and_its_bounds() -> None:
    assert (add.name, add.timeout_s, add.max_attempts) == ("shop.add", 5.0, 3)
    assert (add_later.timeout_s, add_later.max_attempts) == (30.0, 0)


def test_a_task_knows_whether_it_is_awaited() -> None:
    assert add_later.is_async
    assert Task("a", Adder()).is_async
    assert not add.is_async


def test_a_task_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        add.timeout_s = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("name", ["a", "shop.write_receipt", "shop.2nd.a_1", "x" * 128])
def test_dotted_lower_case_words_are_a_task_name(name: str) -> None:
    assert Task(name, print_nothing).name == name


@pytest.mark.parametrize(
    "name", ["", "Shop", "shop.", ".shop", "shop write", "shop:write", "1shop", "shop\n", "x" * 129]
)
def test_anything_else_is_no_task_name(name: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        task(name)(print_nothing)

    assert refused.value.code == "input.task"


@pytest.mark.parametrize(
    "bounds", [{"timeout_s": 0.0}, {"timeout_s": -1.0}, {"timeout_s": 86_401.0}, {"max_attempts": -1}]
)
def test_bounds_out_of_range_are_refused(bounds: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as refused:
        task("shop.add", **bounds)(print_nothing)

    assert refused.value.code == "usage.task"


@pytest.mark.parametrize(
    "function", [lambda *args: None, lambda **kwargs: None, lambda one, /: None], ids=["args", "kwargs", "positional"]
)
def test_parameters_that_have_no_name_in_a_jobs_arguments_are_refused(function: Any) -> None:
    with pytest.raises(UsageError, match="Give it one"):
        Task("shop.add", function)


def test_tasks_are_found_by_name() -> None:
    tasks = Tasks([add_later, add])

    assert tasks.get("shop.add") is add
    assert tasks.get("shop.lost") is None
    assert tasks.names() == ("shop.add", "shop.add_later")
    assert list(tasks) == [add, add_later]


def test_two_tasks_with_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match=r"shop\.add"):
        Tasks([add, Task("shop.add", print_nothing)])


def test_the_same_task_twice_is_one_task() -> None:
    assert len(list(Tasks([add, add]))) == 1


def print_nothing() -> None:
    """Do nothing."""
