"""Event types: those of the table, and those that classes declare, which win and cannot be changed here."""

from collections.abc import Mapping, Sequence
from typing import Any

from rowcast.core.codec import decode_json, encode_json
from rowcast.core.errors import ConflictError, NotFoundError
from rowcast.store.pool import Row, Session
from rowcast.store.sql import load_queries
from rowcast.webhooks.event_type import EventTypeDraft, KnownEventType, checked_name, checked_type


class EventTypeTable:
    """Event types by name. Each call works in the session that it is given."""

    __slots__ = ("_declared", "_queries")

    def __init__(self, *, declared: Mapping[str, KnownEventType]) -> None:
        """Know what classes declare; see `declared_types`."""
        self._declared = declared
        self._queries = load_queries("rowcast.webhooks")

    async def find(self, session: Session, name: str) -> KnownEventType | None:
        """Give one event type, archived or not, or None."""
        declared = self._declared.get(name)
        if declared is not None:
            return declared
        row = await session.fetch_one(self._queries["find_event_type"], name=name)
        return None if row is None else _known(row)

    async def get(self, session: Session, name: str) -> KnownEventType:
        """Give one event type, archived or not.

        Raises:
            NotFoundError: `input.not_found`.
        """
        found = await self.find(session, name)
        if found is None:
            raise _not_found()
        return found

    async def held(self, session: Session, name: str) -> KnownEventType:
        """Give an event type that nobody else changes until the transaction ends.

        Raises:
            NotFoundError: `input.not_found`.
        """
        await session.fetch_one(self._queries["hold_event_type"], name=name)
        return await self.get(session, name)

    async def create(self, session: Session, name: str, draft: EventTypeDraft) -> KnownEventType:
        """Add an event type; one that was archived comes back as it is said now.

        Raises:
            InvalidFieldError: `input.field`.
            ConflictError: `input.conflict`, when it is there.
        """
        self._refuse_declared(name)
        columns = _columns(checked_type(draft))
        row = await session.fetch_one(self._queries["add_event_type"], name=checked_name(name), **columns)
        if row is None:
            raise ConflictError("There is an event type of this name. Change it, or choose another name.")
        return _known(row)

    async def replace(self, session: Session, name: str, draft: EventTypeDraft) -> KnownEventType:
        """Replace what is said about an event type and give it.

        Raises:
            InvalidFieldError: `input.field`.
            ConflictError: `input.conflict`, when a class declares it.
            NotFoundError: `input.not_found`.
        """
        self._refuse_declared(name)
        row = await session.fetch_one(self._queries["replace_event_type"], name=name, **_columns(checked_type(draft)))
        if row is None:
            raise _not_found()
        return _known(row)

    async def delete(self, session: Session, name: str, *, is_expunged: bool = False) -> None:
        """Archive an event type, or remove it for good.

        Raises:
            ConflictError: `input.conflict`, when a class declares it.
            NotFoundError: `input.not_found`.
        """
        self._refuse_declared(name)
        query = self._queries["expunge_event_type" if is_expunged else "archive_event_type"]
        if await session.fetch_one(query, name=name) is None:
            raise _not_found()

    async def page(
        self, session: Session, *, after: str, is_falling: bool, most: int, has_archived: bool = False
    ) -> Sequence[KnownEventType]:
        """Give `most` event types after the name `after` (empty: from the beginning), in the order of their names."""
        rows = await session.fetch(
            self._queries["list_event_types"],
            after=after,
            is_falling=is_falling,
            most=most,
            has_archived=has_archived,
            declared=sorted(self._declared),
        )
        declared = [each for name, each in self._declared.items() if not after or (name < after) is is_falling]
        here = [each for each in declared if each.name != after]
        return sorted([*map(_known, rows), *here], key=lambda each: each.name, reverse=is_falling)[:most]

    async def all(self, session: Session) -> Sequence[KnownEventType]:
        """Give all event types that are not archived, by name."""
        known: list[KnownEventType] = []
        while page := await self.page(session, after=known[-1].name if known else "", is_falling=False, most=500):
            known += page
        return known

    def _refuse_declared(self, name: str) -> None:
        if name in self._declared:
            raise ConflictError("A class of the server declares this event type. Change the class.")


def _columns(draft: EventTypeDraft) -> dict[str, Any]:
    return {
        "description": draft.description,
        "schemas": None if draft.schemas is None else encode_json(draft.schemas).decode(),
        "archived": draft.is_archived,
        "deprecated": draft.is_deprecated,
        "group_name": draft.group_name,
        "feature_flags": None if draft.feature_flags is None else list(draft.feature_flags),
    }


def _known(row: Row) -> KnownEventType:
    flags = row["feature_flags"]
    draft = EventTypeDraft(
        description=row["description"],
        schemas=None if row["schemas"] is None else decode_json(row["schemas"]),
        is_archived=row["archived"],
        is_deprecated=row["deprecated"],
        group_name=row["group_name"],
        feature_flags=None if flags is None else tuple(flags),
    )
    return KnownEventType(name=row["name"], draft=draft, created_at=row["created_at"], changed_at=row["changed_at"])


def _not_found() -> NotFoundError:
    return NotFoundError("There is no such event type.")
