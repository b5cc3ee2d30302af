"""The table of endpoints. Every statement names the tenant first."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.errors import NotFoundError, RowcastError
from rowcast.core.topic import checked_tenant_id
from rowcast.egress.guard import Policy, check_url
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries
from rowcast.webhooks.endpoint import Endpoint, SigningEndpoint, checked_event_types
from rowcast.webhooks.ids import NOISE_BYTES, endpoint_id
from rowcast.webhooks.secrets_table import SecretTable
from rowcast.webhooks.signature import Scheme, checked_secret, new_secret, scheme_of

PAGE_LIMIT = 250

EndpointKey = tuple[str, str]
"""Tenant and endpoint id."""


class EndpointDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tenant says about an endpoint. `event_types` None means every type; `secret` empty means a new one.

    A `secret` says by its prefix how it signs; `signature_scheme` is for a new one.
    """

    url: str
    description: str = ""
    event_types: tuple[str, ...] | None = None
    is_disabled: bool = False
    secret: str = ""
    signature_scheme: Scheme = "v1"


class EndpointTable:
    """Endpoints by tenant. URLs are judged by the egress policy before they are kept."""

    __slots__ = ("_clock", "_database", "_noise", "_policy", "_queries", "secrets")

    def __init__(
        self,
        *,
        database: Database,
        policy: Policy,
        clock: Clock,
        secrets: SecretTable,
        noise: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Ask for what it needs; `noise` gives that many random bytes."""
        self._database = database
        self._policy = policy
        self._clock = clock
        self.secrets = secrets
        self._noise = noise
        self._queries = load_queries("rowcast.webhooks")

    async def create(self, tenant_id: str, draft: EndpointDraft) -> Endpoint:
        """Add an endpoint and give it; `secrets.current` gives its secret.

        Raises:
            InvalidInputError: `input.url`, `egress.blocked`, `input.event_pattern`, `input.secret` or `input.tenant`.
        """
        secret = checked_secret(draft.secret) if draft.secret else new_secret(self._noise, draft.signature_scheme)
        row = {
            "tenant_id": checked_tenant_id(tenant_id),
            "id": endpoint_id(self._clock.now(), self._noise(NOISE_BYTES)),
            "url": check_url(draft.url, self._policy.for_tenant(tenant_id)).text,
            "description": draft.description,
            "event_types": checked_event_types(draft.event_types),
            "signature_scheme": scheme_of(secret),
        }
        async with self._database.transaction() as session:
            made = _found(await session.fetch_one(self._queries["add_endpoint"], **row))
            await self.secrets.add(session, tenant_id=tenant_id, endpoint_id=made.id, secret=secret)
        return made

    async def get(self, tenant_id: str, id: str) -> Endpoint:  # noqa: A002 - the field's own name
        """Give one endpoint.

        Raises:
            NotFoundError: `input.not_found`, also for another tenant's endpoint.
        """
        return _found(await self._database.fetch_one(self._queries["get_endpoint"], tenant_id=tenant_id, id=id))

    async def page(self, tenant_id: str, *, after: str = "", most: int = 50) -> Sequence[Endpoint]:
        """Give a page of endpoints, oldest first, after the id `after`; at most 250."""
        rows = await self._database.fetch(
            self._queries["list_endpoints"], tenant_id=tenant_id, after=after, most=min(most, PAGE_LIMIT)
        )
        return [_endpoint(row) for row in rows]

    async def update(self, tenant_id: str, id: str, draft: EndpointDraft) -> Endpoint:  # noqa: A002
        """Replace what is said about an endpoint, its secret excepted, and give it.

        Raises:
            NotFoundError: `input.not_found`.
            InvalidInputError: `input.url`, `egress.blocked` or `input.event_pattern`.
        """
        row = await self._database.fetch_one(
            self._queries["update_endpoint"],
            tenant_id=tenant_id,
            id=id,
            url=check_url(draft.url, self._policy.for_tenant(tenant_id)).text,
            description=draft.description,
            event_types=checked_event_types(draft.event_types),
            disabled=draft.is_disabled,
        )
        return _found(row)

    async def delete(self, tenant_id: str, id: str) -> None:  # noqa: A002 - the field's own name
        """Remove an endpoint.

        Raises:
            NotFoundError: `input.not_found`.
        """
        if await self._database.fetch_one(self._queries["delete_endpoint"], tenant_id=tenant_id, id=id) is None:
            raise _not_found()

    async def disable(self, tenant_id: str, id: str) -> bool:  # noqa: A002 - the field's own name
        """Stop an endpoint; tells whether it was running until now."""
        row = await self._database.fetch_one(self._queries["disable_endpoint"], tenant_id=tenant_id, id=id)
        return row is not None

    async def for_tenants(self, tenant_ids: Iterable[str]) -> dict[str, list[Endpoint]]:
        """Give the endpoints of each tenant, the disabled ones too, in one query."""
        rows = await self._database.fetch(self._queries["endpoints_of_tenants"], tenant_ids=sorted(set(tenant_ids)))
        by_tenant: dict[str, list[Endpoint]] = {}
        for row in rows:
            by_tenant.setdefault(row["tenant_id"], []).append(_endpoint(row))
        return by_tenant

    async def for_signing(self, keys: Iterable[EndpointKey]) -> dict[EndpointKey, SigningEndpoint]:
        """Give what attempts need of a set of endpoints, in one query; what is not there is left out."""
        asked = sorted(set(keys))
        rows = await self._database.fetch(
            self._queries["signing_endpoints"],
            tenant_ids=[tenant for tenant, _ in asked],
            ids=[id_ for _, id_ in asked],
            now=self._clock.now(),
        )
        return {(row["tenant_id"], row["id"]): self._signing(row) for row in rows}

    def _signing(self, row: Mapping[str, Any]) -> SigningEndpoint:
        try:
            secrets, unopened = self.secrets.opened(row["id"], row["sealed"]), ""
        except RowcastError as error:
            # Of this endpoint only: the others of the same answer are not to wait for it.
            secrets, unopened = (), error.code
        waits_s = row["retry_schedule_s"]
        return SigningEndpoint(
            row["id"],
            row["url"],
            secrets,
            row["disabled"],
            unopened,
            row["disabled_reason"] or "",
            row["failing_since"],
            None if waits_s is None else tuple(waits_s),
            row["log_level"],
            row["headers"],
            row["authentication"],
        )


def _endpoint(row: Mapping[str, Any]) -> Endpoint:
    types = row["event_types"]
    return Endpoint(
        id=row["id"],
        tenant_id=row["tenant_id"],
        url=row["url"],
        description=row["description"],
        event_types=None if types is None else tuple(types),
        is_disabled=row["disabled"],
        created_at=row["created_at"],
        changed_at=row["changed_at"],
        is_ordered=row["is_ordered"],
    )


def _found(row: Mapping[str, Any] | None) -> Endpoint:
    if row is None:
        raise _not_found()
    return _endpoint(row)


def _not_found() -> NotFoundError:
    return NotFoundError("There is no such endpoint of this tenant. `rowcast endpoints` lists them.")
