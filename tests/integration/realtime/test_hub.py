"""Sockets and the hub over real connections: deadlines, slow clients, the end, and several nodes."""

import asyncio
import json
import random
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from rowcast.bus.postgres import PostgresBus
from rowcast.core.delivery import Owed
from rowcast.core.telemetry import listening
from rowcast.realtime.authorize import sign_token
from rowcast.realtime.gateway import GatewayLimits
from rowcast.realtime.hub import HubLimits
from rowcast.realtime.messages import Broadcast, pack_broadcast
from rowcast.realtime.sink import RealtimeSink
from rowcast.realtime.websocket import SocketLimits
from rowcast.testing.fake_clock import FakeClock
from tests.protocol.events import order_confirmed
from tests.protocol.raw_socket import RawSocket, frame, raw_connection, raw_socket, request
from tests.protocol.socket_server import SECRET, SocketServer, serving, token


class Told:
    """Keeps the facts that were told."""

    def __init__(self) -> None:
        self.facts: list[tuple[str, Mapping[str, object]]] = []

    def __call__(self, name: str, facts: Mapping[str, object]) -> None:
        self.facts.append((name, dict(facts)))


def broadcast(topic: str, payload: bytes, *, is_private: bool = False) -> bytes:
    return pack_broadcast(Broadcast("acme", is_private, topic, "e", payload))


async def turn(server: SocketServer, clock: FakeClock) -> None:
    """Let the wheel look at everything once."""
    for _ in range(8):
        server.hub.wheel.tick(clock.monotonic_s())


async def test_a_silent_socket_is_closed_and_one_that_beats_stays(clock: FakeClock) -> None:
    async with (
        serving(clock=clock) as server,
        raw_socket(server.port, far_token(clock)) as silent,
        raw_socket(server.port, far_token(clock)) as alive,
    ):
        clock.tick(40)
        await alive.heartbeat()
        clock.tick(30)
        await turn(server, clock)

        assert await silent.close_code() == 1000
        await alive.heartbeat()


def far_token(clock: FakeClock, *, seconds: int = 10_000) -> str:
    return sign_token(
        {"role": "authenticated", "tenant_id": "acme", "exp": int(clock.now().timestamp()) + seconds}, SECRET
    )


async def test_a_channel_whose_token_runs_out_is_told_and_closed_and_its_socket_stays(clock: FakeClock) -> None:
    async with serving(clock=clock) as server, raw_socket(server.port, far_token(clock, seconds=20)) as client:
        await client.join("orders:acme", private=True)
        clock.tick(25)
        await turn(server, clock)
        system, closed = await client.hear(), await client.hear()

        assert system[3:] == [
            "system",
            {
                "extension": "system",
                "status": "error",
                "message": "Token has expired 5 seconds ago",
                "channel": "orders:acme",
            },
        ]
        assert closed == ["1", "1", "realtime:orders:acme", "phx_close", {}]
        assert server.hub.topics == 0
        await client.heartbeat()


async def test_a_refreshed_token_keeps_the_channel_open(clock: FakeClock) -> None:
    async with serving(clock=clock) as server, raw_socket(server.port, far_token(clock, seconds=20)) as client:
        await client.join("orders:acme", private=True)
        await client.say("1", "2", "realtime:orders:acme", "access_token", {"access_token": far_token(clock)})
        await client.heartbeat()
        clock.tick(25)
        await turn(server, clock)

        await client.heartbeat()
        assert server.hub.topics == 1


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


@asynccontextmanager
async def stalled_socket(server: SocketServer, topic: str) -> AsyncIterator[socket.socket]:
    """A client that joins and then never reads again, with as small a buffer as the kernel gives."""
    loop = asyncio.get_running_loop()
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.setblocking(False)
    try:
        await loop.sock_connect(client, ("127.0.0.1", server.port))
        await loop.sock_sendall(client, request(f"/socket/websocket?apikey={token()}&vsn=2.0.0"))
        await loop.sock_recv(client, 4096)
        joined = json.dumps(["1", "1", f"realtime:{topic}", "phx_join", {}]).encode()
        await loop.sock_sendall(client, frame(1, joined))
        await loop.sock_recv(client, 4096)
        yield client
    finally:
        client.close()


async def test_a_client_that_does_not_read_is_cut_and_the_others_hear_everything() -> None:
    told = Told()
    limits = GatewayLimits(socket=SocketLimits(queued_bytes=500_000, sndbuf_bytes=16_384))
    with listening(told):
        async with serving(limits=limits) as server, raw_socket(server.port, token()) as good:
            await good.join("r")
            async with stalled_socket(server, "r"):
                await server.until(lambda hub: hub.connections == 2)
                for number in range(60):
                    await server.bus.publish(
                        "realtime", [broadcast("r", b'{"n":%d,"x":"%b"}' % (number, b"x" * 60_000))]
                    )
                    opcode, payload = await good.read_frame()
                    assert (opcode, b'"n":%d,' % number in payload) == (2, True)
                await server.until(lambda hub: hub.connections == 1)

    assert ("socket.cut", {"reason": "slow"}) in told.facts


async def test_a_client_that_stalls_for_too_long_is_cut_however_little_waits() -> None:
    clock = FakeClock()
    limits = GatewayLimits(socket=SocketLimits(sndbuf_bytes=16_384))
    async with serving(clock=clock, limits=limits) as server, stalled_socket_of(server, clock) as _:
        await server.bus.publish("realtime", [broadcast("r", b'"%b"' % (b"x" * 3_000_000))])
        await asyncio.sleep(0.2)
        clock.tick(11)
        await turn(server, clock)
        await server.until(lambda hub: hub.connections == 0)


@asynccontextmanager
async def stalled_socket_of(server: SocketServer, clock: FakeClock) -> AsyncIterator[RawSocket]:
    async with raw_connection(server.port) as client:
        client.writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await client.upgrade(f"/socket/websocket?apikey={far_token(clock)}&vsn=2.0.0")
        await client.join("r")
        transport = client.writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        yield client


async def test_a_slow_client_that_reads_again_gets_everything_in_order() -> None:
    limits = GatewayLimits(socket=SocketLimits(sndbuf_bytes=16_384))
    async with serving(limits=limits) as server, raw_socket(server.port, token()) as client:
        await client.join("r")
        transport = client.writer.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        messages = [broadcast("r", b'{"n":%d,"x":"%b"}' % (number, b"x" * 20_000)) for number in range(200)]
        await server.bus.publish("realtime", messages)
        await asyncio.sleep(0.2)
        transport.resume_reading()
        heard = [(await client.read_frame())[1] for _ in range(200)]

        assert [int(payload.partition(b'"n":')[2].partition(b",")[0]) for payload in heard] == list(range(200))


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
