"""Rules in Python: what they open, and that whatever goes wrong opens nothing."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from rowcast.core.codec import encode_json
from rowcast.core.errors import InvalidInputError, UsageError
from rowcast.realtime.authorize import Claims
from rowcast.realtime.channel_policy import Access, Fault
from rowcast.realtime.channel_rules import EVERYTHING, ChannelAccess, ChannelRule, ChannelRules, channel, read_decision

SERVICE = Claims("service_role", 9)


def person(**claims: object) -> Claims:
    return Claims("authenticated", 9, document=encode_json({"role": "authenticated", **claims}))


@channel("orders:{id}")
def orders(claims: Mapping[str, Any], id: str) -> bool:  # noqa: A002 - the topic names it so
    return id in claims.get("orders", [])


@channel("board:{team}")
async def board(claims: Mapping[str, Any], team: str) -> ChannelAccess:
    await asyncio.sleep(0)
    return ChannelAccess(reads_broadcast=claims["team"] == team, writes_presence=True)


RULES = ChannelRules([orders, board])


async def test_true_opens_everything() -> None:
    claims = person(orders=["1"])

    assert await RULES.read(claims, "orders:1", wants_presence=True) == Access(True, True)
    assert await RULES.write(claims, "orders:1", extension="broadcast") is True
    assert await RULES.write(claims, "orders:1", extension="presence") is True


@pytest.mark.parametrize("topic", ["orders:10", "orders:2", "orders:1,2", "orders:1 or true"])
async def test_another_row_is_closed_even_where_its_name_begins_alike(topic: str) -> None:
    claims = person(orders=["1"])

    assert await RULES.read(claims, topic, wants_presence=False) == Access()
    assert await RULES.write(claims, topic, extension="broadcast") is False


async def test_an_access_opens_only_what_it_names() -> None:
    claims = person(team="red")

    assert await RULES.read(claims, "board:red", wants_presence=True) == Access(True, False)
    assert await RULES.write(claims, "board:red", extension="broadcast") is False
    assert await RULES.write(claims, "board:red", extension="presence") is True


async def test_a_topic_that_fits_no_rule_is_somebody_elses() -> None:
    assert await RULES.read(person(), "orders:1:2", wants_presence=False) is None
    assert await RULES.write(SERVICE, "unknown", extension="presence") is None


async def test_the_service_may_do_all() -> None:
    assert await RULES.read(SERVICE, "orders:1", wants_presence=False) == Access(True, True)
    assert await RULES.write(SERVICE, "board:red", extension="broadcast") is True


async def test_a_rule_that_fails_opens_nothing() -> None:
    assert await RULES.read(person(), "board:red", wants_presence=False) == Access()
    assert await RULES.write(person(), "board:red", extension="presence") is False


async def test_a_rule_that_takes_too_long_is_a_fault() -> None:
    @channel("slow")
    async def slow(claims: Mapping[str, Any]) -> bool:
        await asyncio.Event().wait()
        return True

    rules = ChannelRules([slow], timeout_s=0.01)

    assert isinstance(await rules.read(person(), "slow", wants_presence=False), Fault)
    assert isinstance(await rules.write(person(), "slow", extension="broadcast"), Fault)


@pytest.mark.parametrize("found", [None, 1, "yes", {"reads_broadcast": True}, [True], False])
def test_only_true_itself_opens(found: object) -> None:
    assert read_decision(found) == ChannelAccess()


def test_an_answer_may_be_the_plain_access() -> None:
    assert read_decision(Access(True, False)) == ChannelAccess(reads_broadcast=True)
    assert read_decision(True) == EVERYTHING


def test_a_rule_called_like_the_function_is_the_function() -> None:
    assert orders({"orders": ["1"]}, id="1") is True


def test_a_function_with_other_parameters_is_refused() -> None:
    with pytest.raises(UsageError, match="must take the claims, then id") as caught:
        channel("orders:{id}")(lambda claims, other: True)

    assert caught.value.code == "usage.channel"


def test_a_template_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInputError):
        channel("orders:{id")


def test_two_rules_of_one_template_are_refused() -> None:
    same = ChannelRule(orders.template, board.check, orders.parsed)

    with pytest.raises(UsageError, match="Make one of them"):
        ChannelRules([orders, same])
