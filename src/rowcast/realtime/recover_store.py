"""The tables behind the log of channels: events and messages that were told, and where each session stands."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from rowcast.core.codec import encode_json
from rowcast.realtime.messages import TopicKey
from rowcast.realtime.recover_cursor import Position
from rowcast.realtime.recover_rows import Row, candidates, is_tenant_of_nameless
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries


class Begun(msgspec.Struct, frozen=True):
    """Where a session stands; `away_s` is None for one that was not known."""

    position: Position
    away_s: float | None


class Bounds(msgspec.Struct, frozen=True):
    """The numbers below which nothing can appear any more."""

    low_seq: int = 0
    low_transaction: int = 0


class RecoverStore:
    """Runs the queries. `is_wide`: rules name topics of their own, so any event may belong to any topic."""

    __slots__ = ("_database", "_has_messages", "_is_wide", "_queries")

    def __init__(self, *, database: Database, is_wide: bool) -> None:
        """Take the pool."""
        self._database = database
        self._is_wide = is_wide
        self._queries = load_queries("rowcast.realtime")
        self._has_messages: bool | None = None

    async def begin(self, key: TopicKey, session: str) -> Begun:
        """Give where a session stands; one that is not known begins at the bounds of now."""
        row = await self._database.fetch_one(
            self._queries["begin_session"], tenant_id=key.tenant_id, topic=key.topic, session=session
        )
        assert row is not None
        position = Position(row["from_seq"], row["from_transaction"], tuple(row["received"]))
        return Begun(position, row["away_s"])

    async def bounds(self) -> Bounds:
        """Give the numbers below which nothing can appear any more."""
        row = await self._database.fetch_one(self._queries["settled_bounds"])
        return Bounds(row["low_seq"], row["low_transaction"]) if row else Bounds()

    async def told_before(self, key: TopicKey, *, from_seq: int, limit: int) -> Sequence[Row]:
        """Give the ids of events that were told already."""
        return await self._events(key, "told_before", from_seq=from_seq, limit=limit)

    async def missed_events(self, key: TopicKey, position: Position, *, limit: int, most_bytes: int) -> Sequence[Row]:
        """Give the newest events of a topic that were not received, newest first; `visited` counts them all."""
        return await self._events(
            key, "missed_events", from_seq=position.from_seq, received=list(position.received), limit=limit,
            most_bytes=most_bytes,
        )  # fmt: skip

    async def missed_messages(self, key: TopicKey, position: Position, *, limit: int, most_bytes: int) -> Sequence[Row]:
        """Give the same of the database's messages."""
        return await self._messages(
            key, "missed_messages", from_transaction=str(position.from_transaction), received=list(position.received),
            limit=limit, most_bytes=most_bytes,
        )  # fmt: skip

    async def events_since(self, key: TopicKey, *, since: datetime, limit: int) -> Sequence[Row]:
        """Give the newest events of a topic since a moment, newest first."""
        return await self._events(key, "events_since", since=since, limit=limit)

    async def messages_since(self, key: TopicKey, *, since: datetime, limit: int) -> Sequence[Row]:
        """Give the same of the database's messages."""
        return await self._messages(key, "messages_since", since=since, limit=limit)

    async def settled_events(self, from_seqs: Mapping[str, int], *, low_seq: int, limit: int) -> Sequence[Row]:
        """Give events of tenants from their numbers on, oldest first, `limit` of each."""
        return await self._database.fetch(
            self._queries["settled_events"], tenants=list(from_seqs), from_seqs=list(from_seqs.values()),
            low_seq=low_seq, limit=limit, is_wide=self._is_wide,
        )  # fmt: skip

    async def settled_messages(self, from_transaction: int, *, low_transaction: int, limit: int) -> Sequence[Row]:
        """Give messages of all private topics from a transaction on, oldest first, with whole transactions."""
        if not await self.has_messages():
            return ()
        return await self._database.fetch(
            self._queries["settled_messages"], from_transaction=str(from_transaction),
            low_transaction=str(low_transaction), limit=limit,
        )  # fmt: skip

    async def keep(self, cursors: Sequence[Mapping[str, Any]]) -> None:
        """Keep how far sessions have come, in one statement."""
        await self._database.execute(self._queries["keep_sessions"], cursors=encode_json(cursors).decode())

    async def forget(self, *, kept_s: float, most: int) -> None:
        """Forget sessions of long ago, and those of a tenant that has too many."""
        await self._database.execute(self._queries["forget_sessions"], kept_s=kept_s, most=most)

    async def has_messages(self) -> bool:
        """Tell whether `realtime.messages` is the table that rowcast made: another one has no order to go by."""
        if self._has_messages is None:
            row = await self._database.fetch_one(self._queries["has_messages"])
            self._has_messages = bool(row and row["has_messages"])
        return self._has_messages

    async def _events(self, key: TopicKey, query: str, **values: object) -> Sequence[Row]:
        which = candidates(key.topic)
        return await self._database.fetch(
            self._queries[query], tenant_id=key.tenant_id, topic=which.topic, types=which.types, is_wide=self._is_wide,
            **values,
        )  # fmt: skip

    async def _messages(self, key: TopicKey, query: str, **values: object) -> Sequence[Row]:
        if not await self.has_messages():
            return ()
        return await self._database.fetch(
            self._queries[query], tenant_id=key.tenant_id, topic=key.topic,
            is_nameless=is_tenant_of_nameless(key), **values,
        )  # fmt: skip
