"""Sockets over real connections: deadlines, tokens that run out, and clients that do not read."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from rowcast.core.telemetry import listening
from rowcast.realtime.authorize import sign_token
from rowcast.realtime.gateway import GatewayLimits
from rowcast.realtime.messages import Broadcast, pack_broadcast
from rowcast.realtime.websocket import SocketLimits
from rowcast.testing.fake_clock import FakeClock
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


async def test_a_socket_without_a_channel_is_closed_after_ten_minutes_and_one_with_a_channel_is_not(
    clock: FakeClock,
) -> None:
    async with (
        serving(clock=clock) as server,
        raw_socket(server.port, far_token(clock)) as empty,
        raw_socket(server.port, far_token(clock)) as joined,
    ):
        await joined.join("r")
        for _ in range(13):
            clock.tick(50)
            await joined.heartbeat()
            if server.hub.connections == 2:
                await empty.write(frame(9, b"alive"))
            await turn(server, clock)

        assert await empty.close_code() == 1000
        await joined.heartbeat()


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
