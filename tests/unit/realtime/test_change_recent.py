"""In a storm of joins the same question is asked once."""

import asyncio

import pytest

from rowcast.realtime.change_recent import RecentTables
from rowcast.realtime.change_types import Published
from rowcast.testing.fake_clock import FakeClock

ORDERS = Published(3, "public", "orders")


class Catalogue:
    """Answers after a turn of the loop, and counts."""

    def __init__(self, answer: list[Published]) -> None:
        self.answer = answer
        self.asked = 0

    async def published(self, schema: str | None, name: str | None) -> list[Published]:
        self.asked += 1
        await asyncio.sleep(0)
        return self.answer


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue([ORDERS])


@pytest.fixture
def recent(catalogue: Catalogue, clock: FakeClock) -> RecentTables:
    return RecentTables(catalogue, clock=clock)  # type: ignore[arg-type]


async def test_many_who_ask_at_once_share_one_answer(recent: RecentTables, catalogue: Catalogue) -> None:
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(recent.published("public", "orders")) for _ in range(1000)]

    assert catalogue.asked == 1
    assert all(each.result() == [ORDERS] for each in asking)


async def test_an_answer_is_fresh_for_half_a_second(
    recent: RecentTables, catalogue: Catalogue, clock: FakeClock
) -> None:
    for _ in range(3):
        await recent.published("public", "orders")
        clock.tick(0.3)

    assert catalogue.asked == 2


async def test_a_table_that_is_not_there_is_asked_for_again(recent: RecentTables, catalogue: Catalogue) -> None:
    catalogue.answer = []
    await recent.published("public", "orders")
    catalogue.answer = [ORDERS]

    assert await recent.published("public", "orders") == [ORDERS]
