"""Reading endpoints for attempts: always fresh, yet one query for all who ask at the same time."""

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from rowcast.core.clock import Clock
from rowcast.core.delivery import Delivery
from rowcast.core.errors import StoreUnavailableError
from rowcast.webhooks.endpoint import SigningEndpoint
from rowcast.webhooks.table import EndpointKey, EndpointTable

_BOUND_S = 5.0
"""So long an attempt waits for its endpoint; past that our own database counts as away, not the endpoint."""
_AHEAD_CLAIMS = 4
_AHEAD_S = 1.0
"""So long an attempt may take to begin and still use what was read when its delivery was claimed."""


@dataclass(slots=True)
class _Batch:
    """Who asks together. `found` stays None where whoever asked for all did not get an answer."""

    keys: set[EndpointKey] = field(default_factory=set)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    found: dict[EndpointKey, SigningEndpoint] | None = None
    asked_s: float = 0.0


class EndpointReader:
    """Joins reads instead of caching them: an endpoint that was disabled or deleted stops with the next attempt.

    The first of a batch asks for everybody who comes until its turn; each read begins after it was asked for, or after
    the delivery that it is for was claimed (`ahead`).
    """

    __slots__ = ("_ahead", "_batch", "_clock", "_lock", "_table")

    def __init__(self, *, table: EndpointTable, clock: Clock) -> None:
        """Read from `table`."""
        self._table = table
        self._clock = clock
        self._ahead: deque[_Batch] = deque(maxlen=_AHEAD_CLAIMS)
        self._lock = asyncio.Lock()
        self._batch: _Batch | None = None

    async def read(self, tenant_id: str, endpoint_id: str) -> SigningEndpoint | None:
        """Give the endpoint as it is now, or None when the tenant has no such endpoint.

        Raises:
            StoreUnavailableError: `store.unavailable`.
        """
        key = (tenant_id, endpoint_id)
        ahead = self._batch_ahead(key)
        if ahead is not None and ahead.found is not None:
            return ahead.found.get(key)
        try:
            async with asyncio.timeout(_BOUND_S):
                return await self._read(key, ahead)
        except TimeoutError:
            raise StoreUnavailableError(f"The database did not give an endpoint in {_BOUND_S:g} s.") from None

    async def _read(self, key: EndpointKey, ahead: _Batch | None) -> SigningEndpoint | None:
        if ahead is not None:
            await ahead.is_over.wait()
            if ahead.found is not None:
                return ahead.found.get(key)
        while True:
            batch, is_first = self._batch, False
            if batch is None:
                batch, is_first = _Batch(), True
                self._batch = batch
            batch.keys.add(key)
            await (self._read_all(batch) if is_first else batch.is_over.wait())
            if batch.found is not None:
                return batch.found.get(key)
            # Whoever asked for this batch was cancelled or failed: somebody of it asks again.

    async def ahead(self, deliveries: Sequence[Delivery]) -> None:
        """Read for deliveries that were just claimed. Their attempts find it, wait for it, or ask for themselves.

        Raises:
            StoreUnavailableError: `store.unavailable`.
        """
        batch = _Batch({(each.tenant_id, each.target) for each in deliveries}, asked_s=self._clock.monotonic_s())
        self._ahead.append(batch)
        try:
            batch.found = await self._table.for_signing(batch.keys)
        finally:
            batch.is_over.set()

    def _batch_ahead(self, key: EndpointKey) -> _Batch | None:
        """Give what is read for the last claim with this endpoint, unless that is long ago."""
        fresh_s = self._clock.monotonic_s() - _AHEAD_S
        return next((each for each in reversed(self._ahead) if key in each.keys and each.asked_s >= fresh_s), None)

    async def _read_all(self, batch: _Batch) -> None:
        try:
            async with self._lock:
                # One turn of the loop: attempts begin by the dozen.
                await asyncio.sleep(0)
                self._batch = None
                batch.found = await self._table.for_signing(batch.keys)
        finally:
            if self._batch is batch:
                self._batch = None
            batch.is_over.set()
