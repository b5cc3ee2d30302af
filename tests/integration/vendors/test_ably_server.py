"""Ably's own client against the contract server: what it takes and refuses is what Ably's client expects."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from ably import AblyException, AblyRest
from ably.types.message import Message

from tests.integration.vendors.ably_server import EXPIRED_TOKEN, TOKEN, AblyServer, Refusal, ably_server


@asynccontextmanager
async def ably_client(server: AblyServer, *, is_binary: bool = False, token: str = TOKEN) -> AsyncIterator[AblyRest]:
    # Over plain HTTP the client sends tokens only; a key it sends over TLS alone.
    client = AblyRest(
        token=token, tls=False, endpoint="127.0.0.1", port=server.port, use_binary_protocol=is_binary,
        idempotent_rest_publishing=True, fallback_hosts=[],
    )  # fmt: skip
    try:
        yield client
    finally:
        await client.close()


@pytest.mark.parametrize("is_binary", [False, True], ids=["json", "msgpack"])
async def test_one_message_and_several_are_taken_with_the_ids_that_the_client_makes(is_binary: bool) -> None:
    async with ably_server() as server, ably_client(server, is_binary=is_binary) as client:
        channel = client.channels.get("acme:private:orders:7")
        await channel.publish("confirmed", {"total": "12.50"})
        await channel.publish([Message("a", {"n": 1}), Message("b", {"n": 2})])

    messages = server.messages["acme:private:orders:7"]
    assert [message["name"] for message in messages] == ["confirmed", "a", "b"]
    assert all(message["encoding"] == "json" for message in messages)
    assert [message["id"].partition(":")[2] for message in messages] == ["0", "0", "1"]


async def test_an_id_of_ones_own_is_taken_once() -> None:
    async with ably_server() as server, ably_client(server) as client:
        channel = client.channels.get("room")
        for _ in range(2):
            await channel.publish([Message("a", "1", id="event:0"), Message("b", "2", id="event:1")])

    assert [message["name"] for message in server.messages["room"]] == ["a", "b"]


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([Message("a", "1", id="one"), Message("b", "2", id="two")], 40031),
        ([Message("a", "1", id="x:1"), Message("b", "2", id="x:0")], 40031),
        ([Message("a", "x" * 65_536)], 40009),
        ([Message(f"m{number}", "x" * 60_000) for number in range(40)], 40009),
        ([Message("a", "1") for _ in range(51)], 42911),
    ],
)
async def test_what_breaks_a_rule_is_refused_with_its_code(messages: list[Message], code: int) -> None:
    async with ably_server() as server, ably_client(server) as client:
        with pytest.raises(AblyException) as refused:
            await client.channels.get("room").publish(messages)

    assert refused.value.code == code
    assert not server.messages


async def test_a_wrong_channel_a_wrong_token_and_one_that_ran_out_are_refused() -> None:
    async with ably_server() as server:
        async with ably_client(server) as client:
            with pytest.raises(AblyException) as refused:
                await client.channels.get("[meta]log").publish("a", "1")
            assert refused.value.code == 40010
        async with ably_client(server, token="app.other") as client:
            with pytest.raises(AblyException) as refused:
                await client.channels.get("room").publish("a", "1")
            assert (refused.value.code, refused.value.status_code) == (40101, 401)
        async with ably_client(server, token=EXPIRED_TOKEN) as client:
            with pytest.raises(AblyException):
                await client.channels.get("room").publish("a", "1")


async def test_a_fault_of_the_server_s_own_reaches_the_client_as_such() -> None:
    async with ably_server() as server, ably_client(server) as client:
        server.refusals = [Refusal(500, 50003)]
        with pytest.raises(AblyException) as refused:
            await client.channels.get("room").publish("a", "1")

    assert (refused.value.code, refused.value.status_code) == (50003, 500)
