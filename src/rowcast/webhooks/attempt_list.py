"""Attempts and legs as the webhook API shows them: what was posted to whom, and where each message stands there."""

import uuid
from collections.abc import Sequence
from datetime import datetime

import msgspec

from rowcast.core.delivery import ordered_key
from rowcast.core.errors import ConflictError, NotFoundError
from rowcast.store.pool import Row, Session
from rowcast.store.sql import load_queries
from rowcast.webhooks.attempt_detail import AttemptDetail
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.ids import attempt_id, parse_attempt_id
from rowcast.webhooks.message_table import Message, MessageFilter, read_message

_WORDS = ("delivered", "waiting", "dead", "running", "cancelled")

AttemptKey = tuple[int, int]
"""Delivery and fencing token."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt. `status` is one of the API's numbers; `message` is None where its event is gone."""

    key: AttemptKey
    event_id: uuid.UUID
    endpoint_id: str
    status: int
    attempt: int
    code: str
    reason: str
    response: str
    url: str
    is_manual: bool
    started_at: datetime
    latency_ms: float
    detail: AttemptDetail | None
    message: Message | None

    @property
    def id(self) -> str:
        """Give `atmpt_` and 27 characters."""
        return attempt_id(*self.key)


class AttemptFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which attempts: all that fit everything that is given. What `messages` asks is about theirs, but its times."""

    statuses: Sequence[int] | None = None
    code_class: int | None = None
    messages: MessageFilter = MessageFilter()


class Leg(msgspec.Struct, frozen=True):
    """Where a message stands with an endpoint; `next_at` is when it is tried next, if it is."""

    endpoint_id: str
    status: int
    next_at: datetime | None


class AttemptList:
    """Reads attempts and legs, and sends again. Each call works in the session that it is given."""

    __slots__ = ("_queries",)

    def __init__(self) -> None:
        """Read the statements."""
        self._queries = load_queries("rowcast.webhooks")

    async def of_endpoint(
        self,
        session: Session,
        endpoint: Endpoint,
        *,
        chosen: AttemptFilter,
        after: AttemptKey | None,
        is_falling: bool,
        most: int,
    ) -> Sequence[Attempt]:
        """Give `most` attempts at one endpoint after one of them (None: from the beginning)."""
        rows = await session.fetch(
            self._queries["attempts_of_endpoint"],
            tenant_id=endpoint.tenant_id,
            target=endpoint.id,
            is_falling=is_falling,
            most=most,
            **_bounds(after, is_falling=is_falling),
            **_narrowing(chosen),
        )
        return [_attempt(row) for row in rows]

    async def of_message(
        self,
        session: Session,
        place: tuple[str, uuid.UUID, str | None],
        *,
        chosen: AttemptFilter,
        after: AttemptKey | None,
        is_falling: bool,
        most: int,
    ) -> Sequence[Attempt]:
        """Give `most` attempts at a message; `place` is its tenant, its event, and an endpoint or None for all."""
        tenant_id, event_id, target = place
        rows = await session.fetch(
            self._queries["attempts_of_message"],
            tenant_id=tenant_id,
            event_id=event_id,
            target=target,
            is_falling=is_falling,
            most=most,
            **_bounds(after, is_falling=is_falling),
            **_narrowing(chosen),
        )
        return [_attempt(row) for row in rows]

    async def get(self, session: Session, tenant_id: str, event_id: uuid.UUID, *, name: str) -> Attempt:
        """Give one attempt at a message.

        Raises:
            NotFoundError: `input.not_found`, also for that of another message or tenant.
        """
        key = parse_attempt_id(name)
        row = None
        if key is not None:
            row = await session.fetch_one(
                self._queries["attempt_of_message"],
                tenant_id=tenant_id,
                event_id=event_id,
                delivery_id=key[0],
                fence=key[1],
            )
        if row is None:
            raise NotFoundError("There is no such attempt of this message.")
        return _attempt(row)

    async def expunge(self, session: Session, attempt: Attempt) -> None:
        """Remove what a receiver answered to one attempt; that it was, and what came of it, stays."""
        delivery_id, fence = attempt.key
        await session.execute(self._queries["expunge_attempt"], delivery_id=delivery_id, fence=fence)

    async def messages_of(
        self,
        session: Session,
        endpoint: Endpoint,
        *,
        chosen: AttemptFilter,
        after: uuid.UUID | None,
        is_falling: bool,
        most: int,
    ) -> Sequence[tuple[Message, Leg]]:
        """Give `most` messages that an endpoint is or was owed, each with where it stands, after one of them."""
        rows = await session.fetch(
            self._queries["messages_of_endpoint"],
            tenant_id=endpoint.tenant_id,
            target=endpoint.id,
            after=after,
            is_falling=is_falling,
            most=most,
            **{**_messages(chosen.messages), "statuses": _words(chosen.statuses)},
        )
        return [(read_message(row), Leg(endpoint.id, row["leg_status"], row["next_at"])) for row in rows]

    async def legs_of(self, session: Session, tenant_id: str, event_id: uuid.UUID) -> dict[str, Leg]:
        """Give where a message stands with each endpoint that is or was owed it, by the endpoint's id."""
        rows = await session.fetch(self._queries["legs_of_message"], tenant_id=tenant_id, event_id=event_id)
        return {row["target"]: Leg(row["target"], row["leg_status"], row["next_at"]) for row in rows}

    async def resend(self, session: Session, endpoint: Endpoint, message: Message) -> bool:
        """Owe a message to an endpoint again, or for the first time; tells whether it was not under way already.

        What waits for its next attempt is tried now, as that attempt. All else goes to the end of the line of an
        ordered endpoint.

        Raises:
            ConflictError: `input.conflict`, when nothing is left of the message.
        """
        if message.is_expunged:
            raise ConflictError("Nothing is left of this message: its payload was removed, or its time is over.")
        row = await session.fetch_one(
            self._queries["resend_message"],
            tenant_id=endpoint.tenant_id,
            event_id=message.event_id,
            target=endpoint.id,
            key=ordered_key(endpoint.id) if endpoint.is_ordered else endpoint.id,
        )
        return row is not None


def _bounds(after: AttemptKey | None, *, is_falling: bool) -> dict[str, int]:
    """Give the attempt to go on from; at the beginning one that lies before all."""
    none = (2**63 - 1, 2**63 - 1) if is_falling else (0, 0)
    delivery_id, fence = after or none
    return {"delivery_id": delivery_id, "fence": fence}


def _narrowing(chosen: AttemptFilter) -> dict[str, object]:
    statuses = None if chosen.statuses is None else list(chosen.statuses)
    return {**_messages(chosen.messages), "statuses": statuses, "code_class": chosen.code_class}


def _messages(chosen: MessageFilter) -> dict[str, object]:
    types = None if chosen.event_types is None else list(chosen.event_types)
    return {**msgspec.structs.asdict(chosen), "event_types": types}


def _words(statuses: Sequence[int] | None) -> list[str] | None:
    """Give what the ledger calls where messages stand."""
    return None if statuses is None else [_WORDS[status] for status in statuses]


def _attempt(row: Row) -> Attempt:
    text = row["detail"]
    detail = None if text is None else msgspec.json.decode(text, type=AttemptDetail)
    return Attempt(
        key=(row["delivery_id"], row["fence"]),
        event_id=row["event_id"],
        endpoint_id=row["target"],
        status=row["attempt_status"],
        attempt=row["attempt"],
        code=row["code"],
        reason=row["reason"],
        response=detail.body if detail else row["excerpt"],
        url=detail.url if detail else row["url"] or "",
        is_manual=row["is_manual"],
        started_at=row["started_at"],
        latency_ms=row["latency_ms"],
        detail=detail,
        message=None if row["id"] is None else read_message(row),
    )
