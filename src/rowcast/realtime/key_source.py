"""Keys of a document that is fetched again and again."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from rowcast.core.errors import RowcastError
from rowcast.core.telemetry import tell
from rowcast.realtime.key_set import KeySet, KeySource, read_key_set

Fetch = Callable[[], Awaitable[bytes]]
"""Gives the document, within a bound of its own; raises a RowcastError when it cannot be had."""


class FetchedKeys:
    """Keys that are fetched now and then, and soon when one is missed. What was fetched last stays when that fails.

    Nobody waits for a fetch: a token whose key is not there yet is refused, and clients try again.
    """

    __slots__ = ("_fetch", "_is_missed", "_life_s", "_pause_s", "_report", "current")

    def __init__(self, fetch: Fetch, *, life_s: float, pause_s: float, report: Callable[[str], None]) -> None:
        """Fetch by `fetch` while `run` runs.

        Args:
            fetch: Gives the document.
            life_s: How long keys are good before they are fetched again.
            pause_s: The least time between two fetches, whatever tokens name.
            report: Hears after each fetch what was wrong with it; nothing when it was right.
        """
        self._fetch = fetch
        self._life_s = life_s
        self._pause_s = min(pause_s, life_s)
        self._report = report
        self._is_missed = asyncio.Event()
        self.current = KeySet()

    def miss(self) -> None:
        """Fetch as soon as that may be."""
        self._is_missed.set()

    async def run(self) -> None:
        """Keep the keys fresh until cancelled."""
        while True:
            self._is_missed.clear()
            is_right = await self._refresh()
            await asyncio.sleep(self._pause_s)
            if is_right:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._life_s - self._pause_s):
                        await self._is_missed.wait()

    async def _refresh(self) -> bool:
        try:
            found = read_key_set(await self._fetch(), takes_secrets=False)
        except RowcastError as error:
            tell("keys.fetch_failed", code=error.code, error=str(error))
            self._report(str(error))
            return False
        if _kids(found) != _kids(self.current):
            tell("keys.changed", keys=len(found.keys))
        # A new value each time, so that a key that kept its name and changed counts too.
        self.current = found
        self._report("")
        return True


def _kids(found: KeySet) -> list[str | None]:
    return [key.kid for key in found.keys]


_CONTRACT: type[KeySource] = FetchedKeys
