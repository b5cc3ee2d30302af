"""One sink's lane in a runner: what is in flight, who shares the room, which keys are held back. No I/O."""

import asyncio
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from rowcast.core.delivery import Delivery
from rowcast.core.outcome import Retry
from rowcast.core.sink import Sink
from rowcast.delivery.attempt import Result
from rowcast.delivery.breaker import CLOSED, Breaker, BreakerPolicy, after_failure, ask, probe_given_up
from rowcast.delivery.ledger import Claim, Hold, Share
from rowcast.delivery.rate_limit import Limits

OWN_FAULT = "store_unavailable"
"""Reason of an attempt that failed because our own database was away: it says nothing about the target."""
Key = tuple[str, str]
"""A tenant and the key of its deliveries."""

Limiter = Callable[[Sequence[Delivery]], Awaitable[Sequence[Limits]]]
"""Gives the limits of the keys of some deliveries, one for each."""

Preparer = Callable[[Sequence[Delivery]], Awaitable[None]]
"""Reads ahead what a sink will ask for in the attempts of some deliveries."""

_BREAKERS_LIMIT = 20_000
"""Keys in trouble that one process remembers; past that the one longest in trouble is forgotten and learnt again."""
_TURNS_REST_S = 0.01
_LOW_BOUND_S = 1.0
"""How long claims may look past what was due before: see `Share.low_at`. What comes late waits so long at most."""
_LATE = timedelta(seconds=2)
"""So long after its time a delivery may be committed and still be seen at once."""


class SinkOptions(msgspec.Struct, frozen=True):
    """How a runner treats one sink.

    `concurrency` bounds the attempts of this process, `tenant_share` the part of them that one tenant may hold.
    `limits` gives the limits of deliveries' keys, which hold over all workers. Without `breaker` no key is held back.
    `prepare` runs while it is asked which of the deliveries claimed may run. A delivery whose worker was lost is given
    up after `lost_attempts`, where it does not say itself; 0 is as many as the sink's policy has.
    """

    concurrency: int = 256
    timeout_s: float = 30.0
    lease_s: float = 10.0
    tenant_share: float = 0.75
    limits: Limiter | None = None
    breaker: BreakerPolicy | None = None
    prepare: Preparer | None = None
    lost_attempts: int = 0


@dataclass(slots=True)
class Flight:
    """One attempt that runs here. `leased_until_s` is on this process's monotonic clock and rather too early."""

    delivery: Delivery
    started_s: float
    leased_until_s: float
    task: "asyncio.Task[None] | None" = None


@dataclass(slots=True)
class Lane:
    """The changing state of one sink."""

    sink: Sink
    options: SinkOptions
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    flights: dict[int, Flight] = field(default_factory=dict)
    tenants: Counter[str] = field(default_factory=Counter)
    breakers: dict[Key, Breaker] = field(default_factory=dict)
    is_pressed: bool = False
    next_tenant: str = ""
    by_turns: bool = False
    hot_tenant: str = ""
    claimed_s: float = 0.0
    asked_s: float = -math.inf
    low_at: datetime | None = None
    low_until_s: float = 0.0

    @property
    def name(self) -> str:
        """The sink's word."""
        return self.sink.name

    @property
    def room(self) -> int:
        """How many more attempts may begin."""
        return self.options.concurrency - len(self.flights)

    @property
    def tenant_limit(self) -> int:
        """How many attempts one tenant may have in flight."""
        return max(1, int(self.options.concurrency * self.options.tenant_share))

    def share(self, now_s: float) -> Share:
        """Give how the next claim shares its room.

        Oldest first, as long as that serves everybody. While more is due than fits, every second claim goes by turns
        and leaves out the tenant with the backlog; each one does when a tenant has all it may have in flight.
        """
        room = self._tenant_room()
        self.by_turns = self.is_pressed and not self.by_turns
        if room > 0 and not self.by_turns:
            return Share(room, low_at=self.low_at if now_s < self.low_until_s else None)
        full = [tenant for tenant, count in self.tenants.items() if count >= self.tenant_limit]
        if room > 0 and self.hot_tenant:
            full.append(self.hot_tenant)
        return Share(max(1, room), self.next_tenant, tuple(full))

    def claimed(self, claim: Claim, share: Share, now_s: float) -> float:
        """Note what a claim gave; gives how many seconds the lane may rest before the next one, 0 for not at all."""
        if share.after_tenant is not None:
            # Turns say nothing about the backlog; the next claim of the oldest does.
            self.is_pressed, self.next_tenant = True, claim.next_tenant
            return self._rest_after_turns(claim)
        self.is_pressed = claim.is_more_due
        self.hot_tenant = _most(claim.deliveries) if claim.is_more_due else ""
        if share.low_at is None:
            # Where nothing is left, what comes is due from now on: claims need not pass what was done before again.
            until = claim.looked_at and claim.looked_at - _LATE
            self.low_at, self.low_until_s = claim.oldest_at if claim.is_more_due else until, now_s + _LOW_BOUND_S
        return 0.0 if claim.is_more_due else math.inf

    def _tenant_room(self) -> int:
        return self.tenant_limit - max(self.tenants.values(), default=0)

    def _rest_after_turns(self, claim: Claim) -> float:
        if claim.deliveries or self._tenant_room() > 0:
            return 0.0
        # Nobody else was found. Go on soon where tenants are left to look at, else when an attempt ends.
        return _TURNS_REST_S if claim.next_tenant else math.inf

    def begin(self, flight: Flight) -> None:
        """Note that an attempt begins."""
        self.flights[flight.delivery.id] = flight
        self.tenants[flight.delivery.tenant_id] += 1

    def end(self, flight: Flight) -> None:
        """Note that an attempt ended, however it did."""
        if self.flights.get(flight.delivery.id) is flight:
            del self.flights[flight.delivery.id]
        tenant_id = flight.delivery.tenant_id
        self.tenants[tenant_id] -= 1
        if self.tenants[tenant_id] <= 0:
            del self.tenants[tenant_id]

    def permitted(self, deliveries: Sequence[Delivery], now_s: float) -> tuple[list[Delivery], list[Hold]]:
        """Part claimed deliveries by the breakers of their keys: those that may run, those held back."""
        policy = self.options.breaker
        if policy is None or not self.breakers:
            return list(deliveries), []
        runs: list[Delivery] = []
        holds: list[Hold] = []
        places: Counter[Key] = Counter()
        for delivery in deliveries:
            key = key_of(delivery)
            permit = ask(self.breakers.get(key, CLOSED), policy, now_s=now_s, place=places[key])
            if permit.may_run:
                runs.append(delivery)
            else:
                holds.append(Hold(delivery, permit.wait_s, "breaker"))
                places[key] += 1
            self._remember(key, permit.breaker)
        return runs, holds

    def give_up_probe(self, delivery: Delivery) -> None:
        """Note that a permitted delivery does not run after all."""
        breaker = self.breakers.get(key_of(delivery))
        if breaker is not None:
            self._remember(key_of(delivery), probe_given_up(breaker))

    def learn(self, delivery: Delivery, outcome: Result, *, now_s: float, noise: float) -> bool:
        """Let the breaker of a key hear an outcome; true when it closed, so that held deliveries may come forward."""
        policy, key = self.options.breaker, key_of(delivery)
        if policy is None:
            return False
        if isinstance(outcome, Retry) and outcome.reason == OWN_FAULT:
            self.give_up_probe(delivery)
            return False
        before = self.breakers.get(key, CLOSED)
        if not isinstance(outcome, Retry):
            self.breakers.pop(key, None)
            return before.is_open
        self._remember(key, after_failure(before, policy, now_s=now_s, noise=noise))
        return False

    def _remember(self, key: Key, breaker: Breaker) -> None:
        if breaker == CLOSED:
            self.breakers.pop(key, None)
            return
        self.breakers[key] = breaker
        if len(self.breakers) > _BREAKERS_LIMIT:
            del self.breakers[next(iter(self.breakers))]


def alike(limits: Limits) -> Limiter:
    """Give the limiter that gives every key the same limits."""

    async def limiter(deliveries: Sequence[Delivery]) -> Sequence[Limits]:
        return [limits] * len(deliveries)

    return limiter


def key_of(delivery: Delivery) -> Key:
    """Give the pair that limits and breakers go by."""
    return delivery.tenant_id, delivery.key


def _most(deliveries: Sequence[Delivery]) -> str:
    counts = Counter(delivery.tenant_id for delivery in deliveries)
    return counts.most_common(1)[0][0] if counts else ""
