"""How many requests to one host are under way at once: one more waits a moment, and then is told that it is full."""

import asyncio
from dataclasses import dataclass


@dataclass(slots=True)
class _Host:
    places: asyncio.Semaphore
    users: int = 0


class HostPlaces:
    """Places by host. Only hosts that are asked for now are remembered."""

    __slots__ = ("_hosts", "_limit", "_wait_s")

    def __init__(self, *, limit: int, wait_s: float) -> None:
        """Begin with every place free; a `limit` of 0 is none."""
        self._limit = limit
        self._wait_s = wait_s
        self._hosts: dict[str, _Host] = {}

    async def take(self, host: str) -> bool:
        """Take a place, waiting for one as long as it is worth it; false when there was none. Each taken is freed."""
        if self._limit <= 0:
            return True
        found = self._hosts.setdefault(host, _Host(asyncio.Semaphore(self._limit)))
        found.users += 1
        if not found.places.locked():
            # A free one is there at once, and no clock is needed.
            return await found.places.acquire()
        is_taken = False
        try:
            async with asyncio.timeout(self._wait_s):
                is_taken = await found.places.acquire()
        except TimeoutError:
            pass
        finally:
            if not is_taken:
                self._leave(host, found)
        return is_taken

    def free(self, host: str) -> None:
        """Give a place back."""
        found = self._hosts.get(host)
        if found is not None:
            found.places.release()
            self._leave(host, found)

    def _leave(self, host: str, found: _Host) -> None:
        found.users -= 1
        if found.users == 0:
            del self._hosts[host]
