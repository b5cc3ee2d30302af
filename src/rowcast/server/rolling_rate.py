"""How much came lately, tenant by tenant: the average a second over a rolling minute, as the stock server counts."""

from collections import OrderedDict, deque

import msgspec

_BUCKET_S = 5.0
_BUCKETS = 12
_TENANTS = 10_000


class Rate(msgspec.Struct, frozen=True):
    """The average a second over the last minute, and the limit. A limit of 0 is none."""

    average: float
    limit: float

    @property
    def is_over(self) -> bool:
        """Tell whether nothing more may come."""
        return bool(self.limit) and self.average > self.limit

    def has_room_for(self, count: int) -> bool:
        """Tell whether so many more may come at once."""
        return not self.limit or self.average + count <= self.limit

    @property
    def headers(self) -> dict[str, str]:
        """Give the headers that tell a caller."""
        return {
            "x-rate-rolling": f"{self.average:.2f}",
            "x-rate-limit": f"{self.limit:.0f}",
            "x-rate-limit-remaining": f"{max(0.0, self.limit - self.average):.0f}",
        }


class RollingRates:
    """Counts what each tenant sends through this process."""

    __slots__ = ("_counts", "_limit")

    def __init__(self, *, limit_per_s: float) -> None:
        """Give every tenant the same limit."""
        self._limit = limit_per_s
        self._counts: OrderedDict[str, deque[tuple[int, int]]] = OrderedDict()

    def add(self, tenant_id: str, count: int, *, now_s: float) -> None:
        """Count so many."""
        counts = self._counts.setdefault(tenant_id, deque(maxlen=_BUCKETS + 1))
        bucket = int(now_s // _BUCKET_S)
        if counts and counts[-1][0] == bucket:
            count += counts.pop()[1]
        counts.append((bucket, count))
        self._counts.move_to_end(tenant_id)
        if len(self._counts) > _TENANTS:
            self._counts.popitem(last=False)

    def of(self, tenant_id: str, *, now_s: float) -> Rate:
        """Give what a tenant has sent."""
        oldest = int(now_s // _BUCKET_S) - _BUCKETS
        total = sum(count for bucket, count in self._counts.get(tenant_id, ()) if bucket > oldest)
        return Rate(total / (_BUCKET_S * _BUCKETS), self._limit)
