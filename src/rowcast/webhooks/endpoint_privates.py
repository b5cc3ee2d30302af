"""What an endpoint keeps sealed beside its secrets: headers of the tenant's own, and how its receiver knows us."""

from collections.abc import Mapping, Sequence

import msgspec

from rowcast.core.codec import encode_json
from rowcast.egress.guard import Policy
from rowcast.store.pool import Session
from rowcast.store.sql import load_queries
from rowcast.webhooks.authentication import Authentication, authentication_bytes, parse_authentication
from rowcast.webhooks.custom_headers import checked_headers
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.sealing import KeyRing, Place, seal_context


class EndpointPrivates:
    """Headers and authentication of endpoints. Each call works in the session that it is given."""

    __slots__ = ("_policy", "_queries", "_ring")

    def __init__(self, *, ring: KeyRing, policy: Policy) -> None:
        """Seal with `ring`; `policy` judges the URLs that tokens are asked of."""
        self._ring = ring
        self._policy = policy
        self._queries = load_queries("rowcast.webhooks")

    async def headers(self, session: Session, endpoint: Endpoint) -> dict[str, str]:
        """Give the headers that are sent beside ours.

        Raises:
            ConfigError: `config.seal_key`, when the key that sealed them is not in the ring.
            StoreError: `store.sealed`.
        """
        document = await self._opened(session, endpoint, "endpoint_headers")
        return {} if document is None else msgspec.json.decode(document, type=dict[str, str])

    async def set_headers(self, session: Session, endpoint: Endpoint, headers: Mapping[str, str]) -> None:
        """Replace the headers.

        Raises:
            InvalidInputError: `input.header`.
        """
        document = encode_json(checked_headers(headers)) if headers else None
        await self._keep(session, endpoint, "endpoint_headers", document)

    async def change_headers(
        self, session: Session, endpoint: Endpoint, headers: Mapping[str, str], *, removed: Sequence[str]
    ) -> None:
        """Set some headers and remove others; a name is the same in upper and lower case.

        Raises:
            InvalidInputError: `input.header`.
        """
        gone = {name.lower() for name in (*headers, *removed)}
        kept = await self.headers(session, endpoint)
        kept = {name: value for name, value in kept.items() if name.lower() not in gone}
        await self.set_headers(session, endpoint, {**kept, **headers})

    async def authentication(self, session: Session, endpoint: Endpoint) -> Authentication | None:
        """Give how we make ourselves known beyond the signature, with what is secret of it.

        Raises:
            ConfigError: `config.seal_key`, when the key that sealed it is not in the ring.
            StoreError: `store.sealed`.
        """
        document = await self._opened(session, endpoint, "endpoint_authentication")
        return None if document is None else msgspec.json.decode(document, type=Authentication)

    async def set_authentication(self, session: Session, endpoint: Endpoint, document: bytes) -> None:
        """Replace it by what a JSON document says; `null` takes it away.

        Raises:
            InvalidInputError: `input.authentication`, `input.url` or `egress.blocked`.
        """
        said: bytes | None = None
        if document.strip() != b"null":
            policy = self._policy.for_tenant(endpoint.tenant_id)
            said = authentication_bytes(parse_authentication(document, policy=policy))
        await self._keep(session, endpoint, "endpoint_authentication", said)

    async def _opened(self, session: Session, endpoint: Endpoint, place: Place) -> bytes | None:
        query = self._queries[_READ[place]]
        row = await session.fetch_one(query, tenant_id=endpoint.tenant_id, id=endpoint.id)
        if row is None or row["sealed"] is None:
            return None
        return self._ring.open(row["sealed"], context=seal_context(place, endpoint.id))

    async def _keep(self, session: Session, endpoint: Endpoint, place: Place, document: bytes | None) -> None:
        sealed = None if document is None else self._ring.seal(document, context=seal_context(place, endpoint.id))
        query = self._queries[_WRITE[place]]
        await session.execute(query, tenant_id=endpoint.tenant_id, id=endpoint.id, sealed=sealed)


_READ = {"endpoint_headers": "sealed_headers", "endpoint_authentication": "sealed_authentication"}
_WRITE = {"endpoint_headers": "seal_headers", "endpoint_authentication": "seal_authentication"}
