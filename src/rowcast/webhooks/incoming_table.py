"""The tables of sources and of the deliveries that were taken. What a tenant may see names the tenant first."""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rowcast.core.clock import Clock
from rowcast.core.codec import decode_json, encode_json
from rowcast.core.errors import NotFoundError
from rowcast.core.topic import checked_tenant_id
from rowcast.store.pool import Database, Session
from rowcast.store.sql import load_queries
from rowcast.webhooks.ids import NOISE_BYTES, source_id
from rowcast.webhooks.incoming import SourceOptions
from rowcast.webhooks.incoming_schemes import SCHEMES
from rowcast.webhooks.incoming_source import (
    GRACE_S,
    Source,
    SourceDraft,
    SourceSecret,
    active_at,
    checked_draft,
    checked_options,
    checked_source_secret,
    made_secret,
    parsed_secrets,
    rotated,
    written_secrets,
)
from rowcast.webhooks.sealing import KeyRing, seal_context

PAGE_LIMIT = 250

OpenSource = tuple[Source, tuple[str, ...]]
"""A source, and the secrets that may have signed now."""


class SourceTable:
    """Sources by tenant, their secrets sealed by a key ring."""

    __slots__ = ("_clock", "_database", "_noise", "_queries", "_ring")

    def __init__(
        self, *, database: Database, ring: KeyRing, clock: Clock, noise: Callable[[int], bytes] = os.urandom
    ) -> None:
        """Ask for what it needs; `noise` gives that many random bytes."""
        self._database = database
        self._ring = ring
        self._clock = clock
        self._noise = noise
        self._queries = load_queries("rowcast.webhooks")

    async def create(self, tenant_id: str, draft: SourceDraft) -> OpenSource:
        """Add a source and give it with its secrets.

        Raises:
            InvalidInputError: `input.source`, `input.secret` or `input.tenant`.
        """
        checked = checked_draft(draft)
        texts = checked.secrets or (made_secret(checked.scheme, self._noise),)
        new_id = source_id(self._clock.now(), self._noise(NOISE_BYTES))
        row = await self._database.fetch_one(
            self._queries["add_source"],
            tenant_id=checked_tenant_id(tenant_id),
            id=new_id,
            name=checked.name,
            scheme=checked.scheme,
            secrets=self._sealed(new_id, [SourceSecret(text) for text in texts]),
            options=encode_json(checked.options).decode(),
        )
        return self._source(_found(row)), texts

    async def get(self, tenant_id: str, id: str) -> Source:  # noqa: A002 - the field's own name
        """Give one source.

        Raises:
            NotFoundError: `input.not_found`, also for another tenant's source.
        """
        row = await self._database.fetch_one(self._queries["get_source"], tenant_id=tenant_id, id=id)
        return self._source(_found(row))

    async def page(self, tenant_id: str, *, after: str = "", most: int = 50) -> Sequence[Source]:
        """Give a page of sources, oldest first, after the id `after`; at most 250."""
        rows = await self._database.fetch(
            self._queries["list_sources"], tenant_id=tenant_id, after=after, most=min(most, PAGE_LIMIT)
        )
        return [self._source(row) for row in rows]

    async def update(self, tenant_id: str, id: str, *, options: SourceOptions, is_disabled: bool) -> Source:  # noqa: A002
        """Replace a source's options and whether it is disabled, and give it.

        Raises:
            NotFoundError: `input.not_found`.
            InvalidInputError: `input.source`.
        """
        checked_options(SCHEMES[(await self.get(tenant_id, id)).scheme], options)
        row = await self._database.fetch_one(
            self._queries["update_source"],
            tenant_id=tenant_id,
            id=id,
            options=encode_json(options).decode(),
            disabled=is_disabled,
        )
        return self._source(_found(row))

    async def delete(self, tenant_id: str, id: str) -> None:  # noqa: A002 - the field's own name
        """Remove a source, and what is known of its deliveries.

        Raises:
            NotFoundError: `input.not_found`.
        """
        _found(await self._database.fetch_one(self._queries["delete_source"], tenant_id=tenant_id, id=id))

    async def rotate(self, tenant_id: str, id: str, *, secret: str = "", grace_s: float = GRACE_S) -> str:  # noqa: A002
        """Make a secret the first and give it; the others are valid for `grace_s` more seconds.

        Raises:
            NotFoundError: `input.not_found`.
            InvalidInputError: `input.secret` or `input.grace`.
            LimitExceededError: `limit.secrets`, when ten others are still valid.
        """
        async with self._database.transaction() as session:
            row = _found(await session.fetch_one(self._queries["hold_source"], tenant_id=tenant_id, id=id))
            text = checked_source_secret(row["scheme"], secret) if secret else made_secret(row["scheme"], self._noise)
            secrets = rotated(self._opened(row), text, now=self._clock.now(), grace_s=grace_s)
            await session.execute(
                self._queries["set_source_secrets"],
                tenant_id=tenant_id,
                id=id,
                secrets=self._sealed(id, secrets),
            )
        return text

    async def find(self, id: str) -> OpenSource | None:  # noqa: A002 - the field's own name
        """Give a source by its id alone with the secrets that are valid now; None when nothing comes in there."""
        row = await self._database.fetch_one(self._queries["find_source"], id=id)
        if row is None or row["disabled"] or row["scheme"] not in SCHEMES:
            return None
        return self._source(row), tuple(secret.text for secret in self._opened(row))

    async def take(self, session: Session, source: Source, ids: Mapping[str, Any]) -> frozenset[str]:
        """Keep the ids of deliveries, each with the id of its event, and give those that were never taken before."""
        rows = await session.fetch(
            self._queries["take_deliveries"],
            source_id=source.id,
            tenant_id=source.tenant_id,
            delivery_ids=list(ids.keys()),
            event_ids=list(ids.values()),
        )
        return frozenset(row["delivery_id"] for row in rows)

    async def forget(self, *, days: int, most: int) -> int:
        """Remove what is known of the oldest deliveries, at most so many; gives how many."""
        rows = await self._database.fetch(self._queries["forget_deliveries"], days=days, most=most)
        return len(rows)

    def _sealed(self, id: str, secrets: Sequence[SourceSecret]) -> bytes:  # noqa: A002 - the field's own name
        return self._ring.seal(written_secrets(secrets), context=seal_context("incoming_source", id))

    def _opened(self, row: Mapping[str, Any]) -> tuple[SourceSecret, ...]:
        """Give the secrets of a row that are valid now."""
        context = seal_context("incoming_source", row["id"])
        return active_at(parsed_secrets(self._ring.open(row["secrets"], context=context)), self._clock.now())

    def _source(self, row: Mapping[str, Any]) -> Source:
        return Source(
            id=row["id"],
            tenant_id=row["tenant_id"],
            name=row["name"],
            scheme=row["scheme"],
            options=decode_json(row["options"], SourceOptions),
            is_disabled=row["disabled"],
            active_secrets=len(self._opened(row)),
            created_at=row["created_at"],
            changed_at=row["changed_at"],
        )


def _found(row: Mapping[str, Any] | None) -> Mapping[str, Any]:
    if row is None:
        raise NotFoundError("There is no such source of this tenant. `rowcast sources list` shows them.")
    return row
