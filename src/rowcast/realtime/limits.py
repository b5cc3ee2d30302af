"""How much one tenant, one user and one channel may do: token buckets and counts. Pure.

What is too much is first not done and told once; a channel is closed only when it goes on and on.
"""

from dataclasses import dataclass, field
from typing import Literal

import msgspec

Verdict = Literal["ok", "warn", "drop", "close"]
"""Take it; do not take it and say so; do not take it; do not take it and end the channel."""

_BURST_S = 10.0
_SUSTAINED_S = 10.0
_SUSTAINED_TIMES = 50
_QUIET_S = 5.0


class RealtimeLimits(msgspec.Struct, frozen=True):
    """Bounds of one process for each tenant; 0 means none. A delivery counts nothing, only what clients send does."""

    users: int = 20_000
    connections_per_user: int = 0
    joins_per_s: float = 0.0
    events_per_s: float = 2_500.0
    presences_per_s: float = 1_000.0
    channels_per_socket: int = 100
    presence_calls: int = 5
    presence_window_s: float = 30.0
    payload_bytes: int = 3_000_500
    presence_bytes: int = 65_536
    is_private_only: bool = False
    is_presence_on: bool = False


@dataclass(slots=True)
class Bucket:
    """Fills by `rate_per_s` up to `capacity`; starts full. A rate of 0 is no limit."""

    rate_per_s: float
    capacity: float
    tokens: float = -1.0
    filled_at_s: float = 0.0

    def take(self, now_s: float) -> bool:
        """Take one token; False when there is none."""
        if not self.has_one(now_s):
            return False
        if self.rate_per_s:
            self.tokens -= 1
        return True

    def has_one(self, now_s: float) -> bool:
        """Tell whether there is a token."""
        if not self.rate_per_s:
            return True
        if self.tokens < 0:
            self.tokens, self.filled_at_s = self.capacity, now_s
        # A clock that steps back fills nothing.
        self.tokens = min(self.capacity, self.tokens + max(0.0, now_s - self.filled_at_s) * self.rate_per_s)
        self.filled_at_s = now_s
        return self.tokens >= 1


@dataclass(slots=True)
class Excess:
    """How one channel goes on while there is too much."""

    since_s: float | None = None
    last_s: float = 0.0
    times: int = 0

    def judge(self, now_s: float) -> Verdict:
        """Give what becomes of one thing that is too much."""
        if self.since_s is None or now_s - self.last_s > _QUIET_S:
            self.since_s, self.last_s, self.times = now_s, now_s, 1
            return "warn"
        self.last_s = now_s
        self.times += 1
        is_sustained = now_s - self.since_s >= _SUSTAINED_S and self.times >= _SUSTAINED_TIMES
        return "close" if is_sustained else "drop"


@dataclass(slots=True)
class Meter:
    """What one tenant does on this process."""

    limits: RealtimeLimits
    users: int = 0
    connections: dict[str, int] = field(default_factory=dict)
    _joins: Bucket = field(init=False)
    _events: Bucket = field(init=False)
    _presences: Bucket = field(init=False)

    def __post_init__(self) -> None:
        """Fill the buckets: each holds as much as may come in ten seconds."""
        limits = self.limits
        self._joins = Bucket(limits.joins_per_s, limits.joins_per_s * _BURST_S)
        self._events = Bucket(limits.events_per_s, limits.events_per_s * _BURST_S)
        self._presences = Bucket(limits.presences_per_s, limits.presences_per_s * _BURST_S)

    def connect(self, user: str | None) -> bool:
        """Count a socket of `user`; False, and not counted, when there are too many."""
        limits = self.limits
        if limits.users and self.users >= limits.users:
            return False
        if user is not None and limits.connections_per_user:
            held = self.connections.get(user, 0)
            if held >= limits.connections_per_user:
                return False
            self.connections[user] = held + 1
        self.users += 1
        return True

    def disconnect(self, user: str | None) -> None:
        """Count it no longer."""
        self.users -= 1
        if user is not None and user in self.connections:
            self.connections[user] -= 1
            if not self.connections[user]:
                del self.connections[user]

    def may_join(self, now_s: float) -> bool:
        """Tell whether one more join would be taken."""
        return self._joins.has_one(now_s)

    def join(self, now_s: float) -> bool:
        """Count a join; False when there are too many a second."""
        return self._joins.take(now_s)

    def event(self, now_s: float) -> bool:
        """Count something that a client sends."""
        return self._events.take(now_s)

    def presence(self, now_s: float) -> bool:
        """Count a presence message."""
        return self._presences.take(now_s)


class Meters:
    """The meters of all tenants; one is dropped with its last socket, but not while it still holds a debt."""

    __slots__ = ("_found", "limits")

    def __init__(self, limits: RealtimeLimits | None = None) -> None:
        """Give every tenant the same limits."""
        self.limits = limits or RealtimeLimits()
        self._found: dict[str, Meter] = {}

    def of(self, tenant_id: str) -> Meter:
        """Give the tenant's meter."""
        found = self._found.get(tenant_id)
        if found is None:
            found = self._found[tenant_id] = Meter(self.limits)
        return found

    def sweep(self) -> None:
        """Forget tenants that have no socket; called now and then, so that a short absence changes nothing."""
        for tenant_id in [tenant_id for tenant_id, meter in self._found.items() if not meter.users]:
            del self._found[tenant_id]
