"""Links into the portal: used once, short-lived, and traded for a key of one tenant that ends by itself."""

import secrets
from collections.abc import Sequence
from datetime import datetime

import msgspec

from rowcast.core.codec import decode_json, encode_json
from rowcast.core.errors import InvalidTokenError, PermissionDeniedError
from rowcast.server.keys import hash_key, new_key
from rowcast.store.pool import Connection, Session
from rowcast.store.sql import load_queries

LINK_S = 600.0
"""From the making of a link to its use: it is meant to be opened at once."""
KEY_LEAST_S = 3_600
KEY_MOST_S = 604_800
_PREFIX = "pl_"
_SECRET_BYTES = 24
_ROOM = "rowcast.server"


class PortalOptions(msgspec.Struct, frozen=True):
    """What a link opens: a key with these scopes, for so long, of this session."""

    scopes: tuple[str, ...]
    key_s: int = KEY_MOST_S
    session: str = ""


class PortalKey(msgspec.Struct, frozen=True):
    """The key that a link was traded for. Its text is shown once."""

    text: str
    tenant_id: str
    scopes: tuple[str, ...]
    expires_at: datetime


async def make_link(session: Session, tenant_id: str, options: PortalOptions) -> str:
    """Give the token of a new link; only its hash is kept."""
    token = _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
    await session.execute(
        load_queries(_ROOM)["add_portal_link"],
        hash=hash_key(token),
        tenant_id=tenant_id,
        options=encode_json(options).decode(),
        lives_s=LINK_S,
    )
    return token


async def use_link(connection: Connection, token: str) -> PortalKey:
    """Trade a link's token for a key, in one transaction.

    Raises:
        InvalidTokenError: `auth.token`, when it is unknown, was used, or has ended; these are told alike.
    """
    row = await connection.fetch_one(load_queries(_ROOM)["use_portal_link"], hash=hash_key(token))
    if row is None:
        raise InvalidTokenError("The link is unknown, was used before, or has ended. Ask for a new one.")
    options = decode_json(row["options"], PortalOptions)
    made = new_key()
    kept = await connection.fetch_one(
        load_queries(_ROOM)["create_portal_key"],
        id=made.id,
        tenant_id=row["tenant_id"],
        hash=hash_key(made.text),
        scopes=sorted(options.scopes),
        lives_s=float(options.key_s),
        session=options.session,
    )
    assert kept is not None
    return PortalKey(made.text, row["tenant_id"], options.scopes, kept["expires_at"])


async def end_key(session: Session, key_id: str) -> None:
    """End a key that came from a link.

    Raises:
        PermissionDeniedError: `auth.denied`, for any other key.
    """
    if await session.fetch_one(load_queries(_ROOM)["end_portal_key"], id=key_id) is None:
        raise PermissionDeniedError(
            "Only a key of the portal can be logged out. End others with 'rowcast keys revoke'."
        )


async def end_keys(
    session: Session, tenant_id: str, *, sessions: Sequence[str] | None = None, after_s: float = 0.0
) -> None:
    """End a tenant's keys that came from links, and its links, all or those of some sessions; keys after `after_s`."""
    chosen = None if sessions is None else list(sessions)
    await session.execute(load_queries(_ROOM)["end_portal_keys"], tenant_id=tenant_id, sessions=chosen, after_s=after_s)
    await session.execute(load_queries(_ROOM)["end_portal_links"], tenant_id=tenant_id, sessions=chosen)


async def drop_old_links(session: Session, *, most: int) -> int:
    """Remove links that ended a day ago, `most` at once, and give how many they were."""
    return len(await session.fetch(load_queries(_ROOM)["drop_portal_links"], most=most))
