"""Reads of endpoints are joined, never remembered."""

import asyncio
from collections.abc import Iterable

import pytest

from rowcast.core.clock import Clock, SystemClock
from rowcast.core.delivery import Delivery
from rowcast.core.errors import StoreUnavailableError
from rowcast.testing.fake_clock import FakeClock
from rowcast.webhooks.endpoint import SigningEndpoint
from rowcast.webhooks.reader import EndpointReader
from rowcast.webhooks.table import EndpointKey


class Table:
    """Counts questions; `gate` holds the answers back, `failures` are raised first."""

    def __init__(self) -> None:
        self.questions: list[list[EndpointKey]] = []
        self.asked, self.gate = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.failures: list[Exception] = []
        self.is_disabled = False

    async def for_signing(self, keys: Iterable[EndpointKey]) -> dict[EndpointKey, SigningEndpoint]:
        self.questions.append(sorted(keys))
        self.asked.set()
        disabled = self.is_disabled
        await self.gate.wait()
        if self.failures:
            raise self.failures.pop()
        return {
            key: SigningEndpoint(key[1], "https://example.com/", (), disabled)
            for key in self.questions[-1]
            if key[1] != "ep_gone"
        }


def reader_of(table: Table, clock: Clock | None = None) -> EndpointReader:
    return EndpointReader(table=table, clock=clock or SystemClock())  # type: ignore[arg-type]


async def test_reads_that_come_together_and_those_that_come_meanwhile_become_one_question_each() -> None:
    table = Table()
    table.gate.clear()
    reader = reader_of(table)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(reader.read("acme", f"ep_{i % 5}"), name=f"read:{i}") for i in range(50)]
        await table.asked.wait()
        tasks += [group.create_task(reader.read("acme", f"ep_{i % 2}"), name=f"late:{i}") for i in range(50)]
        await asyncio.sleep(0)
        table.gate.set()

    assert table.questions == [[("acme", f"ep_{i}") for i in range(5)], [("acme", "ep_0"), ("acme", "ep_1")]]
    ids = [task.result().id for task in tasks]  # type: ignore[union-attr]
    assert ids == [*(f"ep_{i % 5}" for i in range(50)), *(f"ep_{i % 2}" for i in range(50))]


async def test_endpoint_that_is_not_there_is_none() -> None:
    assert await reader_of(Table()).read("acme", "ep_gone") is None


async def test_read_that_begins_after_a_change_sees_it_even_while_an_older_read_is_under_way() -> None:
    table = Table()
    table.gate.clear()
    reader = reader_of(table)

    async with asyncio.TaskGroup() as group:
        older = group.create_task(reader.read("acme", "ep_1"), name="older")
        await table.asked.wait()
        table.is_disabled = True
        newer = group.create_task(reader.read("acme", "ep_1"), name="newer")
        await asyncio.sleep(0)
        table.gate.set()

    assert (older.result().is_disabled, newer.result().is_disabled) == (False, True)  # type: ignore[union-attr]


async def test_cancelled_reader_does_not_take_the_others_with_it() -> None:
    table = Table()
    table.gate.clear()
    reader = reader_of(table)

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(reader.read("acme", "ep_1"), name=f"read:{i}") for i in range(3)]
        await table.asked.wait()
        tasks[0].cancel()
        late = group.create_task(reader.read("acme", "ep_1"), name="late")
        await asyncio.sleep(0)
        table.gate.set()

    assert tasks[0].cancelled()
    assert [task.result().id for task in (*tasks[1:], late)] == ["ep_1"] * 3  # type: ignore[union-attr]


async def test_failed_read_fails_one_reader_and_the_next_asks_again() -> None:
    table = Table()
    table.gate.clear()
    table.failures = [StoreUnavailableError("away")]
    reader = reader_of(table)

    async with asyncio.TaskGroup() as group:

        async def read() -> object:
            try:
                return await reader.read("acme", "ep_1")
            except StoreUnavailableError as error:
                return error

        tasks = [group.create_task(read(), name=f"read:{i}") for i in range(3)]
        await table.asked.wait()
        table.gate.set()

    assert [type(task.result()) for task in tasks] == [StoreUnavailableError, SigningEndpoint, SigningEndpoint]
    with pytest.raises(StoreUnavailableError):
        table.failures = [StoreUnavailableError("away")]
        await reader.read("acme", "ep_1")


def _owed(*endpoints: str) -> list[Delivery]:
    return [
        Delivery(number, "acme", "webhooks", endpoint, 1, 1, SystemClock().now())
        for number, endpoint in enumerate(endpoints)
    ]


async def test_attempts_find_what_was_read_when_their_deliveries_were_claimed() -> None:
    table = Table()
    reader = reader_of(table)

    await reader.ahead(_owed("ep_1", "ep_2", "ep_gone"))
    found = [await reader.read("acme", endpoint) for endpoint in ("ep_1", "ep_2", "ep_1", "ep_gone")]

    assert [endpoint and endpoint.id for endpoint in found] == ["ep_1", "ep_2", "ep_1", None]
    assert len(table.questions) == 1


async def test_attempt_that_begins_while_it_is_read_ahead_waits_for_it() -> None:
    table = Table()
    table.gate.clear()
    reader = reader_of(table)

    async with asyncio.TaskGroup() as group:
        group.create_task(reader.ahead(_owed("ep_1")), name="ahead")
        attempt = group.create_task(reader.read("acme", "ep_1"), name="attempt")
        await table.asked.wait()
        await asyncio.sleep(0)
        table.gate.set()

    assert attempt.result() is not None
    assert table.questions == [[("acme", "ep_1")]]


async def test_delivery_claimed_after_a_change_sees_it() -> None:
    table = Table()
    reader = reader_of(table)
    await reader.ahead(_owed("ep_1"))
    table.is_disabled = True

    await reader.ahead(_owed("ep_1"))
    endpoint = await reader.read("acme", "ep_1")

    assert endpoint is not None
    assert endpoint.is_disabled


async def test_what_was_read_ahead_is_no_answer_for_whoever_comes_later() -> None:
    table, clock = Table(), FakeClock()
    reader = reader_of(table, clock)
    await reader.ahead(_owed("ep_1"))
    table.is_disabled = True

    clock.tick(1.1)
    endpoint = await reader.read("acme", "ep_1")

    assert endpoint is not None
    assert endpoint.is_disabled


async def test_database_that_does_not_answer_is_away_before_the_attempt_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("rowcast.webhooks.reader._BOUND_S", 0.05)
    table = Table()
    table.gate.clear()
    reader = reader_of(table)

    with pytest.raises(StoreUnavailableError):
        await reader.read("acme", "ep_1")

    table.gate.set()
    assert await reader.read("acme", "ep_1") is not None


async def test_attempt_asks_for_itself_where_reading_ahead_failed() -> None:
    table = Table()
    table.failures = [StoreUnavailableError("away")]
    reader = reader_of(table)

    with pytest.raises(StoreUnavailableError):
        await reader.ahead(_owed("ep_1"))

    assert await reader.read("acme", "ep_1") is not None
    assert len(table.questions) == 2
