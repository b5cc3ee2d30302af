"""What an answer of the database, or none, means to a client; how questions share a turn. No database."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import pytest

from rowcast.core.errors import ConfigError, RowcastError, StoreError, StoreUnavailableError
from rowcast.realtime.authorize import Claims
from rowcast.realtime.channel_policy import Access, Fault
from rowcast.realtime.row_policies import PolicyLimits, RowPolicies, explain_failure, read_rights
from rowcast.store.pool import Database

ANN = Claims("authenticated", 9, document=b'{"sub":"ann"}')
BOB = Claims("authenticated", 9, document=b'{"sub":"bob"}')
UNREACHABLE = "UnableToConnectToProject: Realtime was unable to connect to the project database"


class Asked:
    """Stands for the pool: answers when it is let, and counts."""

    def __init__(self, *, is_open: bool = False) -> None:
        self.questions: list[Mapping[str, object]] = []
        self.gate = asyncio.Event()
        self.allowed: list[str] = ["broadcast"]
        if is_open:
            self.gate.set()

    async def fetch_one(self, query: object, /, **values: object) -> Mapping[str, Any]:
        self.questions.append(values)
        await self.gate.wait()
        return {"allowed": self.allowed, "fault": None, "detail": None}


def policies(asked: Asked, **limits: Any) -> RowPolicies:
    return RowPolicies(database=cast(Database, asked), limits=PolicyLimits(**limits))


@pytest.mark.parametrize(
    ("fault", "meant"),
    [
        ("partition", Fault("MissingPartition: Realtime was unable to find the expected messages partition")),
        ("role", Fault("Realtime was unable to connect to the project database")),
        ("probe", Fault("Realtime was unable to connect to the project database")),
        ("policy", frozenset()),
        ("superuser", frozenset()),
        ("unset", "unset"),
    ],
)
def test_a_policy_that_fails_opens_nothing_and_a_database_that_fails_is_a_fault(fault: str, meant: object) -> None:
    assert read_rights({"allowed": [], "fault": fault, "detail": "42P01 words"}) == meant


def _caused(error: RowcastError, state: str) -> RowcastError:
    cause = Exception("canceling statement due to statement timeout")
    cause.sqlstate = state  # type: ignore[attr-defined]
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (StoreUnavailableError("away"), UNREACHABLE),
        (
            StoreUnavailableError("late", code="store.timeout"),
            "QueryCanceled: canceling statement due to statement timeout",
        ),
        (
            _caused(StoreError("x", code="store.contended"), "57014"),
            "QueryCanceled: canceling statement due to statement timeout",
        ),
        (
            _caused(StoreUnavailableError("full"), "53300"),
            "DatabaseLackOfConnections: Database can't accept more connections, Realtime won't connect",
        ),
        (
            ConfigError("no right", code="config.privileges"),
            "Realtime was unable to connect to the project database",
        ),
    ],
)
def test_each_failure_has_the_words_that_clients_know(error: RowcastError, text: str) -> None:
    assert explain_failure(error) == Fault(text)


async def test_the_same_questions_that_wait_for_a_turn_share_one_answer() -> None:
    asked = Asked()
    rules = policies(asked, at_once=1)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        first = group.create_task(rules.read(BOB, "a", wants_presence=False), name="first")
        same = [group.create_task(rules.read(ANN, "a", wants_presence=False), name="same") for _ in range(50)]
        await asyncio.sleep(0)
        asked.gate.set()

    assert len(asked.questions) == 2
    assert {task.result() for task in (first, *same)} == {Access(True)}


async def test_a_question_that_comes_later_gets_a_later_answer() -> None:
    asked = Asked()
    rules = policies(asked, at_once=2)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(rules.read(ANN, "a", wants_presence=False), name="first")
        await asyncio.sleep(0)
        group.create_task(rules.read(ANN, "a", wants_presence=False), name="later")
        await asyncio.sleep(0)
        asked.gate.set()

    assert len(asked.questions) == 2


async def test_tokens_topics_and_kinds_of_question_are_never_mixed() -> None:
    asked = Asked()
    rules = policies(asked, at_once=1)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(rules.read(Claims("anon", 9), "x", wants_presence=False), name="first")
        for claims in (ANN, BOB):
            for topic in ("a", "b"):
                group.create_task(rules.read(claims, topic, wants_presence=False), name="read")
                group.create_task(rules.read(claims, topic, wants_presence=True), name="read presence")
                group.create_task(rules.write(claims, topic, extension="broadcast"), name="write")
        await asyncio.sleep(0)
        asked.gate.set()

    assert len(asked.questions) == 13


async def test_whoever_goes_away_does_not_take_the_answer_of_the_others_with_him() -> None:
    asked = Asked()
    rules = policies(asked, at_once=1)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(rules.read(BOB, "a", wants_presence=False), name="first")
        await asyncio.sleep(0)
        leader = group.create_task(rules.read(ANN, "a", wants_presence=False), name="leader")
        await asyncio.sleep(0)
        follower = group.create_task(rules.read(ANN, "a", wants_presence=False), name="follower")
        await asyncio.sleep(0)
        leader.cancel()
        await asyncio.sleep(0)
        asked.gate.set()

    assert follower.result() == Access(True)


async def test_whoever_waits_too_long_for_a_turn_is_told_to_give_more_connections() -> None:
    asked = Asked()
    rules = policies(asked, at_once=1, wait_s=0.01)
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(rules.read(BOB, "a", wants_presence=False), name="first")
        await asyncio.sleep(0)
        found = await rules.read(ANN, "a", wants_presence=False)
        asked.gate.set()

    assert found == Fault("IncreaseConnectionPool: Please increase your connection pool size")


async def test_presence_is_asked_for_only_where_it_is_wanted() -> None:
    asked = Asked(is_open=True)
    asked.allowed = ["broadcast", "presence"]
    rules = policies(asked)

    assert await rules.read(ANN, "a", wants_presence=True) == Access(True, True)
    assert await rules.write(ANN, "a", extension="presence") is True
    assert [each["extensions"] for each in asked.questions] == [["broadcast", "presence"], ["presence"]]
