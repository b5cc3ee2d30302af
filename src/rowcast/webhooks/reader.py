"""Reading endpoints for attempts: always fresh, yet one query for all who ask at the same time."""

import asyncio

from rowcast.webhooks.endpoint import SigningEndpoint
from rowcast.webhooks.table import EndpointKey, EndpointTable

_Asked = dict[EndpointKey, asyncio.Future[SigningEndpoint | None]]


class EndpointReader:
    """Joins reads instead of caching them: an endpoint that was disabled or deleted stops with the next attempt.

    Whoever holds the lock asks for everybody waiting; each read begins after it was asked for.
    """

    __slots__ = ("_asked", "_lock", "_table")

    def __init__(self, *, table: EndpointTable) -> None:
        """Read from `table`."""
        self._table = table
        self._lock = asyncio.Lock()
        self._asked: _Asked = {}

    async def read(self, tenant_id: str, endpoint_id: str) -> SigningEndpoint | None:
        """Give the endpoint as it is now, or None when the tenant has no such endpoint.

        Raises:
            StoreUnavailableError: `store.unavailable`.
        """
        key = (tenant_id, endpoint_id)
        future = self._asked.get(key)
        if future is None:
            future = self._asked[key] = asyncio.get_running_loop().create_future()
        async with self._lock:
            if not future.done():
                await self._read_all({key: future})
        return future.result()

    async def _read_all(self, own: _Asked) -> None:
        asked, self._asked = {**self._asked, **own}, {}
        try:
            found = await self._table.for_signing(asked)
        except BaseException:
            # Everybody else still waits for the lock: the next one asks again, for them and for whoever came since.
            self._asked = {**asked, **self._asked}
            raise
        for key, future in asked.items():
            future.set_result(found.get(key))
