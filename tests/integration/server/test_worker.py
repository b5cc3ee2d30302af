"""A worker that cannot begin. What workers do otherwise is in test_workers.py."""

import asyncio
import socket
import sys

import pytest

from rowcast.server.settings import load_settings
from rowcast.server.worker import Worker
from rowcast.server.worker_frames import Begin, encode_frame
from rowcast.server.workers import settings_document, with_roles
from tests.integration.server.processes import JWT_SECRET, environment


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


async def test_a_worker_without_a_database_ends_with_one_sentence_and_its_exit_code() -> None:
    flags = {"database.url": "postgresql://nobody@127.0.0.1:1/none", "auth.jwt_secret": JWT_SECRET}
    settings = with_roles(load_settings(flags, environment={}).settings, ("gateway",))
    (ours, theirs), (our_interests, their_interests) = socket.socketpair(), socket.socketpair()
    ours.sendall(encode_frame(Begin(0, settings_document(settings), 0)))
    ends = [theirs.fileno(), their_interests.fileno()]

    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "rowcast.server.worker", *map(str, ends), pass_fds=ends, env=environment(),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        _, said = await process.communicate()

    for end in (ours, theirs, our_interests, their_interests):
        end.close()
    assert (process.returncode, b"Traceback" in said) == (5, False), said
    assert b"(store.unavailable)" in said
