"""Results on their way into the ledger: gathered while a statement runs, kept while the store is away."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence

from rowcast.core.errors import StoreError
from rowcast.core.telemetry import tell
from rowcast.delivery.lane import Key, key_of
from rowcast.delivery.ledger import Hold, Ledger, Settlement

_BATCH = 500
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 3.0
_ALL = 1_000_000
_SOON_S = 1.0


class Settler:
    """A bounded buffer and the one task that empties it. When it is full the runner claims nothing more."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        noise: Callable[[], float],
        limit: int,
        limited_sinks: frozenset[str],
        wake: Callable[[str], None],
    ) -> None:
        """Keep the ledger.

        `limited_sinks` have concurrency limits: a settled delivery frees a place for a held one. `wake` is told a sink
        of which something is due at once or very soon.
        """
        self._ledger = ledger
        self._noise = noise
        self._limit = limit
        self._limited_sinks = limited_sinks
        self._wake = wake
        self._results: list[Settlement] = []
        self._holds: list[Hold] = []
        self._forward: dict[tuple[str, str], Counter[Key]] = {}
        self._changed = asyncio.Event()
        self._is_closing = False
        self._is_behind = False

    @property
    def is_behind(self) -> bool:
        """Tell whether the store did not take the last results: it was away, and they wait still."""
        return self._is_behind and bool(self._results)

    @property
    def is_full(self) -> bool:
        """Tell whether so many results wait that nothing more should be claimed."""
        return len(self._results) + len(self._holds) >= self._limit

    def put(self, result: Settlement) -> None:
        """Take a result over; it is settled soon, in a batch."""
        self._results.append(result)
        self._changed.set()

    def give_back(self, hold: Hold) -> None:
        """Take over a delivery that was not tried; it is put back soon."""
        self._holds.append(hold)
        self._changed.set()

    def call_forward(self, sink: str, key: Key) -> None:
        """Ask that what is held back by the breaker of a key becomes due: the breaker closed."""
        self._forward.setdefault((sink, "breaker"), Counter())[key] = _ALL
        self._changed.set()

    def close(self) -> None:
        """Let `run` return once everything is settled."""
        self._is_closing = True
        self._changed.set()

    async def run(self) -> None:
        """Settle until `close`. While one statement runs the next batch gathers: load makes batches large by itself."""
        pause_s = _FIRST_PAUSE_S
        while self._has_work or not self._is_closing:
            if not self._has_work:
                await self._changed.wait()
            self._changed.clear()
            try:
                await self._flush()
                self._is_behind = False
                pause_s = _FIRST_PAUSE_S
            except StoreError as error:
                self._is_behind = True
                tell("delivery.settle_delayed", waiting=len(self._results), reason=error.code)
                await asyncio.sleep(pause_s * (0.5 + self._noise()))
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    @property
    def _has_work(self) -> bool:
        return bool(self._results or self._holds or self._forward)

    async def _flush(self) -> None:
        while self._holds:
            holds = self._holds[:_BATCH]
            await self._ledger.put_back(holds)
            del self._holds[: len(holds)]
        while self._results:
            batch = self._results[:_BATCH]
            await self._settle(batch)
            del self._results[: len(batch)]
            self._free_places(batch)
            for sink in {result.delivery.sink for result in batch if _is_soon(result)}:
                self._wake(sink)
        while self._forward:
            # Taken out first: what comes while the statement runs is asked for by the next one.
            (sink, reason), keys = self._forward.popitem()
            try:
                if await self._ledger.call_forward(sink, keys, reason=reason):
                    self._wake(sink)
            except StoreError:
                self._forward.setdefault((sink, reason), Counter()).update(keys)
                raise

    async def _settle(self, batch: Sequence[Settlement]) -> None:
        try:
            await self._ledger.settle(batch)
        except StoreError:
            raise
        except Exception:  # noqa: BLE001 - one result that the database refuses must not hold up the others
            await self._settle_singly(batch)

    async def _settle_singly(self, batch: Sequence[Settlement]) -> None:
        for result in batch:
            try:
                await self._ledger.settle([result])
            except StoreError:
                raise
            except Exception as error:  # noqa: BLE001 - its lease runs out and the attempt is recorded as lost
                tell("delivery.settle_refused", sink=result.delivery.sink, reason=type(error).__name__)

    def _free_places(self, batch: Sequence[Settlement]) -> None:
        for result in batch:
            if result.delivery.sink in self._limited_sinks:
                places = self._forward.setdefault((result.delivery.sink, "concurrency"), Counter())
                places[key_of(result.delivery)] += 1
            if result.delivery.is_ordered and result.settled.status != "waiting":
                self._forward.setdefault((result.delivery.sink, "order"), Counter())[key_of(result.delivery)] += 1


def _is_soon(result: Settlement) -> bool:
    """Tell whether a retry is due before a resting lane would look by itself."""
    return result.settled.status == "waiting" and result.settled.wait_s < _SOON_S
