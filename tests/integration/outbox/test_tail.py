"""The tail of the outbox: what is committed is told once, however transactions end."""

import asyncio
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from rowcast.core.envelope import Envelope
from rowcast.core.errors import StoreError
from rowcast.outbox.tail import Tail
from rowcast.store.pool import Connection, Database
from tests.integration.outbox.events import emit, emit_some, session


async def tail_of(database: Database, *, batch_size: int = 200) -> Tail:
    tail = Tail(database=database, tenant_id="acme", batch_size=batch_size)
    await tail.begin()
    return tail


def ids(events: Sequence[Envelope]) -> list[object]:
    return [event.id for event in events]


async def test_what_is_committed_after_the_beginning_is_told_once_and_nothing_older(
    dsn: str, database: Database
) -> None:
    await emit_some(dsn, 3)
    tail = await tail_of(database)

    assert await tail.next_events() == []
    async with session(dsn) as driver:
        first, second = await emit(driver), await emit(driver)
        await emit(driver, tenant="other")

    assert ids(await tail.next_events()) == [first, second]
    assert await tail.next_events() == []


async def test_what_was_written_before_the_beginning_and_committed_after_it_is_told(
    dsn: str, database: Database
) -> None:
    async with session(dsn) as driver, session(dsn) as other:
        early = driver.transaction()
        await early.start()
        written_early = await emit(driver)
        await emit(other)
        tail = await tail_of(database)
        assert await tail.next_events() == []

        await early.commit()

        assert ids(await tail.next_events()) == [written_early]


async def test_nothing_is_passed_over_when_a_lower_number_is_committed_later(dsn: str, database: Database) -> None:
    tail = await tail_of(database, batch_size=2)
    async with session(dsn) as slow, session(dsn) as quick:
        transaction = slow.transaction()
        await transaction.start()
        low = await emit(slow)
        high = [await emit(quick) for _ in range(5)]
        told = [event for _ in range(4) for event in await tail.next_events()]
        assert ids(told) == high

        await transaction.commit()

        assert ids([event for _ in range(4) for event in await tail.next_events()]) == [low]


async def test_every_event_is_told_once_while_many_write_at_once_and_some_give_up(dsn: str, database: Database) -> None:
    tail = await tail_of(database, batch_size=7)
    committed: set[object] = set()
    told: list[object] = []

    async def write(seed: int) -> None:
        luck = Random(seed)
        async with session(dsn) as driver:
            for _ in range(25):
                transaction = driver.transaction()
                await transaction.start()
                made = [await emit(driver) for _ in range(luck.randint(1, 4))]
                await asyncio.sleep(luck.choice((0.0, 0.0, 0.01, 0.05)))
                if luck.random() < 0.2:
                    await transaction.rollback()
                    continue
                await transaction.commit()
                committed.update(made)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        writers = [group.create_task(write(seed)) for seed in range(5)]
        while not all(writer.done() for writer in writers):
            told += ids(await tail.next_events())
    async with asyncio.timeout(30):
        while len(told) < len(committed):
            told += ids(await tail.next_events())

    assert len(told) == len(committed)
    assert set(told) == committed


async def test_it_goes_on_where_it_was_when_the_database_went_away_between_two_questions(
    dsn: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    tail = await tail_of(database)
    async with session(dsn) as slow, session(dsn) as quick:
        transaction = slow.transaction()
        await transaction.start()
        low, high = await emit(slow), await emit(quick)
        assert ids(await tail.next_events()) == [high]
        await transaction.commit()

        for question in range(3):
            with monkeypatch.context() as patch:
                cut_at(patch, question)
                with pytest.raises(StoreError):
                    await tail.next_events()

        assert ids(await tail.next_events()) == [low]


def cut_at(patch: pytest.MonkeyPatch, question: int) -> None:
    """Let a connection find the database away when it asks for the next time but so many."""
    left = [question]

    def cut(whole: Any) -> Any:
        async def asking(*given: Any, **values: Any) -> Any:
            left[0] -= 1
            if left[0] < 0:
                raise StoreError("The connection is gone.")
            return await whole(*given, **values)

        return asking

    for name in ("fetch", "fetch_one"):
        patch.setattr(Connection, name, cut(getattr(Connection, name)))
