"""Sockets and the hub over real connections: the end of the server, and several nodes."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest

from rowcast.bus.memory import MemoryBus
from rowcast.bus.postgres import PostgresBus
from rowcast.core.delivery import Owed
from rowcast.realtime.authorize import Claims
from rowcast.realtime.effects import MayWrite
from rowcast.realtime.hub import SUBJECT, HubLimits
from rowcast.realtime.messages import Broadcast, pack_broadcast
from rowcast.realtime.sink import RealtimeSink
from tests.protocol.events import order_confirmed
from tests.protocol.raw_socket import frame, raw_socket
from tests.protocol.socket_server import serving, token


def broadcast(topic: str, payload: bytes, *, is_private: bool = False) -> bytes:
    return pack_broadcast(Broadcast("acme", is_private, topic, "e", payload))


async def test_closing_tells_every_channel_and_ends_with_1012() -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.join("a")
        await client.join("b")
        async with asyncio.TaskGroup() as group:
            closing = group.create_task(server.hub.close("Server requested disconnect"))
            told = [await client.hear(), await client.hear()]
            code = await client.close_code()
            await client.write(frame(8, (1012).to_bytes(2, "big")))
            await closing

        assert [message[4]["message"] for message in told] == ["Server requested disconnect"] * 2
        assert [message[2] for message in told] == ["realtime:a", "realtime:b"]
        assert code == 1012
        assert server.hub.connections == 0


async def test_closing_ends_in_time_though_a_client_never_answers() -> None:
    async with serving(hub_limits=HubLimits(close_s=0.2)) as server, raw_socket(server.port, token()) as client:
        await client.join("a")
        async with asyncio.timeout(5):
            await server.hub.close()

        await server.until(lambda hub: hub.connections == 0)


async def test_a_hub_can_be_opened_again() -> None:
    async with serving() as server:
        await server.hub.close()
        await server.hub.open()
        async with raw_socket(server.port, token()) as client:
            await client.join("r")
            await server.bus.publish("realtime", [broadcast("r", b"{}")])

            assert (await client.read_frame())[0] == 2


async def test_messages_from_the_bus_that_are_no_broadcasts_are_dropped() -> None:
    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.join("r")
        await server.bus.publish("realtime", [b"", b"junk", b"\x93\x01\x02\x03", broadcast("r", b"{}")])

        assert (await client.read_frame())[0] == 2


@pytest.mark.parametrize("speaker", [0, 1])
async def test_an_event_told_on_one_node_is_heard_once_on_each(dsn: str, speaker: int) -> None:
    async with AsyncExitStack() as stack:
        buses = [PostgresBus(dsn, node=bytes([n]) * 16, noise=random.random) for n in range(2)]
        for bus in buses:
            await bus.open()
            stack.push_async_callback(bus.close)
        servers = [await stack.enter_async_context(serving(bus=bus)) for bus in buses]
        clients = [await stack.enter_async_context(raw_socket(server.port, token())) for server in servers]
        for client in clients:
            await client.join("tenant:acme", private=True)
        await RealtimeSink(bus=buses[speaker]).tell([(order_confirmed("acme"), Owed("realtime", "*"))])

        for client in clients:
            opcode, payload = await client.read_frame()
            assert (opcode, b"orders.confirmed" in payload) == (2, True)
            await client.heartbeat()


async def test_a_clients_broadcast_reaches_the_other_node_and_not_the_client_itself(dsn: str) -> None:
    async with AsyncExitStack() as stack:
        buses = [PostgresBus(dsn, node=bytes([n]) * 16, noise=random.random) for n in range(2)]
        for bus in buses:
            await bus.open()
            stack.push_async_callback(bus.close)
        servers = [await stack.enter_async_context(serving(bus=bus)) for bus in buses]
        here, there = [await stack.enter_async_context(raw_socket(server.port, token())) for server in servers]
        await here.join("r")
        await there.join("r")
        await here.say("1", "2", "realtime:r", "broadcast", {"type": "broadcast", "event": "e", "payload": {"a": 1}})

        heard = await there.hear()
        assert heard == [
            None,
            None,
            "realtime:r",
            "broadcast",
            {"type": "broadcast", "event": "e", "payload": {"a": 1}},
        ]
        await here.heartbeat()


async def test_a_fault_of_ours_in_one_socket_ends_no_other() -> None:
    def fails(_: object) -> None:
        raise RuntimeError

    async with serving() as server, raw_socket(server.port, token()) as client:
        await client.join("r", private=True, broadcast={"self": True})
        server.hub.ask(MayWrite(Claims("authenticated", 0, "acme"), "r", "broadcast"), fails)
        await client.say("1", "2", "realtime:r", "broadcast", {"type": "broadcast", "event": "e", "payload": {}})

        assert (await client.hear())[3] == "broadcast"


async def test_presences_of_two_nodes_meet_over_the_database_too(dsn: str) -> None:
    async with AsyncExitStack() as stack:
        clients = []
        for number in range(2):
            bus = PostgresBus(dsn, node=bytes([number]) * 16, noise=random.Random(number).random)
            await bus.open()
            stack.push_async_callback(bus.close)
            server = await stack.enter_async_context(serving(bus=bus))
            clients.append(await stack.enter_async_context(raw_socket(server.port, token())))
        for number, client in enumerate(clients):
            await client.join("r", presence={"key": f"u{number}", "enabled": True})
        await clients[0].say("1", "2", "realtime:r", "presence", {"event": "track", "payload": {"a": 1}})
        async with asyncio.timeout(15):
            message = await clients[1].hear()
            while message[3] != "presence_diff":
                message = await clients[1].hear()

        assert message[4]["joins"]["u0"]["metas"][0]["a"] == 1


class SlowBus(MemoryBus):
    """Tells this process of broadcasts at once, and takes for ever to tell the others."""

    async def publish(self, subject: str, messages: Sequence[bytes]) -> None:
        await super().publish(subject, messages)
        if subject == SUBJECT:
            await asyncio.Event().wait()


async def test_sockets_here_hear_a_broadcast_while_an_earlier_one_is_on_its_way_to_others() -> None:
    async with (
        serving(bus=SlowBus(), hub_limits=HubLimits(outgoing=3, bus_timeout_s=60, close_s=0.2)) as server,
        raw_socket(server.port, token()) as client,
    ):
        await client.join("r", broadcast={"self": True, "ack": True})
        for number in range(3):
            await client.say("1", str(number), "realtime:r", "broadcast", {"type": "broadcast", "event": "e"})
        heard = [await client.hear() for _ in range(6)]
        await client.say("1", "too much", "realtime:r", "broadcast", {"type": "broadcast", "event": "e"})
        refused = await client.hear()

        assert sorted(message[3] for message in heard) == ["broadcast"] * 3 + ["phx_reply"] * 3
        assert (refused[1], refused[4]["status"]) == ("too much", "error")
