"""Who is meant by a batch of events: endpoints by type and channel, and from when on. Two questions for all of them."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.delivery import Owed, ordered_key
from rowcast.core.envelope import Envelope
from rowcast.webhooks.endpoint import Endpoint
from rowcast.webhooks.message_reader import NO_TERMS, MessageReader, Terms
from rowcast.webhooks.table import EndpointTable

EVERY_ENDPOINT = "*"


class FanOut:
    """Turns what rules owe into what is owed to single endpoints."""

    __slots__ = ("_clock", "_messages", "_table")

    def __init__(self, *, table: EndpointTable, messages: MessageReader, clock: Clock) -> None:
        """Ask for what it needs."""
        self._table = table
        self._messages = messages
        self._clock = clock

    async def targets(self, owed: Sequence[tuple[Envelope, Owed]]) -> Sequence[Sequence[Owed]]:
        """Give one thing owed for each endpoint meant, event by event.

        Raises:
            StoreError: The database cannot say now.
        """
        endpoints = await self._table.for_tenants({event.tenant_id for event, _ in owed})
        terms = await self._messages.terms({event.id for event, _ in owed if event.tenant_id in endpoints})
        now = self._clock.now()
        return [
            expanded(event, each, endpoints.get(event.tenant_id, []), delayed(terms, event, now))
            for event, each in owed
        ]


def expanded(event: Envelope, owed: Owed, endpoints: Sequence[Endpoint], terms: tuple[Terms, float]) -> list[Owed]:
    """Give what is owed to each endpoint that is meant; a rule that names one means it, whatever it chooses.

    Args:
        event: What happened.
        owed: What a rule owes for it.
        endpoints: Those of its tenant, the disabled ones too.
        terms: What was said of the message, and for how many seconds it is held back.
    """
    (said, delay_s) = terms
    later = msgspec.structs.replace(owed, delay_s=max(owed.delay_s, delay_s)) if delay_s > 0.0 else owed
    if owed.target == EVERY_ENDPOINT:
        meant = [each for each in endpoints if each.wants(event.event_type) and hears(each, said)]
        return [_owed_to(endpoint, later) for endpoint in meant]
    named = next((endpoint for endpoint in endpoints if endpoint.id == owed.target), None)
    return [later if named is None else _owed_to(named, later)]


def hears(endpoint: Endpoint, terms: Terms) -> bool:
    """Tell whether a message is for an endpoint: one without channels gets all, another those of its channels."""
    return endpoint.channels is None or not terms.channels.isdisjoint(endpoint.channels)


def delayed(terms: Mapping[uuid.UUID, Terms], event: Envelope, now: datetime) -> tuple[Terms, float]:
    """Give what was said of a message, and for how many seconds it is held back."""
    said = terms.get(event.id, NO_TERMS)
    wait_s = 0.0 if said.deliver_at is None else (said.deliver_at - now).total_seconds()
    return said, max(0.0, wait_s)


def _owed_to(endpoint: Endpoint, owed: Owed) -> Owed:
    # A key of the rule's own would part one endpoint's limits and breaker into several.
    key = ordered_key(endpoint.id) if endpoint.is_ordered else endpoint.id
    return msgspec.structs.replace(owed, target=endpoint.id, key=key)
