"""The sink `webhooks`: one signed POST for each attempt."""

from collections.abc import Sequence

import msgspec

from rowcast.core.delivery import Delivery, Owed
from rowcast.core.envelope import Envelope
from rowcast.core.errors import InvalidInputError, StoreError
from rowcast.core.outcome import Delivered, Outcome, Postponed, Rejected, Retry
from rowcast.core.retry import RetryPolicy
from rowcast.core.sink import Sink
from rowcast.egress.guard import parse_url
from rowcast.webhooks.aftermath import Aftermath
from rowcast.webhooks.attempt_detail import attempt_detail
from rowcast.webhooks.classify import outcome_of
from rowcast.webhooks.endpoint import SigningEndpoint
from rowcast.webhooks.fan_out import FanOut
from rowcast.webhooks.host_breakers import HostBreakers
from rowcast.webhooks.poster import Posted, Poster
from rowcast.webhooks.reader import EndpointReader
from rowcast.webhooks.retry_rules import RetryRules

_STORE_WAIT_S = 5.0


class WebhookSink:
    """Posts events to endpoints. The target is an endpoint's id, or `*` for every endpoint that wants the event."""

    __slots__ = ("_aftermath", "_fan_out", "_hosts", "_poster", "_reader", "_rules")

    def __init__(
        self,
        *,
        fan_out: FanOut,
        reader: EndpointReader,
        poster: Poster,
        aftermath: Aftermath,
        hosts: HostBreakers,
        rules: RetryRules,
    ) -> None:
        """Ask for what it needs."""
        self._fan_out = fan_out
        self._reader = reader
        self._poster = poster
        self._aftermath = aftermath
        self._hosts = hosts
        self._rules = rules

    @property
    def name(self) -> str:
        """Give `webhooks`."""
        return "webhooks"

    @property
    def retry_policy(self) -> RetryPolicy:
        """Give how often a delivery is tried where neither endpoint nor rule says otherwise."""
        return self._rules.default

    async def targets(self, owed: Sequence[tuple[Envelope, Owed]]) -> Sequence[Sequence[Owed]]:
        """Give one thing owed for each endpoint meant.

        A disabled endpoint is owed its messages too: they are cancelled when due, so that a recovery finds them.
        """
        return await self._fan_out.targets(owed)

    async def read_ahead(self, deliveries: Sequence[Delivery]) -> None:
        """Read the endpoints of deliveries that were just claimed: what `SinkOptions.prepare` asks."""
        await self._reader.ahead(deliveries)

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Post once. A redirect, any other status than 2xx, and no answer in time are failures.

        Where our own database is away nothing is posted, and no attempt is counted: no message dies of it.
        """
        if delivery.event is None:
            return Rejected("no_event")
        try:
            return await self._deliver(delivery, delivery.event)
        except StoreError:
            return Postponed(_STORE_WAIT_S, "store")

    async def _deliver(self, delivery: Delivery, event: Envelope) -> Outcome:
        endpoint = await self._reader.read(delivery.tenant_id, delivery.target)
        if endpoint is None:
            return Rejected("endpoint_gone")
        if endpoint.is_disabled:
            return Rejected("endpoint_disabled", excerpt=endpoint.disabled_reason, is_cancelled=True)
        policy = self._rules.policy(delivery.tenant_id, event.event_type, own_waits_s=endpoint.retry_schedule_s)
        outcome = await self._attempt(delivery, event, endpoint)
        if isinstance(outcome, Retry):
            outcome = msgspec.structs.replace(outcome, policy=policy)
        await self._aftermath.follow(delivery, endpoint, outcome, policy)
        return outcome

    async def _attempt(self, delivery: Delivery, event: Envelope, endpoint: SigningEndpoint) -> Outcome:
        if endpoint.unopened:
            # An operator's mistake, not the endpoint's: it is tried again when the key may be back.
            return Retry("secret_unopened", excerpt=endpoint.unopened)
        try:
            url = parse_url(endpoint.url)
        except InvalidInputError as error:
            # Saved before the guard knew it: no attempt will ever be made.
            return Rejected("egress_invalid", excerpt=str(error))
        # With its port: who posts to a closed one must not hold up those who post to the open one beside it.
        host = f"{url.host}:{url.port}"
        wait_s = self._hosts.wait_s(host)
        if wait_s is not None:
            return Postponed(wait_s, "host")
        posted: Posted | Retry | Rejected | None = None
        try:
            posted = await self._poster.post(delivery.tenant_id, endpoint, event)
        finally:
            if isinstance(posted, Posted):
                self._hosts.learn(host, posted.answer)
            else:
                self._hosts.give_up(host)
        if not isinstance(posted, Posted):
            return posted
        self._aftermath.slow_down(delivery, posted.answer)
        return _with_detail(outcome_of(posted.answer, now=posted.at), endpoint, posted)


def _with_detail(outcome: Outcome, endpoint: SigningEndpoint, posted: Posted) -> Outcome:
    """Give the outcome with what a person may see of it; nothing of a success where only failures are kept."""
    if isinstance(outcome, Postponed):
        return outcome
    if isinstance(outcome, Delivered) and endpoint.log_level == "failures":
        return msgspec.structs.replace(outcome, excerpt="")
    detail = attempt_detail(posted.url, sent=posted.sent, hidden=posted.hidden, answer=posted.answer)
    return msgspec.structs.replace(outcome, detail=detail)


_CONTRACT: type[Sink] = WebhookSink
