"""A worker whose server is gone before it said anything. What workers do otherwise is in test_workers.py."""

import asyncio
import socket

import pytest

from rowcast.server.worker import Worker


async def test_a_worker_without_a_server_ends_at_once() -> None:
    (ours, theirs), (our_interests, their_interests) = socket.socketpair(), socket.socketpair()
    for end in (theirs, their_interests):
        end.setblocking(False)
    worker = Worker(theirs, their_interests)
    ours.close()
    our_interests.close()

    async with asyncio.timeout(10):
        with pytest.raises(EOFError):
            await worker.run()
