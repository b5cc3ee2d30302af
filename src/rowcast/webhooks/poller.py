"""Polling: an endpoint's messages read by whoever asks, in the order of their numbers, none of them left out.

A number is drawn before its transaction commits, so whoever only went on after the last number seen would miss what
commits late. A page therefore ends where the outbox is decided: below, nothing new can appear.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

import msgspec

from rowcast.core.errors import ConflictError, InvalidFieldError
from rowcast.store.pool import Row, Session
from rowcast.store.sql import load_queries
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.message_table import Message, read_message

CONSUMERS_LIMIT = 1000
_VISITED = 1000
_PREFIX = "at_"
_ITERATOR = re.compile(r"at_([0-9a-f]{1,15})\Z")

DecidedSeq = Callable[[], Awaitable[int]]
"""Gives the number up to which no event can appear any more."""


class PollFilter(msgspec.Struct, frozen=True):
    """Which of an endpoint's messages are meant beyond what the endpoint wants; what is None does not narrow."""

    event_type: str | None = None
    channel: str | None = None


class Poll(msgspec.Struct, frozen=True):
    """What one poll gave. `position` is where the next one goes on; `is_done`: there was nothing more."""

    messages: tuple[Message, ...]
    position: int
    is_done: bool


class Place(msgspec.Struct, frozen=True):
    """Where a poll begins, and up to where everything is decided."""

    position: int
    decided: int


def iterator_of(position: int) -> str:
    """Give the text by which a client goes on from a position."""
    return f"{_PREFIX}{position:x}"


def position_of(iterator: str) -> int:
    """Give the position of an iterator.

    Raises:
        InvalidFieldError: `input.field`, for a text that no poll gave.
    """
    found = _ITERATOR.match(iterator)
    if found is None:
        raise InvalidFieldError(
            "The iterator is not one that a poll gave. Begin without one.", place=("query", "iterator")
        )
    return int(found[1], 16)


class Poller:
    """Reads messages, and keeps how far consumers have come."""

    __slots__ = ("_decided_seq", "_queries")

    def __init__(self, *, decided_seq: DecidedSeq) -> None:
        """Ask for what it needs."""
        self._decided_seq = decided_seq
        self._queries = load_queries("rowcast.webhooks")

    async def decided(self) -> int:
        """Give the number up to which everything is decided. Asked for before a transaction begins, never inside one.

        Raises:
            StoreUnavailableError: `store.unavailable`.
        """
        return await self._decided_seq()

    async def place_since(self, session: Session, tenant_id: str, since: datetime, *, decided: int) -> Place:
        """Give the place before the first message of a tenant that was made at a moment or later."""
        row = await session.fetch_one(
            self._queries["first_event_since"], tenant_id=tenant_id, up_to=decided, since=since
        )
        first = None if row is None else row["exact"]
        return Place(decided if first is None else first - 1, decided)

    async def poll(
        self, session: Session, endpoint: Endpoint, place: Place, *, most: int, chosen: PollFilter | None = None
    ) -> Poll:
        """Give up to `most` messages that follow a place; an empty page that is not done says to go on."""
        rows = await session.fetch(
            self._queries["polled_events"],
            tenant_id=endpoint.tenant_id,
            endpoint_id=endpoint.id,
            position=place.position,
            up_to=place.decided,
            most=_VISITED,
        )
        wanted = [row for row in rows if _is_wanted(row, endpoint, chosen or PollFilter())]
        shown = wanted[:most]
        is_whole = len(rows) < _VISITED
        is_done = is_whole and len(shown) == len(wanted)
        if is_done:
            position = max(place.position, place.decided)
        else:
            position = shown[-1]["seq"] if len(shown) < len(wanted) else rows[-1]["seq"]
        return Poll(await self._messages(session, shown), position, is_done)

    async def poll_as(
        self, session: Session, endpoint: Endpoint, consumer: str, *, position: int | None, decided: int, most: int
    ) -> Poll:
        """Give what follows where a consumer stands; the position that it was given last moves it there first.

        Raises:
            ConflictError: `input.conflict`, for a position of another turn: two clients share the name.
        """
        kept = await session.fetch_one(self._queries["hold_consumer"], endpoint_id=endpoint.id, name=consumer)
        place = await self._place(session, endpoint, kept, position=position, decided=decided)
        poll = await self.poll(session, endpoint, place, most=most)
        await self._keep(session, endpoint, consumer, position=place.position, given=poll.position)
        return poll

    async def seek(self, session: Session, endpoint: Endpoint, consumer: str, *, since: datetime, decided: int) -> int:
        """Let a consumer begin with what was made at a moment or later, and give its position."""
        place = await self.place_since(session, endpoint.tenant_id, since, decided=decided)
        await self._keep(session, endpoint, consumer, position=place.position, given=place.position)
        return place.position

    async def _place(
        self, session: Session, endpoint: Endpoint, kept: Row | None, *, position: int | None, decided: int
    ) -> Place:
        """Give where a consumer goes on: where it asks to, where it stands, or where its endpoint began."""
        if position is not None and kept is not None and position not in (kept["position"], kept["given"]):
            raise ConflictError(
                "This iterator is not the one that this consumer was given last. Poll without one to go on where it "
                "stands, and give each client a name of its own."
            )
        if position is not None:
            return Place(position, decided)
        if kept is not None:
            return Place(kept["position"], decided)
        return await self.place_since(session, endpoint.tenant_id, endpoint.created_at, decided=decided)

    async def _keep(self, session: Session, endpoint: Endpoint, consumer: str, *, position: int, given: int) -> None:
        row = await session.fetch_one(
            self._queries["keep_consumer"],
            tenant_id=endpoint.tenant_id,
            endpoint_id=endpoint.id,
            name=consumer,
            position=position,
            given=given,
            most=CONSUMERS_LIMIT,
        )
        if row is None:
            raise ConflictError(f"An endpoint has at most {CONSUMERS_LIMIT} consumers. Use a name that is there.")

    async def _messages(self, session: Session, shown: Sequence[Row]) -> tuple[Message, ...]:
        if not shown:
            return ()
        rows = await session.fetch(self._queries["polled_messages"], ids=[row["id"] for row in shown])
        return tuple(read_message(row) for row in rows)


def _is_wanted(row: Row, endpoint: Endpoint, chosen: PollFilter) -> bool:
    channels = row["channels"] or ()
    return (
        not row["is_expunged"]
        and not row["is_for_another"]
        and endpoint.wants(row["event_type"])
        and (endpoint.channels is None or not set(endpoint.channels).isdisjoint(channels))
        and chosen.event_type in (None, row["event_type"])
        and (chosen.channel is None or chosen.channel in channels)
    )
