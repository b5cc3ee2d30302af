"""A receiver that keeps what it gets and answers as told."""

import asyncio

import pytest

from rowcast.testing import WebhookCatcher
from rowcast.testing.webhook_catcher import Caught


async def _post(url: str, *bodies: bytes) -> list[bytes]:
    host, port = url.removeprefix("http://").removesuffix("/hook").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    firsts = []
    for body in bodies:
        writer.write(b"POST /hook HTTP/1.1\r\nHost: x\r\nX-Id: 7\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        firsts.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n")[0])
    writer.close()
    await writer.wait_closed()
    return firsts


async def test_a_webhook_catcher_keeps_requests_of_one_connection_and_answers_as_told() -> None:
    async with WebhookCatcher(answers=[503]) as catcher:
        firsts = await _post(catcher.url, b"one", b"two")
        caught = await catcher.wait(2)

    assert [first.split()[1] for first in firsts] == [b"503", b"204"]
    assert caught[0] == Caught("POST", "/hook", {"host": "x", "x-id": "7", "content-length": "3"}, b"one")
    assert caught[1].body == b"two"


async def test_a_webhook_that_does_not_come_ends_the_wait() -> None:
    async with WebhookCatcher() as catcher:
        with pytest.raises(TimeoutError):
            await catcher.wait(1, timeout_s=0.01)
