"""One port for HTTP and sockets, with uvicorn's own protocol behind the gateway."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from rowcast.core.telemetry import listening
from rowcast.realtime.authorize import sign_token
from rowcast.realtime.gateway import GatewayLimits
from rowcast.realtime.limits import RealtimeLimits
from rowcast.server.web import HttpProtocols
from rowcast.testing.fake_clock import FakeClock
from tests.protocol.raw_socket import RawSocket, raw_connection, raw_socket, request
from tests.protocol.socket_server import QUICK, SECRET, SocketServer, serving, token

SOCKET = "/realtime/v1/websocket"
Message = MutableMapping[str, Any]


async def application(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    """An ASGI application that answers with the path and the body that it got."""
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body, more = b"", True
    while more:
        part = await receive()
        body += part.get("body", b"")
        more = part.get("more_body", False)
    answer = scope["path"].encode() + b"|" + body
    await send(
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(answer)).encode())]}
    )
    await send({"type": "http.response.body", "body": answer})


@asynccontextmanager
async def http_and_sockets(limits: GatewayLimits = QUICK) -> AsyncIterator[SocketServer]:
    http = HttpProtocols(application)
    await http.open()
    try:
        async with serving(http=http, limits=limits) as server:
            yield server
    finally:
        await http.close()


async def read_answer(client: RawSocket) -> bytes:
    async with asyncio.timeout(10):
        head = await client.reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        return await client.reader.readexactly(size)


async def test_a_request_that_is_no_socket_is_served_by_http() -> None:
    async with http_and_sockets() as server, raw_connection(server.port) as client:
        await client.write(b"POST /api/x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody")

        assert await read_answer(client) == b"/api/x|body"


@pytest.mark.parametrize("path", ["/", "/socket", "/socket/websocketx", "/realtime/v1/websocket/more", "/s"])
async def test_paths_like_ours_go_to_http(path: str) -> None:
    async with http_and_sockets() as server, raw_connection(server.port) as client:
        await client.write(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

        assert await read_answer(client) == path.encode() + b"|"


async def test_our_path_without_an_upgrade_goes_to_http() -> None:
    async with http_and_sockets() as server, raw_connection(server.port) as client:
        await client.write(f"GET {SOCKET} HTTP/1.1\r\nHost: a\r\n\r\n".encode())

        assert await read_answer(client) == SOCKET.encode() + b"|"


async def test_a_head_in_single_bytes_becomes_a_socket() -> None:
    async with http_and_sockets() as server, raw_connection(server.port) as client:
        for byte in request(f"{SOCKET}?apikey={token()}&vsn=2.0.0"):
            await client.write(bytes([byte]))
        async with asyncio.timeout(10):
            head = await client.reader.readuntil(b"\r\n\r\n")

        assert head.startswith(b"HTTP/1.1 101 ")
        await client.heartbeat()


async def test_a_head_in_single_bytes_becomes_http() -> None:
    async with http_and_sockets() as server, raw_connection(server.port) as client:
        for byte in b"GET /socket/other HTTP/1.1\r\nHost: a\r\n\r\n":
            await client.write(bytes([byte]))

        assert await read_answer(client) == b"/socket/other|"


async def test_frames_that_come_with_the_upgrade_are_not_lost() -> None:
    async with http_and_sockets() as server, raw_connection(server.port) as client:
        await client.write(request(f"{SOCKET}?apikey={token()}") + b"\x89\x80abcd")
        async with asyncio.timeout(10):
            await client.reader.readuntil(b"\r\n\r\n")

        assert await client.read_frame() == (10, b"")


@pytest.mark.parametrize("connection", ["Upgrade", "keep-alive, Upgrade", "upgrade,keep-alive"])
async def test_http_and_then_a_socket_on_one_connection(connection: str) -> None:
    async with http_and_sockets() as server, raw_connection(server.port) as client:
        for _ in range(2):
            await client.write(b"GET /first HTTP/1.1\r\nHost: a\r\n\r\n")
            assert await read_answer(client) == b"/first|"
        head = await client.upgrade(f"{SOCKET}?apikey={token()}&vsn=2.0.0", connection=connection)

        assert head.startswith(b"HTTP/1.1 101 ")
        await client.heartbeat()
        assert (await client.join("r"))["status"] == "ok"


async def test_an_upgrade_to_another_path_is_refused_and_does_not_go_round() -> None:
    async with http_and_sockets() as server, raw_connection(server.port) as client:
        head = await client.upgrade("/elsewhere")

        assert head.startswith(b"HTTP/1.1 404 ")


async def test_a_connection_that_says_nothing_is_cut(clock: FakeClock) -> None:
    async with (
        serving(clock=clock) as server,
        raw_connection(server.port) as silent,
        raw_connection(server.port) as half,
    ):
        await half.write(b"GET /real")
        await server.until(lambda hub: hub.connections == 2)
        clock.tick(11)
        for _ in range(8):
            server.hub.wheel.tick(clock.monotonic_s())

        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await silent.reader.readexactly(1)
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await half.reader.readexactly(1)


async def test_a_refusal_waits_so_that_a_storm_of_retries_is_slow(clock: FakeClock) -> None:
    async with (
        serving(clock=clock, limits=GatewayLimits(refusal_delay_s=2.0)) as server,
        raw_connection(server.port) as client,
    ):
        await client.write(request(f"{SOCKET}?apikey=junk"))
        await asyncio.sleep(0.05)
        server.hub.wheel.tick(clock.monotonic_s())
        early = client.reader.at_eof()
        clock.tick(3)
        server.hub.wheel.tick(clock.monotonic_s())

        assert not early
        assert (await client.rest()).startswith(b"HTTP/1.1 401 ")


async def test_a_hub_that_closes_refuses_new_sockets() -> None:
    async with serving() as server:
        await server.hub.close()
        async with raw_connection(server.port) as client:
            head = await client.upgrade(f"{SOCKET}?apikey={token()}")

        assert head.startswith(b"HTTP/1.1 503 ")


@pytest.mark.parametrize(
    ("role", "extra", "is_told"),
    [
        ("service_role", "Origin: https://shop.example\r\n", True),
        ("service_role", "", False),
        ("anon", "Origin: https://shop.example\r\n", False),
    ],
)
async def test_the_key_of_a_server_in_a_page_is_told(role: str, extra: str, is_told: bool) -> None:
    told: list[str] = []
    async with serving() as server, raw_connection(server.port) as client:
        with listening(lambda name, _: told.append(name)):
            await client.upgrade(f"{SOCKET}?apikey={token(role=role)}", extra=extra)

    assert ("socket.service_key_exposed" in told) is is_told


async def test_a_page_that_is_not_welcome_opens_no_socket() -> None:
    async with serving() as server:
        server.gateway.is_welcome = lambda host, origin: (host, origin) == ("localhost", "")
        for extra, status in (("", b"101"), ("Origin: https://evil.example\r\n", b"403")):
            async with raw_connection(server.port) as client:
                await client.write(request(f"{SOCKET}?apikey={token()}", extra=extra))
                async with asyncio.timeout(10):
                    assert (await client.reader.readline()).split(b" ")[1] == status


@asynccontextmanager
async def asking(server: SocketServer, who: str) -> AsyncIterator[bytes]:
    """Ask for a socket, keep it for the time of a block, and give the whole answer."""
    async with raw_connection(server.port) as client:
        head = await client.upgrade(f"/socket/websocket?apikey={who}")
        yield head if head.startswith(b"HTTP/1.1 101") else head + await client.rest()


async def test_a_socket_over_the_limit_of_its_tenant_or_of_its_user_is_refused_and_another_tenant_is_not() -> None:
    ann = sign_token({"role": "authenticated", "tenant_id": "acme", "sub": "ann", "exp": 10**11}, SECRET)
    whose = (ann, ann, token(), token(), token(tenant_id="globex"))
    async with (
        serving(tenant_limits=RealtimeLimits(users=2, connections_per_user=1)) as server,
        AsyncExitStack() as sockets,
    ):
        answers = [await sockets.enter_async_context(asking(server, who)) for who in whose]

        assert [answer.split(b" ")[1] for answer in answers] == [b"101", b"429", b"101", b"429", b"101"]
        assert answers[1].endswith(b'{"error":"Too many connected users"}')


async def test_a_socket_that_is_gone_makes_room_for_another() -> None:
    async with serving(tenant_limits=RealtimeLimits(users=1)) as server:
        async with raw_socket(server.port, token()):
            pass
        await server.until(lambda hub: hub.connections == 0)
        async with asking(server, token()) as answer:
            assert answer.startswith(b"HTTP/1.1 101")


async def test_no_socket_is_opened_while_there_are_too_many_joins() -> None:
    async with (
        serving(tenant_limits=RealtimeLimits(joins_per_s=0.1)) as server,
        raw_socket(server.port, token()) as client,
    ):
        await client.join("r")
        async with asking(server, token()) as answer:
            assert answer.startswith(b"HTTP/1.1 429 ")
            assert answer.endswith(b'{"error":"Too many joins per second"}')
