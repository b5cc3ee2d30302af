"""What one HTTP connection of a stranger may cost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from rowcast.server.http_connection import BODY_LIMIT_BYTES, HEAD_LIMIT_BYTES, PIPELINE_LIMIT, HttpConnection
from rowcast.server.web import HttpProtocols
from tests.integration.realtime.test_gateway import application, read_answer
from tests.protocol.raw_socket import RawSocket, raw_connection
from tests.protocol.socket_server import serving

GET = b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n"


@asynccontextmanager
async def http_only() -> AsyncIterator[int]:
    http = HttpProtocols(application)
    await http.open()
    try:
        async with serving(http=http) as server:
            yield server.port
    finally:
        await http.close()


async def rest(client: RawSocket) -> bytes:
    """Give all that still comes until the server ends the connection."""
    async with asyncio.timeout(10):
        try:
            return await client.reader.read()
        except ConnectionError:
            return b""


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpConnection, "request_s", 0.2)


@pytest.mark.parametrize("line", [b"X-Pad: %b\r\n" % (b"a" * 4000), b"a" * 4000], ids=["lines", "one line"])
async def test_a_head_without_end_is_refused(line: bytes) -> None:
    async with http_only() as port, raw_connection(port) as client:
        await client.write(b"GET /a HTTP/1.1\r\nHost: a\r\nX-First: ")
        with suppress(ConnectionError):
            for _ in range(20 * HEAD_LIMIT_BYTES // len(line)):
                await client.write(line)

        assert (await rest(client))[:13] in (b"HTTP/1.1 431 ", b"")


async def test_a_body_may_be_larger_than_any_head() -> None:
    body = b"x" * (2 * HEAD_LIMIT_BYTES)
    request = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with http_only() as port, raw_connection(port) as client:
        for _ in range(3):
            await client.write(request)
            assert await read_answer(client) == b"/a|" + body


@pytest.mark.parametrize("is_told", [True, False])
async def test_a_body_that_is_longer_than_any_route_takes_is_cut(is_told: bool) -> None:
    piece = b"x" * 65_536
    head = b"Content-Length: 1073741824\r\n" if is_told else b"Transfer-Encoding: chunked\r\n"
    async with http_only() as port, raw_connection(port) as client:
        await client.write(b"POST /a HTTP/1.1\r\nHost: a\r\n" + head + b"\r\n")
        with pytest.raises(ConnectionError):
            for _ in range(4 * BODY_LIMIT_BYTES // len(piece)):
                await client.write(piece if is_told else b"%x\r\n%b\r\n" % (len(piece), piece))


@pytest.mark.parametrize(
    "start",
    [GET[:-2], b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf", b"POST ", b"\r\n"],
    ids=["head", "body", "first word", "blank line"],
)
@pytest.mark.usefixtures("impatient")
async def test_a_request_that_does_not_come_whole_is_cut(start: bytes) -> None:
    async with http_only() as port, raw_connection(port) as client:
        await client.write(GET)
        await read_answer(client)

        await client.write(start)

        assert await rest(client) == b""


@pytest.mark.usefixtures("impatient")
async def test_a_connection_that_waits_between_requests_lives_on() -> None:
    async with http_only() as port, raw_connection(port) as client:
        for _ in range(3):
            await client.write(GET)
            assert await read_answer(client) == b"/a|"
            await asyncio.sleep(0.3)


async def test_requests_in_one_piece_are_answered_up_to_a_bound() -> None:
    async with http_only() as port, raw_connection(port) as client:
        await client.write(GET * (PIPELINE_LIMIT + 1))
        answers = [await read_answer(client) for _ in range(PIPELINE_LIMIT + 1)]
        assert answers == [b"/a|"] * (PIPELINE_LIMIT + 1)

        await client.write(GET * 1000)

        assert (await rest(client)).count(b"HTTP/1.1 200") <= PIPELINE_LIMIT + 1
