"""Removes what is kept for a time only: deliveries that no sender repeats any more, secrets that have ended."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Protocol

from rowcast.core.errors import RowcastError
from rowcast.core.telemetry import tell

_EVERY_S = 3600.0
_BATCH = 1000
_BATCHES_LIMIT = 1000


class Step(Protocol):
    """Removes at most `most` rows and gives how many; nothing is left when it is fewer."""

    async def __call__(self, *, most: int) -> int:
        """Remove some."""
        ...


class Sweep:
    """Sweeps now and then. Several processes may: each takes other rows."""

    __slots__ = ("_noise", "_steps")

    def __init__(self, steps: Mapping[str, Step], *, noise: Callable[[], float]) -> None:
        """Do these steps, each under the word by which it is told; `noise` keeps processes from coming at once."""
        self._steps = dict(steps)
        self._noise = noise

    async def run(self) -> None:
        """Sweep now and then every hour, until cancelled; a step that fails keeps no other from being done."""
        while True:
            for what in self._steps:
                try:
                    await self.run_once(what)
                except RowcastError as error:
                    tell("sweep.failed", what=what, code=error.code)
            await asyncio.sleep(_EVERY_S * (0.9 + 0.2 * self._noise()))

    async def run_once(self, what: str) -> int:
        """Do one step to its end, a thousand rows at a time; gives how many were removed."""
        total = 0
        for _ in range(_BATCHES_LIMIT):
            gone = await self._steps[what](most=_BATCH)
            total += gone
            if gone < _BATCH:
                break
        if total:
            tell("sweep.done", what=what, count=total)
        return total
