"""A worker's bus when its server goes. The bus's promises are tests/contract/test_bus.py."""

import asyncio
import socket

import pytest

from rowcast.core.errors import StoreUnavailableError
from rowcast.server.worker_bus import WorkerBus
from rowcast.server.worker_frames import Publish, Ready
from rowcast.server.worker_link import link


async def test_who_waits_for_an_answer_is_told_when_the_server_goes_and_hears_himself_all_the_same() -> None:
    (ours, theirs), (our_interests, interests) = socket.socketpair(), socket.socketpair()
    is_lost, heard = asyncio.Event(), list[bytes]()
    bus = WorkerBus(lambda: (theirs, interests), on_lost=is_lost.set)
    await bus.open()
    bus.subscribe("realtime", heard.append)
    server = await link(
        ours, on_frame=lambda frame: server.close() if isinstance(frame, Publish) else None, on_lost=lambda: None
    )

    with pytest.raises(StoreUnavailableError):
        await bus.publish("realtime", [b"one"])

    assert heard == [b"one"]
    assert is_lost.is_set()
    assert not bus.is_connected
    with pytest.raises(StoreUnavailableError):
        await bus.publish("realtime", [b"two"])
    await bus.close()
    our_interests.close()


async def test_frames_that_are_not_the_bus_s_are_passed_on_and_its_own_end_is_no_loss() -> None:
    (ours, theirs), (our_interests, interests) = socket.socketpair(), socket.socketpair()
    got: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    losses: list[None] = []
    bus = WorkerBus(lambda: (theirs, interests), on_frame=got.set_result, on_lost=lambda: losses.append(None))
    await bus.open()
    server = await link(ours, on_frame=lambda _: None, on_lost=lambda: None)

    server.send(Ready())

    async with asyncio.timeout(10):
        assert await got == Ready()
    await bus.close()
    our_interests.close()
    await asyncio.sleep(0.02)
    assert losses == []
    server.close()
