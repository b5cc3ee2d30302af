"""The stock client `realtime` of PyPI, unchanged. It checks every frame strictly and drops what it does not know."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from realtime import AsyncRealtimeChannel, AsyncRealtimeClient, RealtimeSubscribeStates
from websockets.exceptions import InvalidStatus

from rowcast.core.delivery import Owed
from rowcast.realtime.sink import RealtimeSink
from tests.protocol.events import order_confirmed, order_updated
from tests.protocol.socket_server import SocketServer, serving, token


class Room:
    """A channel of the stock client, with what it has heard."""

    def __init__(self, channel: AsyncRealtimeChannel) -> None:
        self.channel = channel
        self._messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue(100)
        self._states: asyncio.Queue[tuple[RealtimeSubscribeStates, Exception | None]] = asyncio.Queue(100)

    def listen_for(self, event: str) -> None:
        self.channel.on_broadcast(event, self._messages.put_nowait)

    async def join(self) -> tuple[RealtimeSubscribeStates, Exception | None]:
        await self.channel.subscribe(lambda state, error: self._states.put_nowait((state, error)))
        return await self.state()

    async def state(self) -> tuple[RealtimeSubscribeStates, Exception | None]:
        async with asyncio.timeout(15):
            return await self._states.get()

    async def message(self) -> dict[str, Any]:
        async with asyncio.timeout(15):
            return await self._messages.get()


def room(client: AsyncRealtimeClient, name: str, event: str, **config: Any) -> Room:
    broadcast = {"ack": True, "self": True}
    options: Any = {
        "config": {"broadcast": broadcast, "presence": {"key": "", "enabled": False}, "private": False} | config
    }
    made = Room(client.channel(name, options))
    made.listen_for(event)
    return made


@asynccontextmanager
async def connected(
    server: SocketServer, with_token: str, family: str = "/realtime/v1"
) -> AsyncIterator[AsyncRealtimeClient]:
    client = AsyncRealtimeClient(server.url(family), with_token, hb_interval=1, initial_backoff=0.1)
    await client.connect()
    try:
        yield client
    finally:
        await client.close()


@pytest.mark.parametrize("family", ["/realtime/v1", "/socket"])
async def test_a_public_channel_is_joined_and_hears_itself(family: str) -> None:
    async with serving() as server, connected(server, token(role="anon", tenant_id=None), family) as client:
        joined = room(client, "room-1", "greeting")
        state, _ = await joined.join()
        await joined.channel.send_broadcast("greeting", {"text": "hé 🎉"})

        assert state == RealtimeSubscribeStates.SUBSCRIBED
        assert await joined.message() == {"event": "greeting", "payload": {"text": "hé 🎉"}}


async def test_events_of_the_tenant_are_heard_on_its_private_topics() -> None:
    async with serving() as server, connected(server, token()) as client:
        joined = room(client, "tenant:acme", "orders.confirmed", private=True)
        state, _ = await joined.join()
        event = order_confirmed("acme")
        await RealtimeSink(bus=server.bus).tell([(event, Owed("realtime", "*"))])
        message = await joined.message()

        assert state == RealtimeSubscribeStates.SUBSCRIBED
        assert message["meta"] == {"id": str(event.id)}
        assert message["payload"]["eventType"] == "orders.confirmed"


async def test_a_watched_row_is_heard_on_its_private_topic() -> None:
    async with serving() as server, connected(server, token()) as client:
        joined = room(client, "orders:acme", "UPDATE", private=True)
        await joined.join()
        await RealtimeSink(bus=server.bus).tell([(order_updated("acme", topic="orders:acme"), Owed("realtime", "*"))])

        assert (await joined.message())["payload"]["old_record"] == {"id": 7}


async def test_another_tenants_topic_is_refused_with_the_reason() -> None:
    async with serving() as server, connected(server, token(tenant_id="globex")) as client:
        state, error = await room(client, "tenant:acme", "x", private=True).join()

        assert state == RealtimeSubscribeStates.CHANNEL_ERROR
        assert "Unauthorized: You do not have permissions to read from this Channel topic: tenant:acme" in str(error)


async def test_an_expired_token_is_refused_when_connecting() -> None:
    async with serving() as server:
        client = AsyncRealtimeClient(server.url(), token(expires_in_s=-1), max_retries=1)

        with pytest.raises(InvalidStatus) as refusal:
            await client.connect()

        assert refusal.value.response.status_code == 401
        assert refusal.value.response.body == b'{"error":"Token has expired"}'


async def test_leaving_ends_the_channel_and_joining_again_works() -> None:
    async with serving() as server, connected(server, token()) as client:
        joined = room(client, "room-1", "x")
        await joined.join()
        await joined.channel.unsubscribe()
        left, _ = await joined.state()
        await server.until(lambda hub: hub.topics == 0)
        state, _ = await room(client, "room-1", "x").join()

        assert left == RealtimeSubscribeStates.CLOSED
        assert state == RealtimeSubscribeStates.SUBSCRIBED


async def test_a_client_joins_again_when_the_server_was_restarted() -> None:
    async with serving() as first, connected(first, token()) as client:
        joined = room(client, "room-1", "again")
        await joined.join()
        # As a server does it: a client that is back before the door is closed would wait in front of it.
        first.stop_listening()
        await first.hub.close()
        async with serving(port=first.port) as second:
            await second.until(lambda hub: hub.topics == 1)
            await joined.channel.send_broadcast("again", {})

            assert (await joined.message())["event"] == "again"


async def test_a_token_that_runs_out_closes_the_channel(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server, connected(server, token(expires_in_s=2)) as client:
        joined = room(client, "room-1", "x")
        await joined.join()

        await server.until(lambda hub: hub.topics == 0)

        assert "Unrecognized message format" not in caplog.text
