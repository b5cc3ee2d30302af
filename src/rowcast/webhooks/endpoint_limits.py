"""Limits of endpoints: their own rate, at most their tenant's, else that of the settings; less while slowed."""

from collections.abc import Sequence

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.delivery import Delivery
from rowcast.delivery.lane import Key
from rowcast.delivery.rate_limit import Limits, spacing_us
from rowcast.egress.reply import Answer
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries
from rowcast.webhooks.slowdown import Slowdown, is_overloaded, limits_while, slowed

EndpointKey = tuple[str, str]

_FRESH_S = 2.0
"""How long a rate is remembered: a changed one holds after so many seconds."""
_KNOWN_LIMIT = 20_000


class EndpointLimits:
    """Gives the limits of deliveries' endpoints: what `SinkOptions.limits` asks."""

    __slots__ = ("_clock", "_database", "_default", "_known", "_queries", "_slowdowns")

    def __init__(self, *, database: Database, clock: Clock, default: Limits) -> None:
        """Know nothing yet. `default` holds where neither endpoint nor tenant says anything."""
        self._database = database
        self._clock = clock
        self._default = default
        self._queries = load_queries("rowcast.webhooks")
        self._known: dict[EndpointKey, tuple[float, Limits]] = {}
        self._slowdowns: dict[EndpointKey, Slowdown] = {}

    async def of(self, deliveries: Sequence[Delivery]) -> Sequence[Limits]:
        """Give the limits of each delivery's endpoint, with one query at most.

        Raises:
            StoreUnavailableError: `store.unavailable`.
        """
        keys = [_key(delivery) for delivery in deliveries]
        now_s = self._clock.monotonic_s()
        known = {key: limits for key in keys if (limits := self._fresh(key, now_s)) is not None}
        unknown = set(keys) - known.keys()
        faster = self._recovered(keys, now_s)
        if unknown:
            before = {key: self._known[key][1] for key in unknown if key in self._known}
            known |= await self._read(unknown, now_s + _FRESH_S)
            faster |= {key for key, limits in before.items() if spacing_us(known[key]) < spacing_us(limits)}
        if faster:
            await self._shorten_lines({(each.tenant_id, each.key) for each in deliveries if _key(each) in faster})
        return [limits_while(self._slowdowns.get(key), known[key], now_s=now_s) for key in keys]

    def learn(self, key: EndpointKey, answer: Answer, *, asked_s: float | None) -> None:
        """Slow an endpoint down where its answer asks for less; `asked_s` is what its `Retry-After` says."""
        if not is_overloaded(answer):
            return
        before = self._slowdowns.pop(key, None)
        self._slowdowns[key] = slowed(before, now_s=self._clock.monotonic_s(), asked_s=asked_s)
        if len(self._slowdowns) > _KNOWN_LIMIT:
            del self._slowdowns[next(iter(self._slowdowns))]

    def _recovered(self, keys: Sequence[EndpointKey], now_s: float) -> set[EndpointKey]:
        """Forget the slowdowns that are over, and give whose they were."""
        if not self._slowdowns:
            return set()
        over = {key for key in keys if (slow := self._slowdowns.get(key)) is not None and now_s >= slow.until_s}
        for key in over:
            del self._slowdowns[key]
        return over

    async def _shorten_lines(self, lines: set[Key]) -> None:
        asked = sorted(lines)
        await self._database.execute(
            self._queries["shorten_line"],
            tenant_ids=[tenant_id for tenant_id, _ in asked],
            keys=[key for _, key in asked],
        )

    def _fresh(self, key: EndpointKey, now_s: float) -> Limits | None:
        until_s, limits = self._known.get(key, (0.0, None))
        return limits if now_s < until_s else None

    async def _read(self, keys: set[EndpointKey], until_s: float) -> dict[EndpointKey, Limits]:
        asked = sorted(keys)
        rows = await self._database.fetch(
            self._queries["throttle_rates"],
            tenant_ids=[tenant_id for tenant_id, _ in asked],
            ids=[endpoint_id for _, endpoint_id in asked],
        )
        # What is owed to one that is gone or disabled is settled without a post: no limit holds it up.
        read = dict.fromkeys(keys, Limits())
        read |= {(row["tenant_id"], row["id"]): self._limits(row["rate"]) for row in rows}
        if len(self._known) + len(read) > _KNOWN_LIMIT:
            self._known.clear()
        self._known |= {key: (until_s, limits) for key, limits in read.items()}
        return read

    def _limits(self, rate_per_second: int | None) -> Limits:
        """A rate of one's own is in messages a second, as the SDKs say it; one second's worth may go at once."""
        if rate_per_second is None:
            return self._default
        return msgspec.structs.replace(self._default, rate_per_minute=rate_per_second * 60, burst=rate_per_second)


def _key(delivery: Delivery) -> EndpointKey:
    return delivery.tenant_id, delivery.target
