from types import SimpleNamespace
from typing import Any

import pytest

from rowcast.core.errors import InvalidInputError, PayloadTooLargeError
from rowcast.core.priority import Priority
from rowcast.jobs.enqueue import enqueue
from rowcast.jobs.task import task


@task("shop.pack", max_attempts=7)
async def pack(order_id: str) -> None:
    """Pack an order."""


class Connection:
    """Stands for psycopg's: keeps what it was asked."""

    __module__ = "psycopg"

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def commit(self) -> None:
        pytest.fail("rowcast committed")

    def cursor(self, **_: Any) -> Any:
        return self

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None: ...

    def execute(self, text: str, values: dict[str, Any]) -> Any:
        self.asked.append(values)
        return SimpleNamespace(fetchall=lambda: ["17"])


def test_a_job_takes_its_attempts_from_its_task_unless_it_says_otherwise() -> None:
    connection = Connection()

    assert enqueue(connection, pack, tenant_id="acme", arguments={"order_id": "o"}) == 17
    enqueue(connection, pack, tenant_id="acme", arguments={"order_id": "o"}, max_attempts=1)
    enqueue(connection, "shop.pack", tenant_id="acme", priority=Priority.LOW, delay_s=1.5)

    assert [asked["max_attempts"] for asked in connection.asked] == [7, 1, 0]
    assert (connection.asked[2]["priority"], connection.asked[2]["delay_s"]) == (3, "1.5")


@pytest.mark.parametrize(
    ("named", "options", "code"),
    [
        (pack, {}, "input.payload"),
        (pack, {"arguments": {"order_id": "o", "typo": 1}}, "input.payload"),
        ("shop.pack", {"arguments": {"weight": float("nan")}}, "input.payload"),
        ("Shop Pack", {}, "input.task"),
        ("shop.pack", {"tenant_id": ""}, "input.tenant_missing"),
        ("shop.pack", {"delay_s": -1}, "input.job_options"),
        ("shop.pack", {"delay_s": float("nan")}, "input.job_options"),
        ("shop.pack", {"delay_s": float("inf")}, "input.job_options"),
        ("shop.pack", {"priority": 4}, "input.job_options"),
        ("shop.pack", {"max_attempts": -1}, "input.job_options"),
        ("shop.pack", {"max_attempts": 1.5}, "input.job_options"),
    ],
)
def test_what_the_database_would_not_take_is_refused_before(named: Any, options: dict[str, Any], code: str) -> None:
    connection = Connection()

    with pytest.raises(InvalidInputError) as refused:
        enqueue(connection, named, **{"tenant_id": "acme", **options})

    assert refused.value.code == code
    assert connection.asked == []


def test_arguments_above_the_limit_are_refused() -> None:
    with pytest.raises(PayloadTooLargeError):
        enqueue(Connection(), pack, tenant_id="acme", arguments={"order_id": "x" * 65_536})
