"""The contract that the five sinks fulfil. A sink does one attempt; the ledger decides what comes next."""

from collections.abc import Sequence
from typing import Protocol

from rowcast.core.delivery import Delivery, Owed
from rowcast.core.envelope import Envelope
from rowcast.core.outcome import Outcome
from rowcast.core.retry import RetryPolicy


class Sink(Protocol):
    """A durable kind of destination: each thing owed to it is a delivery row with lease, attempts and replay."""

    @property
    def name(self) -> str:
        """The word that rules and delivery rows use: `webhooks`, `jobs`, ..."""
        ...

    @property
    def retry_policy(self) -> RetryPolicy:
        """How often a delivery of this sink is tried when the delivery itself does not say."""
        ...

    async def targets(self, owed: Sequence[tuple[Envelope, Owed]]) -> Sequence[Sequence[Owed]]:
        """Give, for each pair in order, the concrete things owed: a rule may name a group such as all endpoints.

        An empty answer means that nobody wants it now. Called for committed events only, outside any transaction.
        """
        ...

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Do one attempt. The caller bounds its time and treats an exception as `Retry`."""
        ...


class LiveSink(Protocol):
    """A destination that is told at once and keeps no rows: the sockets."""

    @property
    def name(self) -> str:
        """The word that rules use: `realtime`."""
        ...

    async def tell(self, owed: Sequence[tuple[Envelope, Owed]]) -> None:
        """Hand committed events over, in order, before they are recorded as published. At least once."""
        ...
