"""The stock client `@supabase/realtime-js`, unchanged, in both serializer versions."""

import re

import pytest

from rowcast.core.delivery import Owed
from rowcast.core.envelope import Envelope
from rowcast.realtime.sink import RealtimeSink
from tests.protocol.events import order_confirmed, order_updated
from tests.protocol.js_client import VERSIONS, js_client
from tests.protocol.socket_server import serving, token

FAMILIES = pytest.mark.parametrize("family", ["/realtime/v1", "/socket"])


def owed(event: Envelope) -> list[tuple[Envelope, Owed]]:
    return [(event, Owed("realtime", "*"))]


@VERSIONS
@FAMILIES
async def test_a_public_channel_is_joined_and_hears_another_client(vsn: str, family: str) -> None:
    async with serving() as server, js_client(server.url(family), token(role="anon", tenant_id=None), vsn) as client:
        joined = await client.join("room-1", broadcast={"self": True, "ack": True})
        await client.say("send", name="room-1", event="greeting", payload={"text": "hé 🎉"})

        assert joined["status"] == "SUBSCRIBED"
        assert (await client.fact(lambda fact: "sent" in fact))["sent"] == "ok"
        assert await client.message("room-1") == {
            "type": "broadcast",
            "event": "greeting",
            "payload": {"text": "hé 🎉"},
        }


@VERSIONS
async def test_a_client_without_self_does_not_hear_itself_but_the_other_does(vsn: str) -> None:
    async with (
        serving() as server,
        js_client(server.url(), token(), vsn) as speaker,
        js_client(server.url(), token(), vsn) as listener,
    ):
        await speaker.join("room-1", broadcast={"self": False, "ack": True})
        await listener.join("room-1", broadcast={"self": True, "ack": True})
        await speaker.say("send", name="room-1", event="first", payload={"n": 1})
        heard_first = await listener.message("room-1")
        await listener.say("send", name="room-1", event="second", payload={"n": 2})

        assert heard_first["event"] == "first"
        assert (await speaker.message("room-1"))["event"] == "second"


@VERSIONS
async def test_a_private_channel_opens_to_the_tenant_of_the_token_and_shows_its_events(vsn: str) -> None:
    async with serving() as server, js_client(server.url(), token(role="anon", tenant_id=None), vsn) as client:
        joined = await client.join("tenant:acme:orders", token=token(), private=True)
        event = order_confirmed("acme")
        await RealtimeSink(bus=server.bus).tell(owed(event))
        message = await client.message("tenant:acme:orders")

        assert joined["status"] == "SUBSCRIBED"
        assert message["event"] == "orders.confirmed"
        assert message["meta"] == {"id": str(event.id)}
        assert message["payload"]["payload"] == {"id": "o1", "total": "12.50"}
        assert message["payload"]["tenantId"] == "acme"


@VERSIONS
async def test_a_watched_row_is_heard_on_its_private_topic_as_the_trigger_wrote_it(vsn: str) -> None:
    async with serving() as server, js_client(server.url(), token(), vsn) as client:
        await client.join("orders:acme", private=True)
        await RealtimeSink(bus=server.bus).tell(owed(order_updated("acme", topic="orders:acme")))
        message = await client.message("orders:acme")

        assert message["event"] == "UPDATE"
        assert message["payload"]["record"] == {"id": 7, "tenant": "acme"}
        assert message["payload"]["old_record"] == {"id": 7}


@VERSIONS
async def test_another_tenants_private_topic_is_refused_with_the_exact_reason(vsn: str) -> None:
    async with serving() as server, js_client(server.url(), token(tenant_id="globex"), vsn) as client:
        joined = await client.join("tenant:acme", private=True)

        assert joined["status"] == "CHANNEL_ERROR"
        assert (
            joined["error"] == "Unauthorized: You do not have permissions to read from this Channel topic: tenant:acme"
        )


@VERSIONS
async def test_the_same_private_topic_of_two_tenants_is_two_topics(vsn: str) -> None:
    async with (
        serving() as server,
        js_client(server.url(), token(tenant_id="globex"), vsn) as stranger,
        js_client(server.url(), token(tenant_id="acme"), vsn) as own,
    ):
        await stranger.join("orders:acme", private=True)
        await own.join("orders:acme", private=True)
        sink = RealtimeSink(bus=server.bus)
        await sink.tell(owed(order_updated("acme", topic="orders:acme")))
        await sink.tell(owed(order_updated("globex", topic="orders:acme")))

        assert (await own.message("orders:acme"))["payload"]["record"]["tenant"] == "acme"
        assert (await stranger.message("orders:acme"))["payload"]["record"]["tenant"] == "globex"


@VERSIONS
@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (token(secret="another secret, which is 32 bytes long"), "JwtSignatureError: Failed to validate JWT signature"),
        ("not a token", "MalformedJWT: The token provided is not a valid JWT"),
        (token(role=""), "InvalidJWTToken: Fields `role` and `exp` are required in JWT"),
    ],
)
async def test_a_bad_token_refuses_the_join_with_the_exact_reason(vsn: str, bad: str, reason: str) -> None:
    async with serving() as server, js_client(server.url(), token(), vsn) as client:
        joined = await client.join("room-1", token=bad)

        assert joined["status"] == "CHANNEL_ERROR"
        assert re.fullmatch(reason, joined["error"])


@pytest.mark.parametrize("vsn", ["2.0.0", "1.0.0"])
async def test_an_expired_token_refuses_the_join_of_a_client_that_asks_with_it(vsn: str) -> None:
    """The older client refuses it by itself."""
    async with serving() as server, js_client(server.url(), token(), vsn) as client:
        joined = await client.join("room-1", token=token(expires_in_s=-5))

        assert joined["status"] == "CHANNEL_ERROR"
        assert re.fullmatch(r"InvalidJWTToken: Token has expired \d+ seconds ago", joined["error"])


@VERSIONS
async def test_leaving_is_answered_and_a_second_join_of_the_topic_works(vsn: str) -> None:
    async with serving() as server, js_client(server.url(), token(), vsn) as client:
        await client.join("room-1")
        await client.say("leave", name="room-1")
        left = await client.fact(lambda fact: "left" in fact)
        await server.until(lambda hub: hub.topics == 0)
        again = await client.join("room-1", broadcast={"self": True})

        assert left["left"] == "ok"
        assert again["status"] == "SUBSCRIBED"


@VERSIONS
async def test_heartbeats_are_answered(vsn: str) -> None:
    async with serving() as server, js_client(server.url(), token(), vsn) as client:
        await client.join("room-1")
        await client.say("heartbeat")

        assert await client.fact(lambda fact: fact.get("heartbeat") == "ok")


@VERSIONS
@pytest.mark.parametrize(
    "text", ["not json", "[]", '["1","1","realtime:room-1","phx_join"]', "{}", "[" * 5000, "\\ud800", '"x"']
)
async def test_a_malformed_frame_keeps_the_connection(vsn: str, text: str) -> None:
    async with serving() as server, js_client(server.url(), token(), vsn) as client:
        await client.join("room-1", broadcast={"self": True})
        await client.say("raw", text=text)
        await client.say("send", name="room-1", event="still", payload={"here": True})

        assert (await client.message("room-1"))["event"] == "still"
        assert not [fact for fact in client.facts if "closed" in fact]


async def test_bytes_are_heard_as_bytes() -> None:
    async with serving() as server, js_client(server.url(), token(), "2.0.0") as client:
        await client.join("bin", broadcast={"self": True})
        await client.say("send", name="bin", event="b", bytes=[0, 125, 255])

        assert await client.message("bin") == {"type": "broadcast", "event": "b", "payload": {"bytes": [0, 125, 255]}}


@VERSIONS
async def test_a_client_joins_again_when_the_server_was_restarted(vsn: str) -> None:
    async with serving() as first, js_client(first.url(), token(), vsn) as client:
        port = first.port
        await client.join("room-1", broadcast={"self": True})
        await first.hub.close("Server requested disconnect")
        system = await client.fact(lambda fact: "system" in fact)
        closed = await client.fact(lambda fact: "closed" in fact)
        first.stop_listening()
        async with serving(port=port) as second:
            await second.until(lambda hub: hub.topics == 1)
            await client.say("send", name="room-1", event="again", payload={})

            assert (await client.message("room-1"))["event"] == "again"
        assert system["system"]["message"] == "Server requested disconnect"
        assert closed["closed"] == 1012


async def test_a_service_token_names_its_tenant_by_a_connect_parameter() -> None:
    service = token(role="service_role", tenant_id=None)
    async with serving() as server, js_client(server.url(), service, "2.0.0", tenant_id="acme") as client:
        joined = await client.join("orders:acme", private=True)
        await RealtimeSink(bus=server.bus).tell(owed(order_updated("acme", topic="orders:acme")))

        assert joined["status"] == "SUBSCRIBED"
        assert (await client.message("orders:acme"))["event"] == "UPDATE"


async def test_nobody_else_may_name_a_tenant_by_a_connect_parameter() -> None:
    async with (
        serving() as server,
        js_client(server.url(), token(tenant_id="globex"), "2.0.0", tenant_id="acme") as client,
    ):
        joined = await client.join("orders:acme", private=True)

        assert joined["status"] == "CHANNEL_ERROR"
        assert server.hub.topics == 0
