"""Forgets the deliveries that no sender repeats any more."""

import asyncio
from collections.abc import Callable

from rowcast.core.errors import RowcastError
from rowcast.core.telemetry import tell
from rowcast.webhooks.incoming_table import SourceTable

_EVERY_S = 3600.0
_BATCH = 1000
_BATCHES_LIMIT = 1000


class IncomingSweep:
    """Sweeps now and then. Several processes may: each takes other rows."""

    __slots__ = ("_days", "_noise", "_table")

    def __init__(self, *, table: SourceTable, days: int, noise: Callable[[], float]) -> None:
        """Keep ids for `days`; `noise` keeps several processes from coming at once."""
        self._table = table
        self._days = days
        self._noise = noise

    async def run(self) -> None:
        """Sweep now and then every hour, until cancelled."""
        while True:
            try:
                await self.run_once()
            except RowcastError as error:
                tell("incoming.sweep_failed", code=error.code)
            await asyncio.sleep(_EVERY_S * (0.9 + 0.2 * self._noise()))

    async def run_once(self) -> int:
        """Forget all that is old enough, a thousand at a time; gives how many."""
        total = 0
        for _ in range(_BATCHES_LIMIT):
            gone = await self._table.forget(days=self._days, most=_BATCH)
            total += gone
            if gone < _BATCH:
                break
        if total:
            tell("incoming.swept", count=total)
        return total
