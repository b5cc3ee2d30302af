"""One post to one endpoint: signed, with the tenant's own headers, and known to its receiver as it asks."""

from datetime import datetime

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.envelope import Envelope
from rowcast.core.errors import InvalidInputError, RowcastError
from rowcast.core.outcome import Rejected, Retry
from rowcast.egress.client import EgressClient
from rowcast.egress.guard import Policy
from rowcast.egress.reply import Answer
from rowcast.egress.terms import NO_TERMS, Terms
from rowcast.webhooks.authentication import Authentication, Basic, ClientCertificate, OAuth2, basic_value
from rowcast.webhooks.endpoint import SigningEndpoint
from rowcast.webhooks.ids import message_id
from rowcast.webhooks.message_reader import Body, MessageReader
from rowcast.webhooks.sealing import KeyRing, seal_context
from rowcast.webhooks.signature import signed_headers
from rowcast.webhooks.token_source import TokenSource
from rowcast.webhooks.transformation import Transformation, transformed_body

_UNAUTHORIZED = 401


class Posted(msgspec.Struct, frozen=True):
    """What was sent, and what came back and when. Of `hidden` headers nobody sees the values."""

    url: str
    sent: dict[str, str]
    hidden: dict[str, str]
    answer: Answer
    at: datetime


class Poster:
    """Posts. What an endpoint keeps sealed is opened for each post, and forgotten after it."""

    __slots__ = ("_client", "_clock", "_messages", "_policy", "_ring", "_tokens")

    def __init__(
        self, *, client: EgressClient, clock: Clock, ring: KeyRing, policy: Policy, messages: MessageReader
    ) -> None:
        """Post through `client`; `policy` says which closed networks a tenant may reach."""
        self._client = client
        self._clock = clock
        self._messages = messages
        self._ring = ring
        self._policy = policy
        self._tokens = TokenSource(client=client, clock=clock)

    async def post(self, tenant_id: str, endpoint: SigningEndpoint, event: Envelope) -> Posted | Retry | Rejected:
        """Post once; an outcome where it came to nothing before anything was posted."""
        try:
            own, authentication = self._opened(endpoint)
        except RowcastError as error:
            # An operator's mistake, not the endpoint's: it is tried again when the key may be back.
            return Retry("secret_unopened", excerpt=error.code)
        try:
            body = await posted_body(self._messages, endpoint, event)
        except InvalidInputError as error:
            # The same message and the same template will not fit better later.
            return Rejected("transform_failed", excerpt=str(error))
        if body is None:
            return Rejected("expunged", is_cancelled=True)
        terms = self._terms(tenant_id, authentication)
        hidden = await self._hidden(tenant_id, own, authentication, terms)
        if isinstance(hidden, Retry):
            return hidden
        sent = {"content-type": body.content_type, **self._signed(endpoint, event, body.content)}
        answer = await self._client.post(endpoint.url, body.content, headers={**sent, **hidden}, terms=terms)
        if isinstance(authentication, OAuth2) and answer.status == _UNAUTHORIZED:
            self._tokens.forget(tenant_id, authentication, hidden["authorization"].removeprefix("Bearer "))
        return Posted(endpoint.url, sent, hidden, answer, self._clock.now())

    def _signed(self, endpoint: SigningEndpoint, event: Envelope, body: bytes) -> dict[str, str]:
        timestamp_s = int(self._clock.now().timestamp())
        return signed_headers(endpoint.secrets, message_id=message_id(event.id), timestamp_s=timestamp_s, body=body)

    def _opened(self, endpoint: SigningEndpoint) -> tuple[dict[str, str], Authentication | None]:
        own: dict[str, str] = {}
        authentication: Authentication | None = None
        if endpoint.sealed_headers is not None:
            document = self._ring.open(endpoint.sealed_headers, context=seal_context("endpoint_headers", endpoint.id))
            own = msgspec.json.decode(document, type=dict[str, str])
        if endpoint.sealed_authentication is not None:
            context = seal_context("endpoint_authentication", endpoint.id)
            document = self._ring.open(endpoint.sealed_authentication, context=context)
            authentication = msgspec.json.decode(document, type=Authentication)
        return own, authentication

    def _terms(self, tenant_id: str, authentication: Authentication | None) -> Terms:
        networks = self._policy.networks_of(tenant_id)
        identity = authentication.identity if isinstance(authentication, ClientCertificate) else None
        return Terms(networks, identity) if networks or identity else NO_TERMS

    async def _hidden(
        self, tenant_id: str, own: dict[str, str], authentication: Authentication | None, terms: Terms
    ) -> dict[str, str] | Retry:
        """Give the tenant's own headers and who we say we are, which wins over a header of the tenant's own."""
        match authentication:
            case Basic(username=username, password=password):
                return _with_authorization(own, basic_value(username, password))
            case OAuth2():
                token = await self._tokens.token(tenant_id, authentication, terms=terms)
                if token.problem:
                    return Retry("token_failed", excerpt=f"The token URL gave no token: {token.problem}.")
                return _with_authorization(own, f"Bearer {token.value}")
        return own


async def posted_body(messages: MessageReader, endpoint: SigningEndpoint, event: Envelope) -> Body | None:
    """Give what is posted of an event to an endpoint; what has no JSON of ours in it is never transformed.

    Returns:
        None where nothing is left of it.
    Raises:
        InvalidInputError: `input.transform`.
    """
    body = await messages.body(event)
    if body is None or body.is_raw or endpoint.transformation is None:
        return body
    return Body(transformed_body(event, msgspec.json.decode(endpoint.transformation, type=Transformation)))


def _with_authorization(own: dict[str, str], value: str) -> dict[str, str]:
    kept = {name: each for name, each in own.items() if name.lower() != "authorization"}
    return {**kept, "authorization": value}
