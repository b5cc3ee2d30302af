"""The stock client `realtime` of PyPI, unchanged. It checks every frame strictly and drops what it does not know."""

import pytest
from websockets.exceptions import InvalidStatus

from rowcast.core.delivery import Owed
from rowcast.realtime.sink import RealtimeSink
from tests.protocol.events import order_confirmed, order_updated
from tests.protocol.python_client import NEWEST, OLDER, PYTHONS, connected, room, stock
from tests.protocol.socket_server import serving, token


@pytest.mark.parametrize("family", ["/realtime/v1", "/socket"])
@PYTHONS
async def test_a_public_channel_is_joined_and_hears_itself(family: str, python: str) -> None:
    async with serving() as server, connected(server.url(family), token(role="anon", tenant_id=None), python) as client:
        joined = room(client, "room-1", "greeting")
        state, _ = await joined.join()
        await joined.channel.send_broadcast("greeting", {"text": "hé 🎉"})

        assert state == "SUBSCRIBED"
        assert await joined.message() == {"event": "greeting", "payload": {"text": "hé 🎉"}}


@PYTHONS
async def test_events_of_the_tenant_are_heard_on_its_private_topics(python: str) -> None:
    async with serving() as server, connected(server.url(), token(), python) as client:
        joined = room(client, "tenant:acme", "orders.confirmed", private=True)
        state, _ = await joined.join()
        event = order_confirmed("acme")
        await RealtimeSink(bus=server.bus).tell([(event, Owed("realtime", "*"))])
        message = await joined.message()

        assert state == "SUBSCRIBED"
        assert message["meta"] == {"id": str(event.id)}
        assert message["payload"]["eventType"] == "orders.confirmed"


@PYTHONS
async def test_a_watched_row_is_heard_on_its_private_topic(python: str) -> None:
    async with serving() as server, connected(server.url(), token(), python) as client:
        joined = room(client, "orders:acme", "UPDATE", private=True)
        await joined.join()
        await RealtimeSink(bus=server.bus).tell([(order_updated("acme", topic="orders:acme"), Owed("realtime", "*"))])

        assert (await joined.message())["payload"]["old_record"] == {"id": 7}


@PYTHONS
async def test_another_tenants_topic_is_refused_with_the_reason(python: str) -> None:
    async with serving() as server, connected(server.url(), token(tenant_id="globex"), python) as client:
        state, error = await room(client, "tenant:acme", "x", private=True).join()

        assert state == "CHANNEL_ERROR"
        assert "Unauthorized: You do not have permissions to read from this Channel topic: tenant:acme" in str(error)


@PYTHONS
async def test_an_expired_token_is_refused_when_connecting(python: str) -> None:
    async with serving() as server:
        client = stock(python).AsyncRealtimeClient(server.url(), token(expires_in_s=-1), max_retries=1)

        with pytest.raises(InvalidStatus) as refusal:
            await client.connect()

        assert refusal.value.response.status_code == 401
        assert refusal.value.response.body == b'{"error":"Token has expired"}'


@PYTHONS
async def test_leaving_ends_the_channel_and_joining_again_works(python: str) -> None:
    async with serving() as server, connected(server.url(), token(), python) as client:
        joined = room(client, "room-1", "x")
        await joined.join()
        await joined.channel.unsubscribe()
        left = (await joined.state())[0] if python == NEWEST else None
        await server.until(lambda hub: hub.topics == 0)
        state, _ = await room(client, "room-1", "x").join()

        assert left == ("CLOSED" if python == NEWEST else None)
        assert joined.channel.is_closed
        assert state == "SUBSCRIBED"


@PYTHONS
async def test_a_client_joins_again_when_the_server_was_restarted(python: str) -> None:
    async with serving() as first, connected(first.url(), token(), python) as client:
        joined = room(client, "room-1", "again")
        await joined.join()
        # As a server does it: a client that is back before the door is closed would wait in front of it.
        first.stop_listening()
        await first.hub.close()
        async with serving(port=first.port) as second:
            await second.until(lambda hub: hub.topics == 1)
            await joined.channel.send_broadcast("again", {})

            assert (await joined.message())["event"] == "again"


@PYTHONS
async def test_a_token_that_runs_out_closes_the_channel(python: str, caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as server, connected(server.url(), token(expires_in_s=2), python) as client:
        joined = room(client, "room-1", "x")
        await joined.join()

        await server.until(lambda hub: hub.topics == 0)

        assert "Unrecognized message format" not in caplog.text


def test_two_versions_stand_side_by_side() -> None:
    assert [stock(python).__version__ for python in (NEWEST, OLDER)] == ["2.34.1", "2.30.0"]
