"""Server-sent events: who may listen, what is heard, and how a stream goes on and ends."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from rowcast.core.codec import decode_json
from rowcast.realtime.authorize import sign_token
from rowcast.store.sql import parse_query
from tests.integration.server.running import JWT_SECRET, Running, assert_problem, running

EMIT = parse_query("emit", "select rowcast.emit(:tenant_id, 'orders.made', :payload::jsonb)")
ROLES = ("gateway", "relay")
PATH = "/api/realtime/sse"


def token(role: str = "authenticated", tenant_id: str | None = "acme", expires_in_s: int = 86_400) -> str:
    claims: dict[str, object] = {"role": role, "exp": int(time.time()) + expires_in_s}
    return sign_token(claims | ({"tenant_id": tenant_id} if tenant_id else {}), JWT_SECRET)


class Lines:
    """A stream as a page reads it."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.last_id = ""
        self._lines = response.aiter_lines()

    async def until(self, fits: Callable[[str], bool]) -> str:
        """Give the first line that fits."""
        async with asyncio.timeout(20):
            async for line in self._lines:
                if line.startswith("id: "):
                    self.last_id = line[4:]
                if fits(line):
                    return line
        raise AssertionError("the stream ended")

    async def frame(self) -> dict[str, Any]:
        """Give the next event's data."""
        found: dict[str, Any] = decode_json((await self.until(lambda line: line.startswith("data: ")))[6:])
        return found

    async def number(self) -> int:
        """Give the number in the next event."""
        return int((await self.frame())["payload"]["payload"]["payload"]["n"])

    async def begun(self) -> None:
        """Wait until it is live."""
        await self.until(lambda line: line.startswith(": heartbeat"))

    async def ended(self) -> None:
        """Read to its end."""
        async with asyncio.timeout(20):
            async for _ in self._lines:
                pass


@asynccontextmanager
async def listening(
    server: Running, *, last_id: str = "", with_token: str | None = None, **query: str
) -> AsyncIterator[Lines]:
    headers = {"authorization": f"Bearer {with_token or token()}", **({"last-event-id": last_id} if last_id else {})}
    async with server.client.stream("GET", PATH, params={"topic": "tenant:acme", **query}, headers=headers) as reply:
        assert reply.status_code == 200, await reply.aread()
        yield Lines(reply)


async def emit(server: Running, *numbers: int, tenant_id: str = "acme") -> None:
    for number in numbers:
        await server.app.database.execute(EMIT, tenant_id=tenant_id, payload=f'{{"n":{number}}}')


async def test_events_of_the_tenant_are_heard(dsn: str) -> None:
    async with running(dsn, roles=ROLES) as server, listening(server) as lines:
        await lines.begun()
        await emit(server, 99, tenant_id="globex")
        await emit(server, 1)
        frame = await lines.frame()

        assert frame["topic"] == "realtime:tenant:acme"
        assert frame["payload"]["event"] == "orders.made"
        assert frame["payload"]["payload"]["payload"] == {"n": 1}
        assert frame["payload"]["meta"]["id"]
        assert lines.response.headers["content-type"].startswith("text/event-stream")
        assert lines.response.headers["cache-control"] == "no-store"


async def test_a_stream_goes_on_where_the_last_one_ended(dsn: str) -> None:
    async with running(dsn, roles=ROLES) as server:
        async with listening(server) as lines:
            await lines.begun()
            await emit(server, 1)
            assert await lines.number() == 1
            await lines.until(lambda line: line.startswith("id: "))
            last_id = lines.last_id
        await emit(server, 2, 3)
        async with listening(server, last_id=last_id) as lines:
            heard = [await lines.number()]
            while heard[-1] != 3:
                heard.append(await lines.number())
            await emit(server, 4)

            assert await lines.number() == 4
    assert heard in ([2, 3], [1, 2, 3])


@pytest.mark.parametrize("last_id", ["nonsense", "1.1.{now}", "1.1.{now}.0123456789abcdef01234567"])
async def test_a_place_that_was_not_given_opens_no_past_and_is_answered_honestly(dsn: str, last_id: str) -> None:
    async with running(dsn, roles=ROLES) as server:
        async with listening(server) as lines:
            await lines.begun()
            await emit(server, 1)
            assert await lines.number() == 1
        async with listening(server, last_id=last_id.format(now=int(time.time()))) as lines:
            frame = await lines.frame()
            await lines.begun()
            await emit(server, 2)

            assert frame["event"] == "system"
            assert frame["payload"]["message"] == "Some messages could not be recovered"
            assert await lines.number() == 2


async def test_a_place_of_one_topic_opens_no_other(dsn: str) -> None:
    async with running(dsn, roles=ROLES) as server:
        async with listening(server, topic="tenant:acme:orders") as lines:
            await lines.until(lambda line: line.startswith("id: "))
        async with listening(server, last_id=lines.last_id) as other:
            assert (await other.frame())["event"] == "system"


@pytest.mark.parametrize("topic", ["tenant:globex", "tenant:globex:orders"])
async def test_a_private_topic_of_somebody_else_is_refused(dsn: str, topic: str) -> None:
    async with running(dsn) as server:
        headers = {"authorization": f"Bearer {token()}"}
        reply = await server.client.get(PATH, params={"topic": topic}, headers=headers)

        assert_problem(reply, 403, "auth.denied")


@pytest.mark.parametrize("bad", ["", "nonsense", token(expires_in_s=-5)])
async def test_nobody_without_a_valid_token_may_listen(dsn: str, bad: str) -> None:
    async with running(dsn) as server:
        reply = await server.client.get(PATH, params={"topic": "tenant:acme", "apikey": bad})

        assert_problem(reply, 401, "auth.token")


async def test_a_topic_that_cannot_be_joined_is_refused(dsn: str) -> None:
    async with running(dsn) as server:
        reply = await server.client.get(PATH, params={"topic": "", "apikey": token()})

        assert_problem(reply, 400, "input.topic")


async def test_a_public_topic_is_heard_with_the_key_in_the_address(dsn: str) -> None:
    anon = token("anon", None)
    async with running(dsn) as server:
        query = {"topic": "room-1", "private": "false", "apikey": anon}
        async with server.client.stream("GET", PATH, params=query) as reply:
            lines = Lines(reply)
            await lines.begun()
            await server.client.post("/api/broadcast/room-1/events/e", json={"x": 1}, headers={"apikey": anon})

            assert (await lines.frame())["payload"] == {"type": "broadcast", "event": "e", "payload": {"x": 1}}


async def test_a_token_that_runs_out_ends_the_stream(dsn: str) -> None:
    async with running(dsn) as server, listening(server, with_token=token(expires_in_s=2)) as lines:
        frame = await lines.frame()
        await lines.ended()

        assert frame["payload"]["message"] == "Token has expired"


async def test_a_server_that_stops_ends_its_streams(dsn: str) -> None:
    async with running(dsn) as server, listening(server) as lines:
        await lines.begun()
        begun_s = time.monotonic()
        server.server.stop()
        await lines.ended()
        await server.task

        assert time.monotonic() - begun_s < 10


async def test_a_client_that_goes_leaves_nothing_behind(dsn: str) -> None:
    async with running(dsn) as server:
        hub = server.app.hub
        assert hub is not None
        async with listening(server) as lines:
            await lines.begun()
            assert hub.topics == 1
        async with asyncio.timeout(10):
            while hub.topics:
                await asyncio.sleep(0.01)

        assert hub.meters.of("acme").users == 0
