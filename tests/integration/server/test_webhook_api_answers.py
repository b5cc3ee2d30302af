"""Answers that are kept under an idempotency key."""

import asyncio
import os

import pytest

from rowcast.core.errors import ConflictError, InvalidFieldError
from rowcast.server.webhook_api_answers import (
    Act,
    Answer,
    AnswerTable,
    AskedOnce,
    asked_once,
    drop_old_answers,
)
from rowcast.store.pool import Connection, Database
from rowcast.store.sql import parse_query
from rowcast.webhooks.sealing import KeyRing, SealKey

AGE = parse_query("age", "update rowcast.idempotent_answer set created_at = created_at - interval '13 hours'")
BODIES = parse_query("bodies", "select body from rowcast.idempotent_answer")
RING = KeyRing([SealKey("first", b"k" * 32)], noise=os.urandom)


def table_of(database: Database) -> AnswerTable:
    return AnswerTable(database=database, ring=RING)


def asked(body: bytes = b"{}", *, caller: str = "rk_1", key: str = "k") -> AskedOnce:
    return asked_once(caller, key, place="POST /api/v1/app?", body=body)


class Doing:
    """Counts how often something was done; what it does can be held up."""

    def __init__(self, *, is_held: bool = False) -> None:
        self.count = 0
        self.begun, self.may_end = asyncio.Event(), asyncio.Event()
        if not is_held:
            self.may_end.set()

    @property
    def act(self) -> Act:
        async def act(_: Connection) -> Answer:
            self.count += 1
            self.begun.set()
            await self.may_end.wait()
            return Answer(201, {"secret": "canary", "count": self.count})

        return act


async def test_the_same_request_again_gets_the_same_answer_and_is_done_once(database: Database) -> None:
    doing, table = Doing(), table_of(database)

    first, second = await table.run(doing.act, asked()), await table.run(doing.act, asked())

    assert first == second
    assert (first.status, first.text, doing.count) == (201, b'{"secret":"canary","count":1}', 1)


async def test_a_kept_answer_shows_no_secret_to_who_reads_the_table(database: Database) -> None:
    await table_of(database).run(Doing().act, asked())

    assert all(b"canary" not in row["body"] for row in await database.fetch(BODIES))


async def test_without_a_key_and_for_other_keys_and_callers_it_is_done_again(database: Database) -> None:
    doing, table = Doing(), table_of(database)

    for each in (None, None, asked(), asked(caller="rk_2"), asked(key="k2")):
        await table.run(doing.act, each)

    assert doing.count == 5


async def test_a_key_belongs_to_one_request(database: Database) -> None:
    doing, table = Doing(), table_of(database)
    await table.run(doing.act, asked(b"1"))

    with pytest.raises(ConflictError):
        await table.run(doing.act, asked(b"2"))
    with pytest.raises(ConflictError):
        await table.run(doing.act, asked_once("rk_1", "k", place="POST /api/v1/event-type?", body=b"1"))
    assert doing.count == 1


async def test_who_comes_while_the_same_request_runs_gets_its_answer(database: Database) -> None:
    doing, table = Doing(is_held=True), table_of(database)

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        first = group.create_task(table.run(doing.act, asked()))
        await doing.begun.wait()
        others = [group.create_task(table.run(doing.act, asked())) for _ in range(12)]
        await asyncio.sleep(0)
        doing.may_end.set()

    assert {task.result() for task in (first, *others)} == {first.result()}
    assert doing.count == 1


async def test_who_waits_too_long_is_told_to_come_again(database: Database) -> None:
    doing, table = Doing(is_held=True), AnswerTable(database=database, ring=RING, waits_s=())

    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        first = group.create_task(table.run(doing.act, asked()))
        await doing.begun.wait()
        with pytest.raises(ConflictError, match="still running"):
            await table.run(doing.act, asked())
        doing.may_end.set()

    assert first.result().status == 201


async def test_what_failed_is_kept_nowhere_and_done_anew(database: Database) -> None:
    doing, table = Doing(), table_of(database)

    async def failing(connection: Connection) -> Answer:
        await doing.act(connection)
        raise ConflictError("taken")

    with pytest.raises(ConflictError, match="taken"):
        await table.run(failing, asked())
    assert (await table.run(doing.act, asked())).status == 201
    assert doing.count == 2


async def test_an_answer_is_kept_for_twelve_hours(database: Database) -> None:
    doing, table = Doing(), table_of(database)
    await table.run(doing.act, asked(b"1"))
    assert await drop_old_answers(database, most=10) == 0

    await database.execute(AGE)
    again = await table.run(doing.act, asked(b"2"))
    await database.execute(AGE)

    assert (again.text, await drop_old_answers(database, most=10)) == (b'{"secret":"canary","count":2}', 1)


@pytest.mark.parametrize("key", ["", "x" * 257, "ü", "a\tb"])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(InvalidFieldError) as refusal:
        asked(key=key)

    assert refusal.value.place == ("header", "idempotency-key")
