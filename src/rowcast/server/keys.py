"""Keys of the HTTP API: scoped, revocable, bound to a tenant or not. Only a hash is kept."""

import hashlib
import secrets
from collections.abc import Sequence
from datetime import datetime

import msgspec

from rowcast.core.errors import (
    AuthenticationError,
    InvalidInputError,
    NotFoundError,
    PermissionDeniedError,
)
from rowcast.core.topic import checked_tenant_id
from rowcast.store.pool import Session
from rowcast.store.sql import load_queries

SCOPES = (
    "events:read",
    "events:write",
    "outbox:publish",
    "deliveries:read",
    "deliveries:replay",
    "endpoints:read",
    "endpoints:write",
    "endpoints:secrets",
    "endpoints:rotate",
    "applications:write",
    "event_types:write",
    "realtime:read",
    "sources:read",
    "sources:write",
)
_PREFIX = "rk_"
_ID_BYTES = 9
_SECRET_BYTES = 24


class ApiKey(msgspec.Struct, frozen=True):
    """What is known of a key; never the key itself. `tenant_id` None means all tenants.

    A key that came from a link into the portal belongs to a `session`, be its name empty.
    """

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    tenant_id: str | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    session: str | None = None


class NewApiKey(msgspec.Struct, frozen=True):
    """A key that was just made, with its text: shown once."""

    id: str
    text: str


def hash_key(text: str) -> bytes:
    """Give the SHA-256 of a key. A key has 192 random bits, so a fast hash gives nothing away."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def checked_scopes(scopes: Sequence[str]) -> list[str]:
    """Give the scopes back if all exist.

    Raises:
        InvalidInputError: `input.scope`, naming those that exist.
    """
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise InvalidInputError(
            f"Unknown or missing scopes {unknown}. Choose from: {', '.join(SCOPES)}.", code="input.scope"
        )
    return sorted(set(scopes))


def new_key() -> NewApiKey:
    """Give the id and the text of a new key; it is in force once its hash is kept."""
    key_id = _PREFIX + secrets.token_hex(_ID_BYTES)
    return NewApiKey(key_id, f"{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}")


async def create_key(
    session: Session,
    *,
    name: str,
    scopes: Sequence[str],
    tenant_id: str | None = None,
    expires_at: datetime | None = None,
) -> NewApiKey:
    """Make a key and give its text, which nobody can read again.

    Raises:
        InvalidInputError: `input.scope`, `input.tenant`.
    """
    made = new_key()
    await session.execute(
        load_queries("rowcast.server")["create_key"],
        id=made.id,
        tenant_id=checked_tenant_id(tenant_id) if tenant_id is not None else None,
        name=name,
        hash=hash_key(made.text),
        scopes=checked_scopes(scopes),
        expires_at=expires_at,
    )
    return made


async def keep_key(session: Session, *, id: str, text: str, name: str, scopes: Sequence[str]) -> None:  # noqa: A002
    """Keep a key whose text is known from before: the same one again, or another text under the same id."""
    await session.execute(
        load_queries("rowcast.server")["keep_key"], id=id, name=name, hash=hash_key(text), scopes=checked_scopes(scopes)
    )


async def list_keys(session: Session) -> tuple[ApiKey, ...]:
    """Give all keys, oldest first."""
    rows = await session.fetch(load_queries("rowcast.server")["list_keys"])
    return tuple(msgspec.convert(dict(row), ApiKey) for row in rows)


async def revoke_key(session: Session, key_id: str) -> None:
    """End a key at once.

    Raises:
        NotFoundError: `input.not_found`, when no such key is in force.
    """
    if await session.fetch_one(load_queries("rowcast.server")["revoke_key"], id=key_id) is None:
        raise NotFoundError(f"No key {key_id!r} is in force. See 'rowcast keys list'.")


async def find_key(session: Session, text: str) -> ApiKey:
    """Give the key whose text this is. The look-up is by hash, so its time says nothing about other keys.

    Raises:
        AuthenticationError: `auth.key`, for an unknown, revoked or expired key.
    """
    row = await session.fetch_one(load_queries("rowcast.server")["find_key"], hash=hash_key(text))
    if row is None:
        raise AuthenticationError(
            "The API key is unknown, revoked or expired. Make one with 'rowcast keys create'.", code="auth.key"
        )
    return msgspec.convert(dict(row), ApiKey)


def require_scope(key: ApiKey, scope: str) -> None:
    """Refuse a key without `scope`.

    Raises:
        PermissionDeniedError: `auth.denied`.
    """
    if scope not in key.scopes:
        raise PermissionDeniedError(f"The API key {key.id} lacks the scope {scope}. Make a key that has it.")


def tenant_for(key: ApiKey, asked: str | None) -> str | None:
    """Give the tenant that a request is about: the key's own, or the one asked for when the key is for all.

    Raises:
        NotFoundError: `input.not_found`, when a tenant's key asks for another tenant: it must not learn which exist.
    """
    if key.tenant_id is None:
        return asked
    if asked is not None and asked != key.tenant_id:
        raise NotFoundError("There is no such thing for this API key.")
    return key.tenant_id


def named_tenant(key: ApiKey, asked: str | None) -> str:
    """Give the tenant of a request that needs one.

    Raises:
        InvalidInputError: `input.tenant_missing`, when the key is for all tenants and the request names none.
    """
    tenant = tenant_for(key, asked)
    if tenant is None:
        raise InvalidInputError("The API key is for all tenants. Name one as tenantId.", code="input.tenant_missing")
    return tenant
