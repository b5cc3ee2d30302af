"""The bus over NATS when things go wrong, with a real nats-server."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, suppress

import nats
import pytest

from rowcast.bus.nats import NatsBus, NatsBusSettings
from rowcast.core.errors import ConfigError, StoreUnavailableError
from rowcast.core.retry import RetryPolicy
from rowcast.core.telemetry import listening
from tests.contract.nats_server import NatsServer, free_port, nats_server

KEY = b"k" * 32
QUICK = NatsBusSettings(timeout_s=1.0, heartbeat_s=1.0, reconnect=RetryPolicy(base_s=0.02, cap_s=0.1, jitter=0.3))


@pytest.fixture
def server() -> Iterator[NatsServer]:
    with nats_server() as running:
        yield running


def make_bus(url: str, node: bytes, settings: NatsBusSettings = QUICK, *, key: bytes = KEY) -> NatsBus:
    return NatsBus(url, key=key, node=node * 16, noise=random.random, settings=settings)


@asynccontextmanager
async def opened(bus: NatsBus) -> AsyncIterator[NatsBus]:
    await bus.open()
    try:
        yield bus
    finally:
        await bus.close()


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_true():
            await asyncio.sleep(0.005)


async def say_until_heard(bus: NatsBus, message: bytes, heard: list[bytes]) -> None:
    """Publish until the others have heard: NATS tells at most once, and a slow machine may lose a connection any time."""
    async with asyncio.timeout(30):
        while message not in heard:
            with suppress(StoreUnavailableError):
                await bus.publish("realtime", [message])
            await asyncio.sleep(0.05)


async def test_a_server_that_is_gone_is_told_to_the_publisher_and_this_process_hears_all_the_same(
    server: NatsServer,
) -> None:
    heard: list[bytes] = []
    async with opened(make_bus(server.url, b"h")) as here:
        here.subscribe("realtime", heard.append)
        server.kill()
        await until(lambda: not here.is_connected)

        with pytest.raises(StoreUnavailableError):
            await here.publish("realtime", [b"one"])
        assert heard == [b"one"]


async def test_nodes_hear_each_other_again_when_the_server_is_back(server: NatsServer) -> None:
    heard: list[bytes] = []
    async with opened(make_bus(server.url, b"h")) as here, opened(make_bus(server.url, b"t")) as there:
        there.subscribe("realtime", heard.append)
        await say_until_heard(here, b"before", heard)
        server.kill()
        await until(lambda: not here.is_connected and not there.is_connected)
        with pytest.raises(StoreUnavailableError):
            await here.publish("realtime", [b"lost"])
        server.start()
        await say_until_heard(here, b"after", heard)

    assert b"lost" not in heard
    assert heard.index(b"after") == heard.count(b"before")


async def test_a_server_that_is_frozen_is_found_by_the_next_publish(server: NatsServer) -> None:
    async with opened(make_bus(server.url, b"h")) as here:
        server.freeze()

        with pytest.raises(StoreUnavailableError):
            await here.publish("realtime", [b"one"])
        await until(lambda: not here.is_connected)
        server.thaw()
        await until(lambda: here.is_connected)
        await here.publish("realtime", [b"two"])


async def test_a_server_that_is_frozen_is_found_when_nobody_publishes(server: NatsServer) -> None:
    async with opened(make_bus(server.url, b"h")) as here:
        server.freeze()

        await until(lambda: not here.is_connected)
        server.thaw()
        await until(lambda: here.is_connected)


async def test_a_server_that_is_not_there_yet_does_not_keep_the_bus_from_opening() -> None:
    with closing(NatsServer()) as server:
        async with opened(make_bus(server.url, b"h")) as bus:
            assert not bus.is_connected

            server.start()
            await until(lambda: bus.is_connected)


async def test_the_second_server_of_a_list_serves_when_the_first_is_away(server: NatsServer) -> None:
    async with opened(make_bus(f"nats://127.0.0.1:{free_port()},{server.url}", b"h")) as bus:
        assert bus.is_connected


async def test_a_server_that_refuses_us_is_an_error_at_once() -> None:
    with nats_server("--user", "rowcast", "--pass", "right") as server:
        wrong = server.url.replace("nats://", "nats://rowcast:wrong@")
        right = server.url.replace("nats://", "nats://rowcast:right@")

        with pytest.raises(ConfigError, match=r"bus\.url"):
            await make_bus(wrong, b"h").open()
        async with opened(make_bus(right, b"h")) as bus:
            assert bus.is_connected


@pytest.mark.parametrize("url", ["", ",", "http://127.0.0.1:4222", "127.0.0.1"])
async def test_what_is_no_address_of_nats_is_refused(url: str) -> None:
    with pytest.raises(ConfigError):
        await make_bus(url, b"h").open()


async def test_publishing_on_a_closed_bus_is_refused(server: NatsServer) -> None:
    async with opened(make_bus(server.url, b"h")) as bus:
        pass

    with pytest.raises(StoreUnavailableError):
        await bus.publish("realtime", [b"late"])


async def test_more_than_the_bound_is_refused(server: NatsServer) -> None:
    settings = NatsBusSettings(queued_bytes=100)
    async with opened(make_bus(server.url, b"h", settings)) as here:
        with pytest.raises(StoreUnavailableError):
            await here.publish("realtime", [b"x" * 101])

        await here.publish("realtime", [b"x" * 80])
        await here.publish("realtime", [b"x" * 80])


async def test_what_a_stranger_says_is_dropped_and_what_nodes_say_cannot_be_read(server: NatsServer) -> None:
    heard: list[bytes] = []
    overheard: list[tuple[str, bytes]] = []
    stranger = await nats.connect(server.url)

    async def keep(message: nats.aio.msg.Msg) -> None:
        overheard.append((message.subject, message.data))

    await stranger.subscribe(">", cb=keep)
    await stranger.flush()
    async with opened(make_bus(server.url, b"h")) as here, opened(make_bus(server.url, b"t")) as there:
        there.subscribe("realtime", heard.append)
        await here.publish("realtime", [b"a secret"])
        await until(lambda: len(overheard) == 1)
        subject, sealed = overheard[0]
        for forged in (b"", b"junk", sealed, sealed[:-1] + b"x"):
            await stranger.publish(subject, forged)
        await stranger.flush()
        await here.publish("realtime", [b"again"])

        await until(lambda: heard == [b"a secret", b"again"])
        assert all(b"secret" not in data for _, data in overheard)
    await stranger.close()


async def test_two_databases_on_one_server_do_not_hear_each_other(server: NatsServer) -> None:
    heard: list[bytes] = []
    other = b"o" * 32
    async with (
        opened(make_bus(server.url, b"h")) as here,
        opened(make_bus(server.url, b"o", key=other)) as stranger,
        opened(make_bus(server.url, b"p", key=other)) as its_friend,
    ):
        stranger.subscribe("realtime", heard.append)
        await here.publish("realtime", [b"ours"])
        await its_friend.publish("realtime", [b"theirs"])

        await until(lambda: bool(heard))
        assert heard == [b"theirs"]


async def test_what_was_missed_is_counted(server: NatsServer) -> None:
    told: list[object] = []
    heard: list[bytes] = []
    async with opened(make_bus(server.url, b"h")) as here, opened(make_bus(server.url, b"t")) as there:
        there.subscribe("realtime", heard.append)
        await here.publish("realtime", [b"one"])
        await until(lambda: bool(heard))
        here._numbers["realtime"] += 5
        with listening(lambda name, facts: told.append(facts.get("packets")) if name == "bus.gap" else None):
            await here.publish("realtime", [b"two"])
            await until(lambda: heard == [b"one", b"two"])

    assert told == [5]


async def test_many_publishers_at_once_keep_their_order_each(server: NatsServer) -> None:
    heard: list[bytes] = []
    async with opened(make_bus(server.url, b"h")) as here, opened(make_bus(server.url, b"t")) as there:
        there.subscribe("realtime", heard.append)

        async def publish(who: int) -> None:
            for number in range(100):
                await here.publish("realtime", [b"%d:%d" % (who, number)])

        async with asyncio.TaskGroup() as group:
            for who in range(5):
                group.create_task(publish(who))

        await until(lambda: len(heard) == 500)
    for who in range(5):
        mine = [message for message in heard if message.startswith(b"%d:" % who)]
        assert mine == [b"%d:%d" % (who, number) for number in range(100)]
