"""One suite for every bus: two nodes that share it hear each other."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from typing import NamedTuple

import pytest
import pytest_asyncio

from rowcast.bus.bus import Bus
from rowcast.bus.memory import MemoryBus
from rowcast.bus.nats import NatsBus
from rowcast.bus.postgres import PostgresBus
from rowcast.server.worker_bus import Ends, WorkerBus
from rowcast.server.worker_exchange import WorkerExchange
from tests.contract.nats_server import nats_server

ALL_BYTES = bytes(range(256))


class Nodes(NamedTuple):
    """Two ends of one bus; the same object where a bus has one process only."""

    here: Bus
    there: Bus


class Heard:
    """Keeps what a subscriber hears and waits until there is enough of it."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self._more = asyncio.Event()

    def __call__(self, message: bytes) -> None:
        self.messages.append(message)
        self._more.set()

    async def wait_for(self, count: int) -> list[bytes]:
        async with asyncio.timeout(10):
            while len(self.messages) < count:
                self._more.clear()
                await self._more.wait()
        return self.messages


def memory_nodes(_: pytest.FixtureRequest) -> Nodes:
    bus = MemoryBus()
    return Nodes(bus, bus)


def postgres_nodes(request: pytest.FixtureRequest) -> Nodes:
    dsn = request.getfixturevalue("dsn")
    here, there = (PostgresBus(dsn, node=node, noise=random.random) for node in (b"h" * 16, b"t" * 16))
    return Nodes(here, there)


@pytest.fixture(scope="module")
def nats_url() -> Iterator[str]:
    with nats_server() as server:
        yield server.url


def nats_nodes(request: pytest.FixtureRequest) -> Nodes:
    url = request.getfixturevalue("nats_url")
    here, there = (NatsBus(url, key=b"k" * 32, node=node, noise=random.random) for node in (b"h" * 16, b"t" * 16))
    return Nodes(here, there)


class ServedBus(WorkerBus):
    """A worker's bus whose server is in this process and is ended with it."""

    def __init__(self, server: "Server") -> None:
        super().__init__(server.ends)
        self._server = server

    async def open(self) -> None:
        await self._server.attach_next()
        await super().open()

    async def close(self) -> None:
        is_open = self.is_connected
        await super().close()
        if is_open:
            await self._server.leave()


class Server:
    """An exchange that opens with its first worker and closes with its last."""

    def __init__(self) -> None:
        self._exchange = WorkerExchange(bus=MemoryBus())
        self._workers = 0
        self._next: Ends | None = None

    async def attach_next(self) -> None:
        if not self._workers:
            await self._exchange.open()
        self._workers += 1
        (ours, theirs), (our_interests, their_interests) = socket.socketpair(), socket.socketpair()
        await self._exchange.attach(ours, our_interests)
        self._next = theirs, their_interests

    def ends(self) -> Ends:
        assert self._next is not None
        return self._next

    async def leave(self) -> None:
        self._workers -= 1
        if not self._workers:
            await self._exchange.close()


def worker_nodes(_: pytest.FixtureRequest) -> Nodes:
    server = Server()
    return Nodes(ServedBus(server), ServedBus(server))


KINDS = {"memory": memory_nodes, "postgres": postgres_nodes, "nats": nats_nodes, "worker": worker_nodes}


@pytest_asyncio.fixture(params=KINDS.values(), ids=KINDS)
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[Nodes]:
    make: Callable[[pytest.FixtureRequest], Nodes] = request.param
    made = make(request)
    for bus in set(made):
        await bus.open()
    yield made
    for bus in set(made):
        await bus.close()


async def test_subscribers_of_this_node_are_told_before_publish_goes_on_to_others(nodes: Nodes) -> None:
    heard = Heard()
    nodes.here.subscribe("realtime", heard)

    await nodes.here.publish("realtime", [b"one", b"two"])

    assert heard.messages == [b"one", b"two"]


async def test_the_other_node_hears_everything_in_order(nodes: Nodes) -> None:
    heard = Heard()
    nodes.there.subscribe("realtime", heard)
    sent = [str(number).encode() for number in range(3000)]

    for start in range(0, 3000, 100):
        await nodes.here.publish("realtime", sent[start : start + 100])

    assert await heard.wait_for(3000) == sent


async def test_nobody_hears_a_message_twice(nodes: Nodes) -> None:
    here, there = Heard(), Heard()
    nodes.here.subscribe("realtime", here)
    nodes.there.subscribe("realtime", there)

    await nodes.here.publish("realtime", [b"once"])
    await nodes.there.publish("realtime", [b"back"])
    await there.wait_for(2)
    await here.wait_for(2)

    assert (sorted(here.messages), sorted(there.messages)) == ([b"back", b"once"], [b"back", b"once"])


@pytest.mark.parametrize("size_bytes", [0, 1, 5_700, 5_800, 5_999, 6_000, 7_999, 8_000, 3_000_000])
async def test_a_message_of_any_size_keeps_every_byte_and_its_place(nodes: Nodes, size_bytes: int) -> None:
    heard = Heard()
    nodes.there.subscribe("realtime", heard)
    message = (ALL_BYTES * (size_bytes // 256 + 1))[:size_bytes]

    await nodes.here.publish("realtime", [b"before", message, b"after"])

    assert await heard.wait_for(3) == [b"before", message, b"after"]


async def test_a_subject_is_heard_by_its_subscribers_only(nodes: Nodes) -> None:
    realtime, due = Heard(), Heard()
    nodes.there.subscribe("realtime", realtime)
    nodes.there.subscribe("delivery.due", due)

    await nodes.here.publish("realtime", [b"r"])
    await nodes.here.publish("delivery.due", [b"d"])

    assert await due.wait_for(1) == [b"d"]
    assert realtime.messages == [b"r"]


async def test_a_removed_subscriber_hears_nothing_more_and_may_be_removed_twice(nodes: Nodes) -> None:
    removed, stays = Heard(), Heard()
    remove = nodes.there.subscribe("realtime", removed)
    nodes.there.subscribe("realtime", stays)

    remove()
    remove()
    await nodes.here.publish("realtime", [b"late"])

    assert await stays.wait_for(1) == [b"late"]
    assert removed.messages == []


async def test_a_subscriber_that_fails_does_not_keep_the_message_from_the_next(nodes: Nodes) -> None:
    def fail(_: bytes) -> None:
        raise RuntimeError

    heard = Heard()
    nodes.there.subscribe("realtime", fail)
    nodes.there.subscribe("realtime", heard)

    await nodes.here.publish("realtime", [b"one", b"two"])

    assert await heard.wait_for(2) == [b"one", b"two"]


async def test_a_bus_that_was_closed_and_opened_again_still_tells_its_subscribers(nodes: Nodes) -> None:
    heard = Heard()
    nodes.there.subscribe("realtime", heard)
    await nodes.there.close()
    await nodes.there.open()

    await nodes.here.publish("realtime", [b"again"])

    assert await heard.wait_for(1) == [b"again"]


async def test_closing_twice_is_allowed(nodes: Nodes) -> None:
    heard = Heard()
    nodes.here.subscribe("realtime", heard)
    await nodes.here.close()
    await nodes.here.close()

    await nodes.here.open()
    await nodes.here.publish("realtime", [b"again"])
    assert await heard.wait_for(1) == [b"again"]


async def test_publishing_nothing_tells_nobody(nodes: Nodes) -> None:
    heard = Heard()
    nodes.there.subscribe("realtime", heard)

    await nodes.here.publish("realtime", [])
    await nodes.here.publish("realtime", [b"something"])

    assert await heard.wait_for(1) == [b"something"]
