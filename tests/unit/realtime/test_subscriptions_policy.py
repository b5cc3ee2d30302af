"""Who may hear the topic of a declared channel: whoever may subscribe to it."""

import json

import pytest

from rowcast.realtime.authorize import Claims
from rowcast.realtime.channel_policy import Access
from rowcast.realtime.subscriptions import DeclaredChannel
from rowcast.realtime.subscriptions_policy import DeclaredChannelPolicy

ORDERS = DeclaredChannel(
    name="orders", table="orders", filter_field="customer", value_type="text", needs={"user_type": "customer"}
)
POLICY = DeclaredChannelPolicy({"orders": ORDERS})


def somebody(**claims: object) -> Claims:
    return Claims("authenticated", 0, "acme", json.dumps(claims).encode())


OWNER = somebody(customer="7", user_type="customer")


async def test_the_owner_hears_the_topic_and_does_not_speak_there() -> None:
    assert await POLICY.read(OWNER, "orders:7", wants_presence=True) == Access(reads_broadcast=True)
    assert await POLICY.write(OWNER, "orders:7", extension="broadcast") is False


@pytest.mark.parametrize("topic", ["orders:70", "orders:", "orders:7:8", "orders:7,", "orders:8"])
async def test_nothing_but_ones_own_value_opens(topic: str) -> None:
    assert await POLICY.read(OWNER, topic, wants_presence=False) == Access()


async def test_a_token_without_what_the_channel_needs_opens_nothing() -> None:
    assert await POLICY.read(somebody(customer="7"), "orders:7", wants_presence=False) == Access()


@pytest.mark.parametrize("topic", ["orders", "ordersx:7", "guests:7", "tenant:acme"])
async def test_topics_of_others_are_left_to_others(topic: str) -> None:
    assert await POLICY.read(OWNER, topic, wants_presence=False) is None
    assert await POLICY.write(OWNER, topic, extension="broadcast") is None
