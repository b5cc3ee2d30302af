"""What a relay has its feed write, made by hand: for tests of feeds without a router."""

from collections.abc import Iterable

from rowcast.core.envelope import Envelope
from rowcast.outbox.feed import Record
from rowcast.outbox.publisher import NewState, record_of


def published(events: Iterable[Envelope]) -> Record:
    """Give the record of events that were published and owe nothing."""
    return record_of([NewState(event, "published") for event in events])


def failed(events: Iterable[Envelope], *, wait_s: float) -> Record:
    """Give the record of events that could not be routed and are due again later."""
    return record_of([NewState(event, "failed", "no", wait_s) for event in events])
