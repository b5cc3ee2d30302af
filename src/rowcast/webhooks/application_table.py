"""The table of applications. Each call works in the session that it is given: a request is one transaction."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.codec import decode_json, encode_json
from rowcast.core.errors import NotFoundError
from rowcast.store.pool import Session
from rowcast.store.sql import load_queries
from rowcast.webhooks.application import Application, ApplicationDraft, checked_draft, tenant_of
from rowcast.webhooks.ids import NOISE_BYTES, application_id


class ApplicationTable:
    """Applications by id, by uid, and by the tenant that they are."""

    __slots__ = ("_clock", "_noise", "_queries")

    def __init__(self, *, clock: Clock, noise: Callable[[int], bytes] = os.urandom) -> None:
        """Ask for what it needs; `noise` gives that many random bytes."""
        self._clock = clock
        self._noise = noise
        self._queries = load_queries("rowcast.webhooks")

    async def find(self, session: Session, name: str, *, tenant_id: str | None = None) -> Application | None:
        """Give the application with this id, uid or tenant, in this order; of one tenant where one is given.

        A tenant that has an endpoint and was never named as an application becomes one.
        """
        row = await session.fetch_one(self._queries["find_application"], name=name, tenant_id=tenant_id)
        if row is not None or tenant_id not in (None, name):
            return None if row is None else _application(row)
        await session.execute(self._queries["adopt_tenant"], tenant_id=name, id=self._new_id())
        row = await session.fetch_one(self._queries["find_application"], name=name, tenant_id=tenant_id)
        return None if row is None else _application(row)

    async def get(self, session: Session, name: str, *, tenant_id: str | None = None) -> Application:
        """Give the application with this id, uid or tenant.

        Raises:
            NotFoundError: `input.not_found`, also for another tenant's where one is given.
        """
        found = await self.find(session, name, tenant_id=tenant_id)
        if found is None:
            raise NotFoundError("There is no such application for this API key.")
        return found

    async def held(self, session: Session, tenant_id: str) -> Application:
        """Give an application that nobody else changes until the transaction ends.

        Raises:
            NotFoundError: `input.not_found`.
        """
        return _application(_found(await session.fetch_one(self._queries["hold_application"], tenant_id=tenant_id)))

    async def create(self, session: Session, draft: ApplicationDraft) -> Application:
        """Add an application and give it.

        Raises:
            InvalidFieldError: `input.field`.
            ConflictError: `input.conflict`, when the uid is taken.
        """
        new_id = self._new_id()
        row = await session.fetch_one(
            self._queries["add_application"],
            id=new_id,
            tenant_id=tenant_of(draft.uid, new_id),
            **_columns(checked_draft(draft)),
        )
        return _application(_found(row))

    async def replace(self, session: Session, tenant_id: str, draft: ApplicationDraft) -> Application:
        """Replace what is said about an application and give it.

        Raises:
            InvalidFieldError: `input.field`.
            ConflictError: `input.conflict`, when the uid is taken.
            NotFoundError: `input.not_found`.
        """
        columns = _columns(checked_draft(draft))
        row = await session.fetch_one(self._queries["replace_application"], tenant_id=tenant_id, **columns)
        return _application(_found(row))

    async def delete(self, session: Session, tenant_id: str) -> None:
        """Remove an application with its endpoints. What is still owed to these is cancelled; what happened stays."""
        await session.execute(self._queries["delete_application"], tenant_id=tenant_id)
        await session.execute(self._queries["delete_endpoints_of"], tenant_id=tenant_id)
        await session.execute(self._queries["cancel_webhooks_of"], tenant_id=tenant_id)

    async def page(
        self, session: Session, *, after: str, is_falling: bool, most: int, tenant_id: str | None = None
    ) -> Sequence[Application]:
        """Give `most` applications after the id `after` (empty: from the beginning), in the order of their making."""
        rows = await session.fetch(
            self._queries["list_applications"], after=after, is_falling=is_falling, most=most, tenant_id=tenant_id
        )
        return [_application(row) for row in rows]

    def _new_id(self) -> str:
        return application_id(self._clock.now(), self._noise(NOISE_BYTES))


def _columns(draft: ApplicationDraft) -> dict[str, Any]:
    return {
        "uid": draft.uid,
        "name": draft.name,
        "throttle_rate": draft.throttle_rate,
        "metadata": encode_json(draft.metadata).decode(),
    }


def _found(row: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if row is None:
        raise NotFoundError("There is no such application for this API key.")
    return row


def _application(row: Mapping[str, Any]) -> Application:
    fields = {**row, "metadata": decode_json(row["metadata"])}
    return msgspec.convert(fields, Application)
