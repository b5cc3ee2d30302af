"""Messages: events as the webhook API shows them, with what their callers said beside. One transaction writes both."""

import uuid
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from rowcast.core.errors import ConflictError, NotFoundError
from rowcast.store.pool import Row, Session
from rowcast.store.sql import load_queries
from rowcast.webhooks.ids import event_id_of, message_id
from rowcast.webhooks.message_draft import MessageDraft


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message as it stands. `payload` is its JSON text; nothing of it is left where it `is_expunged`."""

    event_id: uuid.UUID
    event_type: str
    payload: msgspec.Raw
    created_at: datetime
    uid: str | None = None
    channels: tuple[str, ...] | None = None
    tags: tuple[str, ...] | None = None
    deliver_at: datetime | None = None
    is_expunged: bool = False

    @property
    def id(self) -> str:
        """Give `msg_` and 27 characters."""
        return message_id(self.event_id)


class MessageFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which messages: all that fit everything that is given. `since` and `until` are when they were written."""

    event_types: Sequence[str] | None = None
    channel: str | None = None
    tag: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class About(msgspec.Struct, frozen=True):
    """What a message's event is about; what is None the database fills in."""

    aggregate_type: str | None = None
    aggregate_id: str | None = None
    version: int | None = None


class MessageTable:
    """Messages by id and by their callers' own ids. Each call works in the session that it is given."""

    __slots__ = ("_queries",)

    def __init__(self) -> None:
        """Read the statements."""
        self._queries = load_queries("rowcast.webhooks")

    async def create(
        self, session: Session, tenant_id: str, draft: MessageDraft, *, about: About | None = None
    ) -> Message:
        """Write a checked message, its event and what is said beside, and give it.

        Raises:
            InvalidInputError: `input.payload`, `input.event_type` or `input.tenant`.
            PayloadTooLargeError: `outbox.payload_too_large`.
            ConflictError: `input.conflict`, when the tenant has a message with this uid.
        """
        row = await session.fetch_one(
            self._queries["emit_message"],
            tenant_id=tenant_id,
            event_type=draft.event_type,
            payload=draft.payload.decode(),
            **msgspec.structs.asdict(about or About()),
        )
        event_id: uuid.UUID = _found(row)["id"]
        if draft.has_terms:
            await self._add_terms(session, tenant_id, event_id, draft)
        return await self.get(session, tenant_id, message_id(event_id))

    async def find(self, session: Session, tenant_id: str, name: str) -> Message | None:
        """Give the message with this id or uid, or None."""
        event_id = event_id_of(name)
        query = self._queries["find_message" if event_id else "find_message_by_uid"]
        row = await session.fetch_one(query, tenant_id=tenant_id, name=event_id or name)
        return None if row is None else read_message(row)

    async def get(self, session: Session, tenant_id: str, name: str) -> Message:
        """Give the message with this id or uid.

        Raises:
            NotFoundError: `input.not_found`, also for another tenant's.
        """
        found = await self.find(session, tenant_id, name)
        if found is None:
            raise _not_found()
        return found

    async def known(self, session: Session, tenant_id: str, names: Iterable[str]) -> dict[str, uuid.UUID]:
        """Give the events of those of some messages that a tenant has, by the id or uid that they were named by."""
        asked = {name: event_id_of(name) for name in names}
        rows = await session.fetch(
            self._queries["known_messages"],
            tenant_id=tenant_id,
            event_ids=[event_id for event_id in asked.values() if event_id],
            uids=[name for name, event_id in asked.items() if event_id is None],
        )
        return {row["uid"] or message_id(row["event_id"]): row["event_id"] for row in rows}

    async def page(
        self,
        session: Session,
        tenant_id: str,
        *,
        chosen: MessageFilter,
        after: uuid.UUID | None,
        is_falling: bool,
        most: int,
    ) -> Sequence[Message]:
        """Give `most` messages after one of them (None: from the beginning), in the order of their writing."""
        types = None if chosen.event_types is None else list(chosen.event_types)
        rows = await session.fetch(
            self._queries["list_messages"],
            tenant_id=tenant_id,
            after=after,
            is_falling=is_falling,
            most=most,
            **{**msgspec.structs.asdict(chosen), "event_types": types},
        )
        return [read_message(row) for row in rows]

    async def _add_terms(self, session: Session, tenant_id: str, event_id: uuid.UUID, draft: MessageDraft) -> None:
        row = await session.fetch_one(
            self._queries["add_message"],
            event_id=event_id,
            tenant_id=tenant_id,
            uid=draft.uid,
            channels=None if draft.channels is None else list(draft.channels),
            tags=None if draft.tags is None else list(draft.tags),
            raw_payload=draft.raw_payload,
            content_type=draft.content_type,
            expires_at=draft.expires_at,
            deliver_at=draft.deliver_at,
        )
        if row is None:
            raise ConflictError("There is a message with this eventId. Give each message its own.")


async def drop_lost_messages(session: Session, *, days: int, most: int) -> int:
    """Remove what was said of messages that are older than `days` and gone, `most` at once; gives how many they were.

    Their callers' own ids of them are free again.
    """
    return len(await session.fetch(load_queries("rowcast.webhooks")["drop_messages"], days=days, most=most))


def read_message(row: Row) -> Message:
    """Give the message of a row."""
    return Message(
        event_id=row["id"],
        event_type=row["event_type"],
        payload=msgspec.Raw(row["payload"].encode()),
        created_at=row["created_at"],
        uid=row["uid"],
        channels=None if row["channels"] is None else tuple(row["channels"]),
        tags=None if row["tags"] is None else tuple(row["tags"]),
        deliver_at=row["deliver_at"],
        is_expunged=row["is_expunged"],
    )


def _found(row: Row | None) -> Row:
    if row is None:
        raise _not_found()
    return row


def _not_found() -> NotFoundError:
    return NotFoundError("There is no such message of this application.")
