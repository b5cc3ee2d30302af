"""Which broadcasts an event becomes."""

import json

import msgspec
import pytest

from rowcast.bus.memory import MemoryBus
from rowcast.core.delivery import Owed
from rowcast.core.errors import StoreUnavailableError
from rowcast.core.telemetry import listening
from rowcast.realtime.messages import Broadcast, Malformed, unpack_broadcasts
from rowcast.realtime.sink import RealtimeSink, event_broadcasts
from tests.protocol.events import order_confirmed, order_updated


def test_an_event_is_told_on_its_tenants_topic_and_on_its_modules() -> None:
    event = order_confirmed("acme")
    found = event_broadcasts(event)

    assert [(one.tenant_id, one.is_private, one.topic, one.event) for one in found] == [
        ("acme", True, "tenant:acme", "orders.confirmed"),
        ("acme", True, "tenant:acme:orders", "orders.confirmed"),
    ]
    assert json.loads(found[0].payload) == {
        "id": str(event.id),
        "version": 1,
        "tenantId": "acme",
        "aggregateType": "order",
        "aggregateId": "o1",
        "eventType": "orders.confirmed",
        "occurredAt": "2026-01-01T00:00:00Z",
        "payload": {"id": "o1", "total": "12.50"},
    }
    assert json.loads(found[0].meta) == {"id": str(event.id)}


def test_a_watched_row_is_told_on_its_own_topic_only_and_as_it_was_written() -> None:
    event = order_updated("acme", topic="orders:acme")
    (found,) = event_broadcasts(event)

    assert found == Broadcast("acme", True, "orders:acme", "UPDATE", bytes(event.payload), found.meta)
    assert json.loads(found.meta) == {"id": str(event.id)}


def test_an_event_with_a_topic_that_is_no_row_is_told_there_as_an_event() -> None:
    event = msgspec.structs.replace(order_confirmed("acme"), topic="vip")
    (found,) = event_broadcasts(event)

    assert (found.topic, found.event, found.is_private) == ("vip", "orders.confirmed", True)


def test_a_rule_may_name_another_topic_of_the_same_tenant() -> None:
    (found,) = event_broadcasts(order_confirmed("acme"), "kitchen")

    assert found.key == ("acme", True, "kitchen")


@pytest.mark.parametrize("topic", ["", "a\x00", "x" * 300])
def test_a_topic_that_cannot_be_joined_is_left_out_and_told_of(topic: str) -> None:
    told: list[str] = []
    with listening(lambda name, _: told.append(name)):
        found = event_broadcasts(order_updated("acme", topic=topic))

    assert (list(found), told) == ([], ["broadcast.dropped"])


async def test_a_batch_keeps_its_order_on_the_bus() -> None:
    bus, heard = MemoryBus(), []
    bus.subscribe("realtime", heard.append)
    events = [order_confirmed("acme"), order_updated("acme", topic="orders:acme"), order_confirmed("globex")]
    await RealtimeSink(bus=bus).tell([(event, Owed("realtime", "*")) for event in events])

    assert [one.topic for message in heard for one in told_in(message)] == [
        "tenant:acme",
        "tenant:acme:orders",
        "orders:acme",
        "tenant:globex",
        "tenant:globex:orders",
    ]


async def test_an_event_travels_once_for_both_of_its_topics() -> None:
    bus, heard = MemoryBus(), []
    bus.subscribe("realtime", heard.append)
    event = order_confirmed("acme")
    await RealtimeSink(bus=bus).tell([(event, Owed("realtime", "*"))])

    (message,) = heard
    assert told_in(message) == tuple(event_broadcasts(event))
    assert message.count(b'"eventType"') == 1


def told_in(message: bytes) -> tuple[Broadcast, ...]:
    found = unpack_broadcasts(message)
    assert not isinstance(found, Malformed)
    return found


async def test_a_bus_that_is_away_does_not_hold_up_the_batch() -> None:
    class Away(MemoryBus):
        async def publish(self, *_: object) -> None:
            raise StoreUnavailableError("away")

    told: list[str] = []
    with listening(lambda name, _: told.append(name)):
        await RealtimeSink(bus=Away()).tell([(order_confirmed("acme"), Owed("realtime", "*"))])

    assert told == ["realtime.bus_failed"]
