"""Every place at which a relay may stop is visited by one that freezes, one that dies and one that fails, on both feeds."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from rowcast.outbox.publisher import FAILPOINTS
from rowcast.store.pool import Database
from tests.contract.feeds import FEEDS
from tests.integration.outbox.events import emit_some, session, statuses

ROOT = Path(__file__).parents[3]
COUNT, BATCH_SIZE = 120, 20
START = "tests.integration.outbox.relay_process"


@contextmanager
def relay(dsn: str, feed: str, told: Path, failpoints: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a relay for the time of a block; what it prints is in the file beside `told`."""
    environment = {**os.environ, "ROWCAST_TEST_TOLD_FILE": str(told), "ROWCAST_FAILPOINTS": failpoints}
    with told.with_suffix(".log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", START, dsn, feed], env=environment, cwd=ROOT, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.wait(timeout=10)


async def until(is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not is_true():
            await asyncio.sleep(0.05)


def is_stopped(process: subprocess.Popen[bytes]) -> bool:
    return Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


async def until_published(database: Database) -> None:
    async with asyncio.timeout(60):
        while await statuses(database) != {"published": COUNT}:
            await asyncio.sleep(0.05)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("feed", FEEDS)
@pytest.mark.parametrize("place", FAILPOINTS)
async def test_a_relay_that_freezes_dies_or_fails_at_any_place_is_replaced_and_nothing_is_lost_or_doubled(
    database: Database, dsn: str, place: str, feed: str, tmp_path: Path
) -> None:
    told = tmp_path / "told"
    await emit_some(dsn, COUNT, keys=5)

    with relay(dsn, feed, told, f"{place}=freeze") as frozen:
        await until(lambda: is_stopped(frozen))
        with relay(dsn, feed, told, f"{place}=kill:2") as killed:
            await until(lambda: killed.poll() is not None)
        with relay(dsn, feed, told, f"{place}=raise"):
            await until_published(database)
            frozen.send_signal(signal.SIGCONT)
            await asyncio.sleep(1.0)
            assert frozen.poll() is None, "it goes on as a healthy relay"

    assert killed.returncode == -signal.SIGKILL
    assert "A failpoint was reached" in told.with_suffix(".log").read_text()
    assert "Traceback" not in told.with_suffix(".log").read_text()
    assert_told_in_order(told)
    assert await deliveries(dsn) == [1] * COUNT


def assert_told_in_order(told: Path) -> None:
    """Each key's events were told in the order of their numbers, the first time; three batches at most were told again."""
    lines = [line.split() for line in told.read_text().splitlines()]
    first = {event_id: (key, int(seq)) for event_id, key, seq in reversed(lines)}
    in_order = dict.fromkeys(event_id for event_id, _, _ in lines)
    assert len(first) == COUNT
    assert len(lines) <= COUNT + 3 * BATCH_SIZE
    for key in {key for key, _ in first.values()}:
        numbers = [seq for of, seq in (first[event_id] for event_id in in_order) if of == key]
        assert numbers == sorted(numbers)


async def deliveries(dsn: str) -> list[int]:
    """Give how many deliveries each event owes."""
    async with session(dsn) as driver:
        return [row[0] for row in await driver.fetch("select count(*) from rowcast.delivery group by event_id")]


def test_every_place_in_the_source_is_one_that_is_visited_here() -> None:
    sources = [file.read_text() for file in (ROOT / "src" / "rowcast").rglob("*.py")]
    passed = [name for text in sources for name in re.findall(r"failpoint\(\s*\"([^\"]*)\"", text)]

    assert sorted(passed) == sorted(FAILPOINTS), "name the place in publisher.FAILPOINTS: then it is visited"


def test_no_place_is_passed_by_a_name_that_cannot_be_read_off_the_source() -> None:
    sources = [file.read_text() for file in (ROOT / "src" / "rowcast").rglob("*.py") if file.name != "failpoint.py"]
    calls = [call for text in sources for call in re.findall(r"\bfailpoint\((?!\s*\")", text)]

    assert calls == []
