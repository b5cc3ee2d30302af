"""The table of endpoints. Every statement names the tenant first."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rowcast.core.clock import Clock
from rowcast.core.codec import decode_json, encode_json
from rowcast.core.errors import InvalidInputError, LimitExceededError, NotFoundError, RowcastError
from rowcast.core.topic import checked_tenant_id
from rowcast.egress.guard import Policy, check_url
from rowcast.store.pool import Database, Session
from rowcast.store.sql import load_queries
from rowcast.webhooks.endpoint import Endpoint, SigningEndpoint
from rowcast.webhooks.endpoint_draft import EndpointChange, EndpointDraft, changed_draft, checked_draft, draft_of
from rowcast.webhooks.ids import NOISE_BYTES, endpoint_id
from rowcast.webhooks.secrets_table import SecretTable
from rowcast.webhooks.signature import checked_secret, new_secret, scheme_of
from rowcast.webhooks.transformation import Transformation

ENDPOINTS_MOST = 1000
_ROOM_AGAIN_S = 3600.0
PAGE_LIMIT = 251
"""One row more than a page of the API shows."""

EndpointKey = tuple[str, str]
"""Tenant and endpoint id."""


_LISTS = ("event_types", "channels", "retry_schedule_s")


class EndpointTable:
    """Endpoints by tenant. URLs are judged by the egress policy before they are kept."""

    __slots__ = ("_clock", "_database", "_most", "_noise", "_policy", "_queries", "secrets")

    def __init__(
        self,
        *,
        database: Database,
        policy: Policy,
        clock: Clock,
        secrets: SecretTable,
        noise: Callable[[int], bytes] = os.urandom,
        most: int = ENDPOINTS_MOST,
    ) -> None:
        """Ask for what it needs; `noise` gives that many random bytes, a tenant has `most` endpoints at most."""
        self._database = database
        self._policy = policy
        self._clock = clock
        self.secrets = secrets
        self._noise = noise
        self._most = most
        self._queries = load_queries("rowcast.webhooks")

    async def create(self, tenant_id: str, draft: EndpointDraft, *, session: Session | None = None) -> Endpoint:
        """Add an endpoint and give it; `secrets.current` gives its secret.

        Args:
            tenant_id: Whose it is.
            draft: What is said about it.
            session: The transaction that it belongs to; None for one of its own.
        Raises:
            InvalidInputError: `input.url`, `egress.blocked`, `input.event_pattern`, `input.secret` or `input.tenant`.
            InvalidFieldError: `input.field`.
            ConflictError: `input.conflict`, when the tenant has an endpoint of that uid.
            LimitExceededError: `limit.endpoints`, when the tenant has as many as it may have.
        """
        if session is None:
            async with self._database.transaction() as connection:
                return await self.create(tenant_id, draft, session=connection)
        secret = checked_secret(draft.secret) if draft.secret else new_secret(self._noise, draft.signature_scheme)
        row = {
            "tenant_id": checked_tenant_id(tenant_id),
            "id": endpoint_id(self._clock.now(), self._noise(NOISE_BYTES)),
            "signature_scheme": scheme_of(secret),
            "url": check_url(draft.url, self._policy.for_tenant(tenant_id)).text,
            **_columns(draft),
        }
        await self._check_room(session, tenant_id)
        made = _found(await session.fetch_one(self._queries["add_endpoint"], **row))
        await self.secrets.add(session, tenant_id=tenant_id, endpoint_id=made.id, secret=secret)
        return made

    async def _check_room(self, session: Session, tenant_id: str) -> None:
        """Every endpoint makes each message of its tenant dearer for all; two at once may pass the limit by one."""
        row = await session.fetch_one(self._queries["has_all_endpoints"], tenant_id=tenant_id, most=self._most)
        if row is not None and row["is_full"]:
            raise LimitExceededError(
                f"The tenant has {self._most} endpoints already. Remove one, or raise webhooks.endpoints_per_tenant.",
                retry_after_s=_ROOM_AGAIN_S,
                code="limit.endpoints",
            )

    async def get(self, tenant_id: str, name: str) -> Endpoint:
        """Give a tenant's endpoint by id or uid.

        Raises:
            NotFoundError: `input.not_found`, also for another tenant's endpoint.
        """
        return await self.named(self._database, tenant_id, name)

    async def find(self, session: Session, tenant_id: str, name: str, *, is_held: bool = False) -> Endpoint | None:
        """Give a tenant's endpoint by id or uid, or None; `is_held` lets nobody else change it in the meantime."""
        query = self._queries["named_endpoint_held" if is_held else "named_endpoint"]
        row = await session.fetch_one(query, tenant_id=tenant_id, name=name)
        return None if row is None else _endpoint(row)

    async def named(self, session: Session, tenant_id: str, name: str, *, is_held: bool = False) -> Endpoint:
        """Give a tenant's endpoint by id or uid; `is_held` lets nobody else change it in the meantime.

        Raises:
            NotFoundError: `input.not_found`, also for another tenant's endpoint.
        """
        found = await self.find(session, tenant_id, name, is_held=is_held)
        if found is None:
            raise _not_found()
        return found

    async def page(
        self,
        tenant_id: str,
        *,
        after: str = "",
        most: int = 50,
        is_falling: bool = False,
        session: Session | None = None,
    ) -> Sequence[Endpoint]:
        """Give a page of endpoints after the id `after`, oldest first or the other way round; at most 251."""
        rows = await (session or self._database).fetch(
            self._queries["list_endpoints"],
            tenant_id=tenant_id,
            after=after,
            is_falling=is_falling,
            most=min(most, PAGE_LIMIT),
        )
        return [_endpoint(row) for row in rows]

    async def update(
        self,
        tenant_id: str,
        id: str,  # noqa: A002 - the field's own name
        draft: EndpointDraft,
        *,
        session: Session | None = None,
    ) -> Endpoint:
        """Replace what is said about an endpoint, its secret excepted, and give it.

        Raises:
            NotFoundError: `input.not_found`.
            InvalidInputError: `input.url`, `egress.blocked` or `input.event_pattern`.
            InvalidFieldError: `input.field`.
            ConflictError: `input.conflict`, when another endpoint has that uid.
        """
        columns, place = _columns(draft), {"tenant_id": tenant_id, "id": id}
        session = session or self._database
        url = await self._kept_url(session, tenant_id, id, draft.url)
        return _found(await session.fetch_one(self._queries["update_endpoint"], **place, url=url, **columns))

    async def change(self, tenant_id: str, name: str, change: EndpointChange) -> Endpoint:
        """Change what is given of an endpoint, named by id or uid, and give it.

        Raises:
            NotFoundError: `input.not_found`.
            InvalidInputError: As `update` does.
        """
        async with self._database.transaction() as session:
            found = await self.named(session, tenant_id, name, is_held=True)
            draft = changed_draft(draft_of(found), change)
            return await self.update(tenant_id, found.id, draft, session=session)

    async def delete(self, tenant_id: str, id: str, *, session: Session | None = None) -> None:  # noqa: A002
        """Remove an endpoint.

        Raises:
            NotFoundError: `input.not_found`.
        """
        session = session or self._database
        if await session.fetch_one(self._queries["delete_endpoint"], tenant_id=tenant_id, id=id) is None:
            raise _not_found()

    async def transformation(self, session: Session, endpoint: Endpoint) -> Transformation:
        """Give the transformation of an endpoint, enabled or not; one without a template where there is none."""
        row = await session.fetch_one(
            self._queries["endpoint_transformation"], tenant_id=endpoint.tenant_id, id=endpoint.id
        )
        if row is None or row["transform"] is None:
            return Transformation()
        return decode_json(row["transform"], Transformation)

    async def set_transformation(self, session: Session, endpoint: Endpoint, made: Transformation) -> None:
        """Replace the transformation of an endpoint by one that was checked."""
        document = encode_json(made).decode()
        place = {"tenant_id": endpoint.tenant_id, "id": endpoint.id}
        await session.execute(self._queries["set_transformation"], **place, transform=document)

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

    async def _kept_url(self, session: Session, tenant_id: str, id: str, url: str) -> str:  # noqa: A002
        try:
            return check_url(url, self._policy.for_tenant(tenant_id)).text
        except InvalidInputError:
            # One that another policy let in may stay, or nobody could disable its endpoint; each post is judged.
            kept = await self.find(session, tenant_id, id)
            if kept is None or kept.url != url:
                raise
            return url

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
            row["transformation"],
        )


def _columns(draft: EndpointDraft) -> dict[str, Any]:
    checked_draft(draft)
    return {
        "uid": draft.uid,
        "description": draft.description,
        **{name: None if (value := getattr(draft, name)) is None else list(value) for name in _LISTS},
        "throttle_rate": draft.throttle_rate,
        "metadata": encode_json(draft.metadata).decode(),
        "version": draft.version,
        "disabled": draft.is_disabled,
        "is_ordered": draft.is_ordered,
        "log_level": draft.log_level,
    }


def _endpoint(row: Mapping[str, Any]) -> Endpoint:
    lists = {name: None if row[name] is None else tuple(row[name]) for name in _LISTS}
    return Endpoint(**{**row, **lists, "metadata": decode_json(row["metadata"])})


def _found(row: Mapping[str, Any] | None) -> Endpoint:
    if row is None:
        raise _not_found()
    return _endpoint(row)


def _not_found() -> NotFoundError:
    return NotFoundError("There is no such endpoint of this tenant. `rowcast endpoints list` names them.")
