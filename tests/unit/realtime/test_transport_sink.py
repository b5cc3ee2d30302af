"""Events that are owed to a transport: what is sent, under which id, and what shares a rate."""

import uuid
from collections.abc import Sequence

import msgspec
import pytest

from rowcast.core.delivery import Delivery, Owed
from rowcast.core.envelope import Envelope
from rowcast.core.outcome import Delivered, Outcome, Rejected, Retry
from rowcast.realtime.messages import Broadcast
from rowcast.realtime.transport_sink import TransportSink
from tests.protocol.events import order_confirmed, order_updated


class Recording:
    """A transport that keeps what it was given and says one thing."""

    name = "recording"

    def __init__(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.sent: list[tuple[str, list[str]]] = []

    async def send(self, message_id: str, broadcasts: Sequence[Broadcast]) -> Outcome:
        self.sent.append((message_id, [broadcast.topic for broadcast in broadcasts]))
        return self.outcome


def delivery(event: Envelope | None, target: str = "*") -> Delivery:
    due_at = order_confirmed("acme").occurred_at
    return Delivery(1, "acme", "recording", target, 1, 1, due_at, event_id=uuid.uuid4(), event=event)


@pytest.mark.parametrize("outcome", [Delivered(), Retry("away", after_s=3.0), Rejected("no_right")])
async def test_an_event_is_sent_under_its_own_id_each_time_and_the_outcome_is_the_transports(outcome: Outcome) -> None:
    transport, event = Recording(outcome), order_confirmed("acme")
    sink = TransportSink(transport=transport)

    assert [await sink.deliver(delivery(event)) for _ in range(2)] == [outcome] * 2
    assert transport.sent == [(str(event.id), ["tenant:acme", "tenant:acme:orders"])] * 2
    assert sink.name == "recording"


async def test_a_target_is_the_topic_to_use_instead() -> None:
    transport = Recording(Delivered())
    await TransportSink(transport=transport).deliver(delivery(order_confirmed("acme"), "kitchen"))

    assert transport.sent[0][1] == ["kitchen"]


@pytest.mark.parametrize(
    ("given", "target", "reason"),
    [(None, "*", "no_event"), (order_confirmed("acme"), "a\x00", "no_topic")],
)
async def test_what_has_no_event_or_no_topic_is_never_sent(given: Envelope | None, target: str, reason: str) -> None:
    transport = Recording(Delivered())

    assert await TransportSink(transport=transport).deliver(delivery(given, target)) == Rejected(reason)
    assert not transport.sent


async def test_what_goes_to_one_topic_shares_a_rate() -> None:
    plain, row = order_confirmed("acme"), order_updated("acme", topic="orders:acme")
    owed = [
        Owed("recording", "*"),
        Owed("recording", "*"),
        Owed("recording", "kitchen"),
        Owed("recording", "*", key="k"),
    ]
    pairs = list(zip((plain, row, row, plain), owed, strict=True))

    found = await TransportSink(transport=Recording(Delivered())).targets(pairs)

    assert [each.key for (each,) in found] == ["*", "orders:acme", "kitchen", "k"]
    assert [msgspec.structs.replace(each, key="") for (each,) in found[:3]] == owed[:3]
