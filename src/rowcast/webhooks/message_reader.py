"""What was said of messages beside their events, as the fan-out and the post need it."""

import asyncio
import uuid
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.envelope import Envelope
from rowcast.core.errors import StoreError
from rowcast.core.ids import is_uuid7, uuid7_time
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries
from rowcast.webhooks.message import message_body
from rowcast.webhooks.message_draft import EMPTY_PAYLOAD

_WAITS_S = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_UNSEEN_MOST = timedelta(hours=1)


class Terms(msgspec.Struct, frozen=True):
    """Whom a message is for, and when. Without channels it is for the endpoints that have none either."""

    channels: frozenset[str] = frozenset()
    deliver_at: datetime | None = None


class Body(msgspec.Struct, frozen=True):
    """What is posted, and what it says it is; a raw one is what the caller sent, in whatever form."""

    content: bytes
    content_type: str = "application/json"
    is_raw: bool = False


NO_TERMS = Terms()


class MessageReader:
    """Reads the rows of messages. Most events have none."""

    __slots__ = ("_clock", "_database", "_queries", "_waits_s")

    def __init__(self, *, database: Database, clock: Clock, waits_s: tuple[float, ...] = _WAITS_S) -> None:
        """Read from `database`; `waits_s` are the waits for events that are not seen yet."""
        self._database = database
        self._clock = clock
        self._waits_s = waits_s
        self._queries = load_queries("rowcast.webhooks")

    async def terms(self, event_ids: Collection[uuid.UUID]) -> Mapping[uuid.UUID, Terms]:
        """Give the terms of those of some events that have any, in one query.

        Raises:
            StoreError: `store.contended`, when the log told of an event that other sessions still do not see: whoever
                commits waits for a standby. Nobody can tell whom it is for, so the batch comes again.
        """
        for wait_s in (*self._waits_s, None):
            found, unseen = await self._ask(event_ids)
            if not unseen:
                return found
            if wait_s is not None:
                await asyncio.sleep(wait_s)
        raise StoreError("An event is committed and not seen yet; it is asked for again.", code="store.contended")

    async def body(self, event: Envelope) -> Body | None:
        """Give what is posted of an event, or None where nothing is left of it."""
        if bytes(event.payload) != EMPTY_PAYLOAD:
            return Body(message_body(event))
        # Only where the payload is empty can it stand elsewhere, or have been removed.
        row = await self._database.fetch_one(self._queries["raw_message"], event_id=event.id)
        if row is None or not (row["is_expunged"] or row["raw_payload"] is not None):
            return Body(message_body(event))
        if row["is_expunged"]:
            return None
        return Body(row["raw_payload"].encode(), row["content_type"] or "application/json", is_raw=True)

    async def _ask(self, event_ids: Collection[uuid.UUID]) -> tuple[Mapping[uuid.UUID, Terms], bool]:
        """Give the terms, and whether one of the events is not seen yet."""
        if not event_ids:
            return {}, False
        rows = await self._database.fetch(self._queries["message_terms"], event_ids=list(event_ids))
        unseen = [row["id"] for row in rows if not row["is_seen"]]
        found = {row["id"]: Terms(frozenset(row["channels"] or ()), row["deliver_at"]) for row in rows}
        return found, any(self._is_awaited(event_id) for event_id in unseen)

    def _is_awaited(self, event_id: uuid.UUID) -> bool:
        # One that is old was removed: waiting for it would hold up all others for ever.
        return is_uuid7(event_id) and self._clock.now() - uuid7_time(event_id) < _UNSEEN_MOST
