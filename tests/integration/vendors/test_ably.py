"""The transport to Ably against a server that keeps Ably's rules."""

import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from rowcast.core.clock import SystemClock
from rowcast.core.errors import ConfigError
from rowcast.core.outcome import Delivered, Rejected, Retry
from rowcast.egress.client import EgressClient, open_client
from rowcast.egress.guard import Policy
from rowcast.realtime.messages import Broadcast
from rowcast.vendors.ably import AblySettings, AblyTransport
from tests.integration.vendors.ably_server import KEY, READ_ONLY_KEY, AblyServer, Refusal, ably_server

CHANNEL = "acme:private:orders:7"


@pytest_asyncio.fixture
async def server() -> AsyncIterator[AblyServer]:
    async with ably_server() as running:
        yield running


@pytest_asyncio.fixture
async def client(server: AblyServer) -> AsyncIterator[EgressClient]:
    allowed = frozenset({("127.0.0.1", server.port), ("127.0.0.1", 1)})
    async with open_client(clock=SystemClock(), policy=Policy(allow_http=True, allowed=allowed)) as found:
        yield found


def transport(
    client: EgressClient, server: AblyServer, *, key: str = KEY, before: tuple[str, ...] = ()
) -> AblyTransport:
    origins = (*before, f"http://127.0.0.1:{server.port}")
    return AblyTransport(client=client, settings=AblySettings(key=key, origins=origins))


def said(text: str, *, topic: str = "orders:7", tenant: str = "acme", size_bytes: int = 0) -> Broadcast:
    payload = json.dumps({"text": text, "pad": "x" * size_bytes}).encode()
    return Broadcast(tenant, True, topic, "said", payload, b'{"id":"e"}')


def texts(server: AblyServer, channel: str = CHANNEL) -> list[str]:
    return [json.loads(message["data"])["text"] for message in server.messages[channel]]


async def test_broadcasts_arrive_on_the_channels_of_their_topics_in_order(
    client: EgressClient, server: AblyServer
) -> None:
    broadcasts = [said("1"), said("2", topic="room"), said("3"), said("4", tenant="b")]

    assert isinstance(await transport(client, server).send("e1", broadcasts), Delivered)

    assert texts(server) == ["1", "3"]
    assert texts(server, "acme:private:room") == ["2"]
    assert texts(server, "b:private:orders:7") == ["4"]
    assert [message["id"] for message in server.messages[CHANNEL]] == ["e1.0:0", "e1.0:1"]


async def test_what_is_sent_again_is_told_once(client: EgressClient, server: AblyServer) -> None:
    road = transport(client, server)
    for _ in range(3):
        await road.send("e1", [said("1"), said("2")])
    await road.send("e2", [said("1")])

    assert texts(server) == ["1", "2", "1"]


async def test_binary_broadcasts_and_any_topic_survive(client: EgressClient, server: AblyServer) -> None:
    broadcast = Broadcast("a:b/c", False, "room ü/?#%", "raw", bytes(range(256)), form="binary")

    assert isinstance(await transport(client, server).send("e1", [broadcast]), Delivered)

    (channel,) = server.messages
    assert channel == "a%3Ab%2Fc:public:room ü/?#%"
    assert server.messages[channel][0]["encoding"] == "base64"


async def test_many_and_large_broadcasts_go_in_several_requests_each_within_the_limits(
    client: EgressClient, server: AblyServer
) -> None:
    async def pause(_: float) -> None:
        return

    large = [said(str(number), size_bytes=60_000) for number in range(45)]
    settings = AblySettings(key=KEY, origins=(f"http://127.0.0.1:{server.port}",))
    road = AblyTransport(client=client, settings=settings, pause=pause)

    assert isinstance(await road.send("e1", large), Delivered)

    assert texts(server) == [str(number) for number in range(45)]
    assert server.requests >= 2


async def test_more_than_a_channel_takes_in_a_second_is_sent_second_by_second(
    client: EgressClient, server: AblyServer
) -> None:
    waits: list[float] = []

    async def pause(seconds: float) -> None:
        waits.append(seconds)
        server.forget_rates()

    settings = AblySettings(key=KEY, origins=(f"http://127.0.0.1:{server.port}",))
    road = AblyTransport(client=client, settings=settings, pause=pause)

    assert isinstance(await road.send("e1", [said(str(number)) for number in range(120)]), Delivered)

    assert texts(server) == [str(number) for number in range(120)]
    assert waits == [1.0, 1.0]


async def test_over_the_rate_is_tried_again_after_the_wait_that_ably_asks_for_and_nothing_is_out_of_order(
    client: EgressClient, server: AblyServer
) -> None:
    async def pause(_: float) -> None:
        return

    settings = AblySettings(key=KEY, origins=(f"http://127.0.0.1:{server.port}",))
    many = [said(str(number)) for number in range(120)]

    outcome = await AblyTransport(client=client, settings=settings, pause=pause).send("e1", many)

    assert isinstance(outcome, Retry)
    assert (outcome.reason, outcome.after_s) == ("ably_42911", 1.0)
    assert texts(server) == [str(number) for number in range(50)]
    assert server.requests == 2


async def test_a_broadcast_that_is_too_large_is_rejected_before_anything_is_sent(
    client: EgressClient, server: AblyServer
) -> None:
    outcome = await transport(client, server).send("e1", [said("1"), said("2", size_bytes=70_000)])

    assert outcome == Rejected("too_large")
    assert server.requests == 0


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (401, 40101, Rejected), (401, 40160, Rejected), (401, 40142, Retry), (400, 40031, Rejected), (400, 40010, Rejected),
        (429, 42910, Retry), (500, 50000, Retry), (500, 50003, Retry), (503, 50003, Retry), (408, 40800, Retry),
    ],
)  # fmt: skip
async def test_each_class_of_error_is_retried_or_not(
    client: EgressClient, server: AblyServer, status: int, code: int, kind: type
) -> None:
    server.refusals = [Refusal(status, code)]

    outcome = await transport(client, server).send("e1", [said("1")])

    assert isinstance(outcome, kind)
    assert outcome.reason == f"ably_{code}"
    assert not server.messages


async def test_a_key_without_the_right_is_rejected_by_name(client: EgressClient, server: AblyServer) -> None:
    outcome = await transport(client, server, key=READ_ONLY_KEY).send("e1", [said("1")])

    assert isinstance(outcome, Rejected)
    assert (outcome.reason, "secret" in outcome.excerpt) == ("ably_40160", False)


async def test_another_host_takes_over_when_the_first_is_away_or_at_fault(
    client: EgressClient, server: AblyServer
) -> None:
    away = transport(client, server, before=("http://127.0.0.1:1",))
    assert isinstance(await away.send("e1", [said("1")]), Delivered)

    server.refusals = [Refusal(503, 50003)]
    at_fault = transport(client, server, before=(f"http://127.0.0.1:{server.port}",))
    assert isinstance(await at_fault.send("e2", [said("2")]), Delivered)

    assert texts(server) == ["1", "2"]


async def test_nobody_there_is_tried_again(client: EgressClient, server: AblyServer) -> None:
    road = AblyTransport(client=client, settings=AblySettings(key=KEY, origins=("http://127.0.0.1:1",)))

    assert await road.send("e1", [said("1")]) == Retry("refused", excerpt=(await road.send("e1", [said("1")])).excerpt)


@pytest.mark.parametrize("key", ["", "hidden", "hidden:", ":hidden", "a:b:hidden"])
async def test_what_is_no_key_is_refused_without_being_shown(
    client: EgressClient, server: AblyServer, key: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        transport(client, server, key=key)

    assert refused.value.code == "config.ably"
    assert "hidden" not in str(refused.value)
