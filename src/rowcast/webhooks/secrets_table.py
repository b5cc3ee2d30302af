"""The secrets of endpoints: one in use, and beside it old ones that sign until they end while receivers follow."""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, get_args

from rowcast.core.clock import Clock
from rowcast.core.errors import InvalidInputError, LimitExceededError, NotFoundError, RowcastError
from rowcast.core.telemetry import tell
from rowcast.store.pool import Database, Session
from rowcast.store.sql import load_queries
from rowcast.webhooks.sealing import KeyRing, seal_context
from rowcast.webhooks.signature import Scheme, checked_secret, new_secret, scheme_of, verification_key

GRACE_S = 86_400.0
GRACE_MOST_S = 604_800.0
OLD_SECRETS_LIMIT = 10


class SecretTable:
    """Secrets by endpoint, sealed by a key ring."""

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

    async def add(self, session: Session, *, tenant_id: str, endpoint_id: str, secret: str) -> None:
        """Put a secret into use, in the caller's transaction; the endpoint must have none in use.

        Raises:
            InvalidInputError: `input.secret`.
        """
        sealed = self._ring.seal(checked_secret(secret).encode(), context=_context(endpoint_id))
        await session.execute(self._queries["add_secret"], tenant_id=tenant_id, endpoint_id=endpoint_id, sealed=sealed)

    async def current(self, tenant_id: str, endpoint_id: str, *, session: Session | None = None) -> str:
        """Give what the receiver of an endpoint verifies with: `whsec_...`, or `whpk_...` where it signs with ed25519.

        Raises:
            NotFoundError: `input.not_found`.
            ConfigError: `config.seal_key`, when its key is not in the ring.
            StoreError: `store.sealed`.
        """
        row = await (session or self._database).fetch_one(
            self._queries["secret_in_use"], tenant_id=tenant_id, endpoint_id=endpoint_id
        )
        if row is None:
            raise _not_found()
        return verification_key(self._ring.open(row["sealed"], context=_context(endpoint_id)).decode())

    def opened(self, endpoint_id: str, sealed: Sequence[bytes]) -> tuple[str, ...]:
        """Give the secrets of an endpoint, the one in use first, from their sealed forms in that order.

        An old one that cannot be opened is passed over and told: the one in use signs all the same.

        Raises:
            ConfigError: `config.seal_key`, when the key of the one in use is not in the ring.
            StoreError: `store.sealed`, when the one in use is damaged.
        """
        context = _context(endpoint_id)
        secrets: list[str] = []
        for place, value in enumerate(sealed):
            try:
                secrets.append(self._ring.open(value, context=context).decode())
            except RowcastError as error:
                tell("secret.open_failed", code=error.code)
                if place == 0:
                    raise
        return tuple(secrets)

    async def rotate(
        self,
        tenant_id: str,
        endpoint_id: str,
        *,
        key: str | None = None,
        grace_s: float = GRACE_S,
        session: Session | None = None,
    ) -> str:
        """Put a new secret into use and give what verifies it; the old one signs too, for `grace_s` more seconds.

        Args:
            tenant_id: Whose endpoint it is.
            endpoint_id: Which one.
            key: `whsec_...` or `whsk_...`, which changes how the endpoint is signed for; None makes one of its kind.
            grace_s: 0 ends the old secret at once, 604,800 is the most.
            session: The transaction that it belongs to; None for one of its own.
        Raises:
            NotFoundError: `input.not_found`.
            InvalidInputError: `input.secret` or `input.grace`.
            LimitExceededError: `limit.secrets`, when ten old ones still sign.
        """
        if not 0 <= grace_s <= GRACE_MOST_S:
            raise InvalidInputError(f"The grace of a rotation is 0 to {GRACE_MOST_S:.0f} s.", code="input.grace")
        if session is None:
            async with self._database.transaction() as connection:
                return await self.rotate(tenant_id, endpoint_id, key=key, grace_s=grace_s, session=connection)
        place = {"tenant_id": tenant_id, "endpoint_id": endpoint_id}
        row = await session.fetch_one(self._queries["hold_endpoint"], **place)
        if row is None:
            raise _not_found()
        secret = checked_secret(key) if key else new_secret(self._noise, _scheme(row))
        await self._end_current(session, endpoint_id, grace_s)
        await self.add(session, **place, secret=secret)
        await session.execute(self._queries["set_scheme"], **place, scheme=scheme_of(secret))
        return verification_key(secret)

    async def sweep(self, *, most: int) -> int:
        """Remove secrets that have ended, at most so many; gives how many."""
        tag = await self._database.execute(self._queries["drop_ended_secrets"], now=self._clock.now(), most=most)
        return int(tag.split()[-1])

    async def _end_current(self, session: Session, endpoint_id: str, grace_s: float) -> None:
        now = self._clock.now()
        old = await session.fetch_one(self._queries["old_secrets"], endpoint_id=endpoint_id, now=now)
        assert old is not None  # it counts
        if grace_s and old["secrets"] >= OLD_SECRETS_LIMIT:
            raise LimitExceededError(
                f"{OLD_SECRETS_LIMIT} old secrets of this endpoint still sign. Wait until the first of them ends, or "
                "rotate without grace.",
                retry_after_s=(old["first_end"] - now).total_seconds(),
                code="limit.secrets",
            )
        ends_at = now + timedelta(seconds=grace_s)
        await session.execute(self._queries["end_secret"], endpoint_id=endpoint_id, expires_at=ends_at)


def _context(endpoint_id: str) -> str:
    return seal_context("endpoint_secret", endpoint_id)


def _scheme(row: Mapping[str, Any]) -> Scheme:
    found: Scheme = row["signature_scheme"]
    assert found in get_args(Scheme)  # the table's own check
    return found


def _not_found() -> NotFoundError:
    return NotFoundError("There is no such endpoint of this tenant. `rowcast endpoints list` names them.")
