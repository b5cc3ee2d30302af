"""The sink `webhooks`: one signed POST for each attempt."""

from collections.abc import Sequence

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.delivery import Delivery, Owed
from rowcast.core.envelope import Envelope
from rowcast.core.outcome import Outcome, Rejected, Retry
from rowcast.core.retry import RetryPolicy
from rowcast.core.sink import Sink
from rowcast.core.telemetry import tell
from rowcast.egress.client import EgressClient
from rowcast.webhooks.classify import is_gone, outcome_of
from rowcast.webhooks.endpoint import Endpoint, SigningEndpoint
from rowcast.webhooks.ids import message_id
from rowcast.webhooks.message import message_body
from rowcast.webhooks.reader import EndpointReader
from rowcast.webhooks.signature import signed_headers
from rowcast.webhooks.table import EndpointTable

EVERY_ENDPOINT = "*"
RETRY_POLICY = RetryPolicy(max_attempts=16, base_s=5.0, cap_s=86_400.0)
"""From 5 s to 23 h apart: about two days from the first attempt to the last."""


class WebhookSink:
    """Posts events to endpoints. The target is an endpoint's id, or `*` for every endpoint that wants the event."""

    __slots__ = ("_client", "_clock", "_reader", "_retry_policy", "_table")

    def __init__(
        self, *, table: EndpointTable, client: EgressClient, clock: Clock, retry_policy: RetryPolicy = RETRY_POLICY
    ) -> None:
        """Ask for what it needs."""
        self._table = table
        self._client = client
        self._clock = clock
        self._retry_policy = retry_policy
        self._reader = EndpointReader(table=table)

    @property
    def name(self) -> str:
        """Give `webhooks`."""
        return "webhooks"

    @property
    def retry_policy(self) -> RetryPolicy:
        """Give how often a delivery is tried."""
        return self._retry_policy

    async def targets(self, owed: Sequence[tuple[Envelope, Owed]]) -> Sequence[Sequence[Owed]]:
        """Give one thing owed for each endpoint meant, with one query for all of them."""
        tenants = {event.tenant_id for event, each in owed if each.target == EVERY_ENDPOINT}
        endpoints = await self._table.for_tenants(tenants) if tenants else {}
        return [_expanded(event, each, endpoints) for event, each in owed]

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Post once. A redirect, any other status than 2xx, and no answer in time are failures."""
        if delivery.event is None:
            return Rejected("no_event")
        endpoint = await self._reader.read(delivery.tenant_id, delivery.target)
        if endpoint is None:
            return Rejected("endpoint_gone")
        if endpoint.is_disabled:
            return Rejected("endpoint_disabled")
        if endpoint.unopened:
            # An operator's mistake, not the endpoint's: it is tried again when the key may be back.
            return Retry("secret_unopened", excerpt=endpoint.unopened)
        return await self._post(delivery.tenant_id, endpoint, delivery.event)

    async def _post(self, tenant_id: str, endpoint: SigningEndpoint, event: Envelope) -> Outcome:
        body = message_body(event)
        headers = signed_headers(
            endpoint.secrets,
            message_id=message_id(event.id),
            timestamp_s=int(self._clock.now().timestamp()),
            body=body,
        )
        answer = await self._client.post(endpoint.url, body, headers={"content-type": "application/json", **headers})
        if is_gone(answer) and await self._table.disable(tenant_id, endpoint.id):
            tell("webhook.endpoint_disabled", reason="http_410")
        return outcome_of(answer, now=self._clock.now())


def _expanded(event: Envelope, owed: Owed, endpoints: dict[str, list[Endpoint]]) -> list[Owed]:
    if owed.target != EVERY_ENDPOINT:
        return [owed]
    meant = [endpoint for endpoint in endpoints.get(event.tenant_id, ()) if endpoint.wants(event.event_type)]
    return [msgspec.structs.replace(owed, target=endpoint.id) for endpoint in meant]


_CONTRACT: type[Sink] = WebhookSink
