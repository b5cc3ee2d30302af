"""What the exchange passes on, and to whom. The bus's own promises are tests/contract/test_bus.py."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest

from rowcast.bus.memory import MemoryBus
from rowcast.core.errors import StoreUnavailableError
from rowcast.realtime.hub import SUBJECT
from rowcast.realtime.messages import Broadcast, TopicKey, pack_broadcast, pack_broadcasts
from rowcast.server.worker_bus import WorkerBus
from rowcast.server.worker_exchange import WorkerExchange


class Apart(MemoryBus):
    """A bus that cannot reach other nodes."""

    async def publish(self, subject: str, messages: Sequence[bytes]) -> None:
        await super().publish(subject, messages)
        raise StoreUnavailableError("away")


async def new_worker(exchange: WorkerExchange) -> WorkerBus:
    (ours, theirs), (our_interests, their_interests) = socket.socketpair(), socket.socketpair()
    await exchange.attach(ours, our_interests)
    worker = WorkerBus(lambda: (theirs, their_interests))
    await worker.open()
    return worker


@asynccontextmanager
async def two_workers(bus: MemoryBus) -> AsyncIterator[tuple[WorkerExchange, WorkerBus, WorkerBus]]:
    exchange = WorkerExchange(bus=bus)
    await exchange.open()
    workers = [await new_worker(exchange) for _ in range(2)]
    try:
        yield exchange, *workers
    finally:
        for worker in workers:
            await worker.close()
        await exchange.close()


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_true():
            await asyncio.sleep(0.002)


def said(topic: str, text: str) -> bytes:
    return pack_broadcast(Broadcast("acme", True, topic, "said", text.encode()))


async def test_a_worker_hears_only_the_topics_that_somebody_has_joined_there() -> None:
    bus, here, there = MemoryBus(), list[bytes](), list[bytes]()
    async with two_workers(bus) as (_, one, other):
        one.subscribe(SUBJECT, here.append)
        other.subscribe(SUBJECT, there.append)
        one.want(TopicKey("acme", True, "left"), True)
        other.want(TopicKey("acme", True, "right"), True)
        other.want(TopicKey("acme", True, "left"), True)
        other.want(TopicKey("acme", True, "left"), False)
        await one.publish(SUBJECT, [])
        await asyncio.sleep(0.05)

        await bus.publish(SUBJECT, [said("left", "1"), said("right", "2"), said("nobody", "3"), said("left", "4")])

        await until(lambda: len(here) == 2 and len(there) == 1)
        assert (here, there) == ([said("left", "1"), said("left", "4")], [said("right", "2")])


async def test_a_message_for_two_topics_comes_once_to_each_worker_that_has_either() -> None:
    bus, here, there = MemoryBus(), list[bytes](), list[bytes]()
    told = Broadcast("acme", True, "left", "said", b"1")
    messages = pack_broadcasts([told, msgspec.structs.replace(told, topic="right")])
    async with two_workers(bus) as (exchange, one, other):
        one.subscribe(SUBJECT, here.append)
        other.subscribe(SUBJECT, there.append)
        one.want(TopicKey("acme", True, "left"), True)
        one.want(TopicKey("acme", True, "right"), True)
        other.want(TopicKey("acme", True, "right"), True)
        await until(lambda: [len(found) for found in exchange._interested.values()] == [1, 2])
        await until(lambda: all(worker.subjects for worker in exchange._workers))

        await bus.publish(SUBJECT, [*messages, said("right", "2")])

        await until(lambda: len(here) == 2 and len(there) == 2)
        assert here == there == [*messages, said("right", "2")]


async def test_who_has_joined_hears_what_is_published_next_whatever_else_is_on_its_way() -> None:
    heard: list[bytes] = []
    async with two_workers(MemoryBus()) as (_, one, other):
        one.subscribe(SUBJECT, lambda _: None)
        other.subscribe(SUBJECT, heard.append)
        for number in range(100):
            other.want(TopicKey("acme", True, f"room{number}"), True)
            await one.publish(SUBJECT, [said(f"room{number}", "hello")])

        await until(lambda: len(heard) == 100)


async def test_a_publisher_is_told_when_other_nodes_were_not_and_its_fellow_hears_all_the_same() -> None:
    heard: list[bytes] = []
    async with two_workers(Apart()) as (_, one, other):
        other.subscribe("delivery.due", heard.append)
        await until(lambda: True)
        await asyncio.sleep(0.05)

        with pytest.raises(StoreUnavailableError):
            await one.publish("delivery.due", [b"1"])

        await until(lambda: heard == [b"1"])


async def test_a_worker_that_is_gone_is_forgotten_with_all_it_wanted() -> None:
    bus = MemoryBus()
    async with two_workers(bus) as (exchange, one, other):
        one.subscribe(SUBJECT, lambda _: None)
        one.want(TopicKey("acme", True, "left"), True)
        await until(lambda: bool(exchange._interested))

        await one.close()

        await until(lambda: not exchange._interested and len(exchange._workers) == 1)
        await other.publish(SUBJECT, [said("left", "1")])
