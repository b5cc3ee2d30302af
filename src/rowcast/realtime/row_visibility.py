"""Which of some changed rows an audience may see: one question for all of them, and a rest for audiences that fail.

A policy that raises an error or takes too long for one audience must not hold up the others: that audience hears
nothing for a while, is told so, and is asked about again later.
"""

import asyncio
from collections.abc import Sequence

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.codec import encode_json
from rowcast.core.errors import RowcastError
from rowcast.core.retry import RetryPolicy, backoff_s
from rowcast.core.telemetry import tell
from rowcast.realtime.change_index import Audience
from rowcast.store.pool import Database, Row
from rowcast.store.sql import load_queries

_RESTING_LIMIT = 10_000
_LOOK_AGAIN_S = 0.002
_REST = RetryPolicy(base_s=5.0, cap_s=60.0, jitter=0.0)


class VisibilityOptions(msgspec.Struct, frozen=True):
    """Bounds: of one question, and of the questions that are asked at once."""

    timeout_s: float = 5.0
    concurrency: int = 4


class Visible(msgspec.Struct, frozen=True):
    """The places of the rows that may be seen. `is_back`: this audience rested before."""

    places: frozenset[int]
    is_back: bool = False


class Resting(msgspec.Struct, frozen=True):
    """It could not be found out. `fault` is why, when it has just been noticed; None while the audience rests."""

    fault: str | None = None


class RowVisibility:
    """Asks the database for audiences, and remembers which of them fail."""

    def __init__(self, *, database: Database, clock: Clock, options: VisibilityOptions | None = None) -> None:
        """Take the database."""
        self._database = database
        self._clock = clock
        self._options = options or VisibilityOptions()
        self._queries = load_queries("rowcast.realtime")
        self._turns = asyncio.Semaphore(self._options.concurrency)
        self._resting: dict[tuple[int, Audience], tuple[int, float]] = {}

    async def ask(
        self, oid: int, audience: Audience, *, key: Sequence[str], keys: Sequence[Sequence[str | None]]
    ) -> Visible | Resting:
        """Give which rows of a table an audience may see now.

        Args:
            oid: The table.
            audience: Who asks.
            key: The names of its primary key.
            keys: For each row the texts of its key.
        """
        return await self._ask(
            oid, audience, "visible_rows", {"key_columns": list(key), "keys": encode_json(keys).decode()}
        )

    async def ask_old(self, oid: int, audience: Audience, rows: Sequence[bytes]) -> Visible | Resting:
        """Give which rows that are gone an audience might have seen; each is the JSON of the whole old row."""
        text = (b"[" + b",".join(rows) + b"]").decode()
        return await self._ask(oid, audience, "visible_old_rows", {"old_rows": text})

    async def await_commits(self, xids: Sequence[int]) -> None:
        """Wait until other sessions see these transactions; asked before, a policy would not find their rows.

        Raises:
            TimeoutError: They are not seen in time: a synchronous standby is away, perhaps.
        """
        async with asyncio.timeout(self._options.timeout_s):
            while True:
                row = await self._database.fetch_one(self._queries["are_seen"], xids=list(xids))
                if row is None or row["are_seen"]:
                    return
                await asyncio.sleep(_LOOK_AGAIN_S)

    async def _ask(self, oid: int, audience: Audience, query: str, values: dict[str, object]) -> Visible | Resting:
        failures, until_s = self._resting.get((oid, audience), (0, 0.0))
        if failures and self._clock.monotonic_s() < until_s:
            return Resting()
        rows, fault = await self._fetch(oid, audience, query, values)
        if fault is None:
            self._resting.pop((oid, audience), None)
            return Visible(frozenset(row["place"] - 1 for row in rows), is_back=failures > 0)
        rest_s = backoff_s(failures + 1, _REST)
        self._resting[oid, audience] = failures + 1, self._clock.monotonic_s() + rest_s
        if len(self._resting) > _RESTING_LIMIT:
            # Those that rest longest are the first to be asked about again.
            del self._resting[next(iter(self._resting))]
        tell("changes.quarantined", role=audience.role, rest_s=rest_s)
        return Resting(fault)

    async def _fetch(
        self, oid: int, audience: Audience, query: str, values: dict[str, object]
    ) -> tuple[Sequence[Row], str | None]:
        who = {"oid": oid, "role": audience.role, "claims": audience.claims.decode()}
        async with self._turns:
            begun_s = self._clock.monotonic_s()
            try:
                async with asyncio.timeout(self._options.timeout_s):
                    rows = await self._database.fetch(self._queries[query], **who, **values)
            except TimeoutError:
                return (), "the policies took too long"
            except RowcastError as error:
                return (), str(error)
            tell("changes.visibility_asked", duration_s=self._clock.monotonic_s() - begun_s, rows=len(rows))
        fault = next((row["fault"] for row in rows if row["fault"] is not None), None)
        return rows, fault
