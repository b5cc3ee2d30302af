"""The table of endpoints. Every statement names the tenant first."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.errors import NotFoundError
from rowcast.core.topic import checked_tenant_id
from rowcast.egress.guard import Policy, check_url
from rowcast.store.pool import Database
from rowcast.store.sql import load_queries
from rowcast.webhooks.endpoint import Endpoint, SigningEndpoint, checked_event_types
from rowcast.webhooks.ids import NOISE_BYTES, endpoint_id
from rowcast.webhooks.signature import new_secret, secret_key

PAGE_LIMIT = 250

EndpointKey = tuple[str, str]
"""Tenant and endpoint id."""


class EndpointDraft(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tenant says about an endpoint. `event_types` None means every type; `secret` empty means a new one."""

    url: str
    description: str = ""
    event_types: tuple[str, ...] | None = None
    is_disabled: bool = False
    secret: str = ""


class EndpointTable:
    """Endpoints by tenant. URLs are judged by the egress policy before they are kept."""

    __slots__ = ("_clock", "_database", "_noise", "_policy", "_queries")

    def __init__(
        self, *, database: Database, policy: Policy, clock: Clock, noise: Callable[[int], bytes] = os.urandom
    ) -> None:
        """Ask for what it needs; `noise` gives that many random bytes."""
        self._database = database
        self._policy = policy
        self._clock = clock
        self._noise = noise
        self._queries = load_queries("rowcast.webhooks")

    async def create(self, tenant_id: str, draft: EndpointDraft) -> Endpoint:
        """Add an endpoint and give it; `secret` gives its secret.

        Raises:
            InvalidInputError: `input.url`, `egress.blocked`, `input.event_pattern`, `input.secret` or `input.tenant`.
        """
        if draft.secret:
            secret_key(draft.secret)
        row = await self._database.fetch_one(
            self._queries["add_endpoint"],
            tenant_id=checked_tenant_id(tenant_id),
            id=endpoint_id(self._clock.now(), self._noise(NOISE_BYTES)),
            url=check_url(draft.url, self._policy).text,
            description=draft.description,
            event_types=checked_event_types(draft.event_types),
            secret=draft.secret or new_secret(self._noise),
        )
        return _found(row)

    async def get(self, tenant_id: str, id: str) -> Endpoint:  # noqa: A002 - the field's own name
        """Give one endpoint.

        Raises:
            NotFoundError: `input.not_found`, also for another tenant's endpoint.
        """
        return _found(await self._database.fetch_one(self._queries["get_endpoint"], tenant_id=tenant_id, id=id))

    async def secret(self, tenant_id: str, id: str) -> str:  # noqa: A002 - the field's own name
        """Give the secret of one endpoint.

        Raises:
            NotFoundError: `input.not_found`.
        """
        row = await self._database.fetch_one(self._queries["get_secret"], tenant_id=tenant_id, id=id)
        if row is None:
            raise _not_found()
        return str(row["secret"])

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
            url=check_url(draft.url, self._policy).text,
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
        """Give the running endpoints of each tenant, in one query."""
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
        )
        return {(row["tenant_id"], row["id"]): _signing(row) for row in rows}


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
    )


def _signing(row: Mapping[str, Any]) -> SigningEndpoint:
    return SigningEndpoint(row["id"], row["url"], (row["secret"],), row["disabled"])


def _found(row: Mapping[str, Any] | None) -> Endpoint:
    if row is None:
        raise _not_found()
    return _endpoint(row)


def _not_found() -> NotFoundError:
    return NotFoundError("There is no such endpoint of this tenant. `rowcast endpoints` lists them.")
