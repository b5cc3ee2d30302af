"""Dead letters: gathered by what went wrong, and replayed as new deliveries of the same event."""

import uuid
from collections.abc import AsyncIterator
from datetime import datetime

import msgspec

from rowcast.core.telemetry import tell
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries

_BATCH = 500


class DeadGroup(msgspec.Struct, frozen=True):
    """Dead letters of one fingerprint: how many, of how many tenants, when, and one of them to look at."""

    sink: str
    fingerprint: str | None
    deliveries: int
    tenants: int
    first_at: datetime | None
    last_at: datetime | None
    sample_id: int
    sample_error: str | None


class DeadFilter(msgspec.Struct, frozen=True):
    """Which dead letters are meant; what is None does not narrow. No field at all means every one of them."""

    tenant_id: str | None = None
    ids: tuple[int, ...] | None = None
    fingerprint: str | None = None
    sink: str | None = None
    target: str | None = None
    event_id: uuid.UUID | None = None


class Leg(msgspec.Struct, frozen=True):
    """Which legs of an event are meant: those to one sink, target or rule; None does not narrow."""

    sink: str | None = None
    target: str | None = None
    rule: str | None = None


class DeadLetters:
    """Reads and replays dead letters. A replayed one stays, marked, and is never replayed a second time."""

    def __init__(self, *, database: Database) -> None:
        """Keep the pool."""
        self._database = database
        self._queries = load_queries("rowcast.delivery")

    async def groups(self, *, tenant_id: str | None = None, limit: int = 100) -> tuple[DeadGroup, ...]:
        """Give what is dead and not replayed, gathered by fingerprint, the latest first."""
        query = self._queries["dead_groups"]
        if tenant_id is None:
            rows = await self._database.fetch(query, tenant_id=None, limit=limit)
        else:
            async with self._database.as_tenant(tenant_id) as session:
                rows = await session.fetch(query, tenant_id=tenant_id, limit=limit)
        return tuple(msgspec.convert(dict(row), DeadGroup) for row in rows)

    async def replay(self, chosen: DeadFilter) -> int:
        """Replay every dead letter that `chosen` names and give how many new deliveries there are.

        They go out with the same event id, so that a receiver can tell. Calling it twice, even at once, adds nothing.
        """
        return sum([count async for count in self.replay_in_batches(chosen)])

    async def replay_in_batches(self, chosen: DeadFilter) -> AsyncIterator[int]:
        """Replay in bounded transactions and give the size of each; stop asking, and the rest stays as it is.

        What dies after the first batch began is not replayed.
        """
        bound = await self._database.fetch_one(self._queries["latest_delivery_id"])
        up_to_id = int(bound["id"]) if bound else 0
        while count := await self._replay_batch(chosen, up_to_id):
            tell("delivery.replayed", count=count)
            yield count

    async def _replay_batch(self, chosen: DeadFilter, up_to_id: int) -> int:
        row = await self._database.fetch_one(
            self._queries["replay_dead"],
            tenant_id=chosen.tenant_id,
            ids=None if chosen.ids is None else list(chosen.ids),
            fingerprint=chosen.fingerprint,
            sink=chosen.sink,
            target=chosen.target,
            event_id=chosen.event_id,
            up_to_id=up_to_id,
            limit=_BATCH,
        )
        return len(row["ids"]) if row else 0

    async def replay_event(
        self, event_id: uuid.UUID, *, tenant_id: str | None = None, leg: Leg | None = None
    ) -> tuple[int, ...]:
        """Deliver an event again on all its legs, or on some, and give the ids of the new deliveries.

        A leg whose latest delivery is still on its way is left alone.
        """
        chosen = leg or Leg()
        row = await self._database.fetch_one(
            self._queries["replay_legs"],
            event_id=event_id,
            tenant_id=tenant_id,
            sink=chosen.sink,
            target=chosen.target,
            rule=chosen.rule,
        )
        ids = tuple(row["ids"]) if row else ()
        if ids:
            tell("delivery.replayed", count=len(ids))
        return ids
