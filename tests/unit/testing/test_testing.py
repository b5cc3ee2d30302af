"""What applications get for their own tests does what it says."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

import rowcast.testing
from rowcast.core.delivery import Delivery, Owed
from rowcast.core.outcome import Delivered, Retry
from rowcast.testing import FakeClock, RecordingSink, WebhookCatcher
from rowcast.testing.webhook_catcher import Caught

_LIGHT = "import sys, rowcast.testing.pytest_plugin; print(sorted({'asyncpg', 'psycopg', 'litestar', 'msgspec'} & set(sys.modules)))"


def test_a_fake_clock_moves_only_when_it_is_told() -> None:
    clock = FakeClock(datetime(2026, 5, 6, tzinfo=UTC))
    before = clock.now()

    assert clock.now() == before
    assert clock.tick(1.5) == before + timedelta(seconds=1.5) == clock.now()
    assert clock.monotonic_s() == 1.5


async def test_a_recording_sink_keeps_deliveries_and_answers_in_order() -> None:
    sink = RecordingSink("jobs", answers=[Retry("http_503")])
    delivery = Delivery(1, "acme", "jobs", "t", 1, 1, datetime(2026, 1, 1, tzinfo=UTC))

    outcomes = [await sink.deliver(delivery), await sink.deliver(delivery)]

    assert outcomes == [Retry("http_503"), Delivered()]
    assert sink.deliveries == [delivery, delivery]


async def test_a_recording_sink_owes_what_it_is_asked() -> None:
    owed = Owed("jobs", "t")

    assert await RecordingSink("jobs").targets([(None, owed)]) == [[owed]]  # type: ignore[list-item]


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


def test_the_plug_in_loads_none_of_the_heavy_packages() -> None:
    ended = subprocess.run([sys.executable, "-c", _LIGHT], capture_output=True, text=True, timeout=60, check=True)

    assert ended.stdout.strip() == "[]"


def test_every_public_name_is_there_and_no_other() -> None:
    assert all(getattr(rowcast.testing, name).__name__ == name for name in rowcast.testing.__all__)
    with pytest.raises(AttributeError):
        rowcast.testing.no_such_name  # noqa: B018
