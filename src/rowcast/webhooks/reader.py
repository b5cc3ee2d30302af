"""Reading endpoints for attempts: always fresh, yet one query for all who ask at the same time."""

import asyncio
from dataclasses import dataclass, field

from rowcast.webhooks.endpoint import SigningEndpoint
from rowcast.webhooks.table import EndpointKey, EndpointTable


@dataclass(slots=True)
class _Batch:
    """Who asks together. `found` stays None where whoever asked for all did not get an answer."""

    keys: set[EndpointKey] = field(default_factory=set)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    found: dict[EndpointKey, SigningEndpoint] | None = None


class EndpointReader:
    """Joins reads instead of caching them: an endpoint that was disabled or deleted stops with the next attempt.

    The first of a batch asks for everybody who comes until its turn; each read begins after it was asked for.
    """

    __slots__ = ("_batch", "_lock", "_table")

    def __init__(self, *, table: EndpointTable) -> None:
        """Read from `table`."""
        self._table = table
        self._lock = asyncio.Lock()
        self._batch: _Batch | None = None

    async def read(self, tenant_id: str, endpoint_id: str) -> SigningEndpoint | None:
        """Give the endpoint as it is now, or None when the tenant has no such endpoint.

        Raises:
            StoreUnavailableError: `store.unavailable`.
        """
        key = (tenant_id, endpoint_id)
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
