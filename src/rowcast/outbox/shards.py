"""Shards: which of the 64 parts of the outbox this process may work on. Advisory locks of one session decide."""

from collections.abc import Collection

from rowcast.store.pool import Connection
from rowcast.store.sql import load_queries

SHARD_COUNT = 64
LOCK_CLASS = 0x726F7763
"""First key of all advisory locks of the relays; the second one is the shard, or one of the numbers below."""
LIVE_LOCK = 64
"""Held in share mode by each live claim feed: counting its holders gives the fair share."""
ARCHIVE_LOCK = 65


def fair_share(live: int) -> int:
    """Give the most shards that one of `live` relays keeps."""
    return -(-SHARD_COUNT // max(live, 1))


def surplus(owned: Collection[int], live: int) -> tuple[int, ...]:
    """Give the shards that a relay hands over to the others."""
    return tuple(sorted(owned))[fair_share(live) :]


class Shards:
    """The shards of one session. They are gone with the session, by whatever way it ends."""

    def __init__(self, connection: Connection) -> None:
        """Take the session that holds the locks."""
        self._connection = connection
        self._queries = load_queries("rowcast.outbox")
        self.owned: frozenset[int] = frozenset()

    async def register(self) -> None:
        """Be counted among the live relays."""
        await self._connection.execute(self._queries["register_feed"], lock_class=LOCK_CLASS, live_lock=LIVE_LOCK)

    async def share(self) -> frozenset[int]:
        """Give up what is too much, take what is free and due to us, and give the shards that are new here.

        Only between batches: what is given up may be told by another process at once.
        """
        row = await self._connection.fetch_one(self._queries["shards_held"], lock_class=LOCK_CLASS, live_lock=LIVE_LOCK)
        held, live = (frozenset(row["held"]), row["live"]) if row else (frozenset[int](), 1)
        given = surplus(held, live)
        kept = held.difference(given)
        before, self.owned = self.owned, self.owned & kept
        if given:
            await self._connection.fetch(self._queries["give_shards"], lock_class=LOCK_CLASS, shards=list(given))
        self.owned = kept | await self._take(kept, fair_share(live) - len(kept))
        return self.owned - before

    async def _take(self, kept: frozenset[int], wanted: int) -> frozenset[int]:
        if wanted <= 0:
            return frozenset()
        free = [shard for shard in range(SHARD_COUNT) if shard not in kept]
        rows = await self._connection.fetch(
            self._queries["take_shards"], lock_class=LOCK_CLASS, shards=free, limit=wanted
        )
        return frozenset(row["shard"] for row in rows)
