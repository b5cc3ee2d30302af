"""Names become addresses: in a few threads of their own, one look-up per name at a time, each wait bounded."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import msgspec

from rowcast.core.clock import Clock

Lookup = Callable[[str], Sequence[str]]
"""Give the addresses of a name, blocking. Raises OSError when there are none."""

NAMES_LIMIT = 4096
ADDRESSES_LIMIT = 8


STALE_S = 600.0
"""So old an answer is still used while other names keep all threads busy: they must not hold up hosts that are well."""


class Addresses(msgspec.Struct, frozen=True):
    """What a name stands for; `problem` says why when `found` is empty. `is_crowded`: nobody had time to ask for it."""

    found: tuple[str, ...]
    problem: str = ""
    is_crowded: bool = False


def system_lookup(host: str) -> Sequence[str]:
    """Ask the operating system."""
    answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(address[0]) for *_, address in answers]


class Resolver:
    """Remembers answers for `ttl_s` and failures for `failed_ttl_s` seconds."""

    def __init__(
        self,
        *,
        clock: Clock,
        lookup: Lookup = system_lookup,
        ttl_s: float = 30.0,
        failed_ttl_s: float = 5.0,
        threads: int = 16,
    ) -> None:
        """Start nothing yet: threads begin with the first look-up."""
        self._clock = clock
        self._lookup = lookup
        self._ttl_s, self._failed_ttl_s = ttl_s, failed_ttl_s
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="rowcast-dns")
        self._known: dict[str, tuple[float, Addresses]] = {}
        self._asked: dict[str, asyncio.Future[Addresses]] = {}
        self._begun: set[str] = set()
        self._waiting_limit = threads * 16

    async def resolve(self, host: str, *, timeout_s: float) -> Addresses:
        """Give the addresses of a name; a name that takes longer than `timeout_s` has none for now."""
        until_s, addresses = self._known.get(host, (-STALE_S, Addresses(())))
        now_s = self._clock.monotonic_s()
        if now_s < until_s:
            return addresses
        found = await self._found(host, timeout_s)
        is_usable = found.is_crowded and addresses.found and now_s < until_s + STALE_S
        return addresses if is_usable else found

    async def _found(self, host: str, timeout_s: float) -> Addresses:
        if host not in self._asked and len(self._asked) >= self._waiting_limit:
            return Addresses((), "too many names are being looked up", is_crowded=True)
        try:
            async with asyncio.timeout(timeout_s):
                # Shielded: others wait for the same answer, and it is remembered even when nobody waits any more.
                return await asyncio.shield(self._ask(host))
        except TimeoutError:
            return Addresses((), f"no answer in {timeout_s:.0f} s", is_crowded=host not in self._begun)

    def close(self) -> None:
        """Take no more look-ups; those under way end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, host: str) -> asyncio.Future[Addresses]:
        asked = self._asked.get(host)
        if asked is None:
            loop = asyncio.get_running_loop()
            asked = self._asked[host] = loop.run_in_executor(self._pool, self._look_up, host)
            asked.add_done_callback(lambda future: self._remember(host, future))
        return asked

    def _remember(self, host: str, future: asyncio.Future[Addresses]) -> None:
        self._asked.pop(host, None)
        self._begun.discard(host)
        if future.cancelled() or future.exception() is not None:
            return
        addresses = future.result()
        if len(self._known) >= NAMES_LIMIT:
            self._known.pop(next(iter(self._known)))
        ttl_s = self._ttl_s if addresses.found else self._failed_ttl_s
        self._known[host] = (self._clock.monotonic_s() + ttl_s, addresses)

    def _look_up(self, host: str) -> Addresses:
        """Look up on a thread of the pool."""
        self._begun.add(host)
        try:
            return Addresses(tuple(dict.fromkeys(self._lookup(host)))[:ADDRESSES_LIMIT])
        except (OSError, UnicodeError) as error:
            return Addresses((), str(error))
