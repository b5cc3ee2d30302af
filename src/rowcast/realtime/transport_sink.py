"""The sink of a transport of another company: committed events become broadcasts on its channels, durably owed."""

from collections.abc import Sequence

import msgspec

from rowcast.core.delivery import Delivery, Owed
from rowcast.core.envelope import Envelope
from rowcast.core.outcome import Outcome, Rejected
from rowcast.core.retry import RetryPolicy
from rowcast.core.sink import Sink
from rowcast.realtime.sink import OWN_TOPICS, event_broadcasts
from rowcast.realtime.transport import Transport

RETRY_POLICY = RetryPolicy(max_attempts=9, base_s=1.0, cap_s=60.0)
"""About four minutes: what is told live is of no use much later, and dead letters can be replayed."""


class TransportSink:
    """Sends each event once more under the same id when it must. The target is a topic, or `*` for the event's own."""

    __slots__ = ("_retry_policy", "_transport")

    def __init__(self, *, transport: Transport, retry_policy: RetryPolicy = RETRY_POLICY) -> None:
        """Send by `transport`."""
        self._transport = transport
        self._retry_policy = retry_policy

    @property
    def name(self) -> str:
        """Give the transport's word."""
        return self._transport.name

    @property
    def retry_policy(self) -> RetryPolicy:
        """Give how often a delivery is tried."""
        return self._retry_policy

    async def targets(self, owed: Sequence[tuple[Envelope, Owed]]) -> Sequence[Sequence[Owed]]:
        """Give each as it is owed; those of one topic share a rate."""
        return [(msgspec.structs.replace(each, key=each.key or _key(event, each)),) for event, each in owed]

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Send the broadcasts of one event."""
        if delivery.event is None:
            return Rejected("no_event")
        broadcasts = event_broadcasts(delivery.event, delivery.target)
        if not broadcasts:
            return Rejected("no_topic")
        return await self._transport.send(str(delivery.event.id), broadcasts)


def _key(event: Envelope, owed: Owed) -> str:
    return (event.topic if owed.target == OWN_TOPICS else None) or owed.target


_CONTRACT: type[Sink] = TransportSink
