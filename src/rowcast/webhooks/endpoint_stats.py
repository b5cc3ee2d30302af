"""What became of an endpoint's messages, in numbers."""

from datetime import datetime

import msgspec

from rowcast.store.pool import Session
from rowcast.store.sql import load_queries
from rowcast.webhooks.endpoint import Endpoint


class MessageStats(msgspec.Struct, frozen=True):
    """Messages by what became of them; one that was replayed counts once, by its last delivery."""

    success: int
    pending: int
    sending: int
    fail: int
    canceled: int


class AttemptStats(msgspec.Struct, frozen=True):
    """Attempts by what they came to. Canceled are those that found the endpoint disabled."""

    success: int
    fail: int
    canceled: int


class EndpointStats:
    """Counts. From `since` on and before `until`; None is without an end."""

    __slots__ = ("_queries",)

    def __init__(self) -> None:
        """Read the statements."""
        self._queries = load_queries("rowcast.webhooks")

    async def messages(
        self, session: Session, endpoint: Endpoint, *, since: datetime | None, until: datetime | None
    ) -> MessageStats:
        """Count the messages that were owed to an endpoint in that time."""
        place = {"tenant_id": endpoint.tenant_id, "target": endpoint.id}
        row = await session.fetch_one(self._queries["message_stats"], **place, since=since, until=until)
        return msgspec.convert(dict(row or {}), MessageStats)

    async def attempts(
        self, session: Session, endpoint: Endpoint, *, since: datetime | None, until: datetime | None
    ) -> AttemptStats:
        """Count the attempts that were made in that time, which is rounded to whole hours."""
        place = {"tenant_id": endpoint.tenant_id, "target": endpoint.id}
        row = await session.fetch_one(self._queries["attempt_stats"], **place, since=since, until=until)
        return msgspec.convert(dict(row or {}), AttemptStats)
