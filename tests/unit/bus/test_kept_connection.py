"""A connection that is made again whenever it ends."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from rowcast.bus.kept_connection import KeptConnection
from rowcast.core.errors import ConfigError
from rowcast.core.retry import RetryPolicy
from rowcast.core.telemetry import listening

AT_ONCE = RetryPolicy(base_s=0.0, cap_s=0.0)


class Place:
    """Something to connect to: what each attempt gives, and what has happened."""

    def __init__(self, *attempts: str | ConfigError | None) -> None:
        self._attempts: Iterator[str | ConfigError | None] = iter(attempts)
        self.story: list[str] = []
        self.end = asyncio.Event()
        self.kept = KeptConnection(
            connect=self._connect, use=self._use, let_go=self._let_go, retry=AT_ONCE, noise=lambda: 0.5
        )

    async def _connect(self) -> str | None:
        found = next(self._attempts, None)
        if isinstance(found, ConfigError):
            raise found
        return found

    async def _use(self, connection: str) -> None:
        self.story.append(f"use {connection}")
        await self.end.wait()
        self.end.clear()

    async def _let_go(self, connection: str | None) -> None:
        self.story.append(f"let go {connection}")

    async def until(self, *story: str) -> None:
        async with asyncio.timeout(20):
            while self.story != list(story):
                await asyncio.sleep(0)


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Place]:
    await place.kept.open("kept")
    try:
        yield place
    finally:
        await place.kept.close()


async def test_a_connection_that_ends_is_let_go_of_and_made_again() -> None:
    async with opened(Place("a", "b")) as place:
        await place.until("use a")
        assert place.kept.current == "a"
        place.end.set()
        await place.until("use a", "let go a", "use b")
        assert place.kept.current == "b"

    assert place.story[-1] == "let go b"
    assert place.kept.current is None


async def test_attempts_in_vain_and_refusals_are_followed_by_others() -> None:
    told: list[str] = []
    with listening(lambda name, _: told.append(name)):
        async with opened(Place(None, None, ConfigError("no", code="config.bus"), "a")) as place:
            await place.until("use a")

    assert told == ["bus.refused"]


async def test_a_refusal_at_the_first_attempt_is_an_error() -> None:
    place = Place(ConfigError("no", code="config.bus"))

    with pytest.raises(ConfigError):
        await place.kept.open("kept")
    assert not place.kept.is_open


async def test_it_may_be_closed_twice_before_it_was_opened_and_opened_again() -> None:
    place = Place("a", "b")
    await place.kept.close()
    async with opened(place):
        assert place.kept.is_open
    await place.kept.close()
    async with opened(place):
        await place.until("let go a", "use b")

    assert not place.kept.is_open
