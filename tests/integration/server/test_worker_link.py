"""One wire between a server and a worker."""

import asyncio
import socket

from rowcast.server.worker_frames import Frame, Ready, Told, encode_frame
from rowcast.server.worker_link import WAITING_LIMIT_BYTES, FrameProtocol, link


class Far:
    """What the far end hears."""

    def __init__(self) -> None:
        self.frames: list[Frame] = []
        self.is_lost = asyncio.Event()

    async def open(self, end: socket.socket) -> FrameProtocol:
        return await link(end, on_frame=self.frames.append, on_lost=self.is_lost.set)

    async def reach(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.frames) < count:
                await asyncio.sleep(0.005)


async def test_frames_arrive_in_order_and_the_end_is_told() -> None:
    here, there = socket.socketpair()
    near, far = Far(), Far()
    sender, receiver = await near.open(here), await far.open(there)
    frames: list[Frame] = [Ready(), Told("realtime", [b"x" * 100_000])] * 20

    assert all(sender.send(frame) for frame in frames)
    await far.reach(40)
    sender.close()

    async with asyncio.timeout(10):
        await far.is_lost.wait()
    assert far.frames == frames
    assert not receiver.send(Ready())


async def test_a_reader_that_stands_still_is_given_no_more_than_the_bound() -> None:
    here, there = socket.socketpair()
    sender = await Far().open(here)
    frame = Told("realtime", [b"x" * 1_000_000])

    sent = 0
    while sender.send(frame):
        sent += 1

    assert sent * 1_000_000 <= WAITING_LIMIT_BYTES + 2_000_000
    there.close()
    sender.close()


async def test_what_is_no_frame_ends_the_link() -> None:
    here, there = socket.socketpair()
    far = Far()
    await far.open(there)

    here.sendall(encode_frame(Ready()) + b"\xff" * 8)

    async with asyncio.timeout(10):
        await far.is_lost.wait()
    assert far.frames == [Ready()]
    here.close()
