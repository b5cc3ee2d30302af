import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import pytest

from rowcast.core.errors import InvalidInputError, UnknownEventTypeError
from rowcast.core.event import Event, event_type
from rowcast.core.event_types import EventTypes
from rowcast.core.ids import uuid7
from rowcast.outbox.new_event import EventOptions, NewEvent, new_event

HERE = EventTypes()
AT = datetime(2026, 1, 1, tzinfo=UTC)


class Confirmed(Event, type="orders.confirmed", version=2, aggregate="order", key="order_id", catalogue=HERE):
    order_id: str


@event_type("orders.shipped", catalogue=HERE)
@dataclass
class Shipped:
    order_id: str


def made(event: Any, tenant_id: str = "acme", **options: Any) -> NewEvent:
    return new_event(event, tenant_id=tenant_id, catalogue=HERE, options=cast(EventOptions, options))


def test_an_instance_brings_its_type_version_and_aggregate() -> None:
    row = made(Confirmed(order_id="o-1"))

    assert (row.tenant_id, row.event_type, row.version) == ("acme", "orders.confirmed", 2)
    assert (row.aggregate_type, row.aggregate_id) == ("order", "o-1")
    assert bytes(row.payload) == b'{"order_id":"o-1"}'
    assert row.size_bytes == 18
    assert (row.id, row.occurred_at, row.traceparent) == (None, None, None)


def test_what_is_said_beside_the_event_overrules_its_key() -> None:
    event_id = uuid7(AT)

    row = made(Confirmed(order_id="o-1"), aggregate_id="other", id=event_id, occurred_at=AT, traceparent="00-x")

    assert row.as_text() == {
        "tenant_id": "acme", "event_type": "orders.confirmed", "version": 2, "payload": '{"order_id":"o-1"}',
        "aggregate_type": "order", "aggregate_id": "other", "id": str(event_id),
        "occurred_at": "2026-01-01T00:00:00+00:00", "traceparent": "00-x",
    }  # fmt: skip


def test_without_a_key_the_database_finds_the_aggregate() -> None:
    row = made(Shipped("o-1"))

    assert (row.aggregate_type, row.aggregate_id) == ("orders", None)


def test_a_mapping_says_its_type() -> None:
    assert made({"order_id": "o-1"}, type="orders.confirmed") == made(Confirmed(order_id="o-1"))


@pytest.mark.parametrize(
    ("event", "options", "code"),
    [
        ({"order_id": "o-1"}, {}, "input.event_type"),
        (Confirmed(order_id="o-1"), {"type": "orders.confirmed"}, "input.event_type"),
        (Confirmed(order_id="o-1"), {"version": 1}, "input.event_type"),
        ({"order_id": "o-1"}, {"type": "orders.confirmed", "version": 1}, "outbox.event_version"),
        ({"order_id": 1}, {"type": "orders.confirmed"}, "input.payload"),
        ({"order_id": "o-1", "typo": 1}, {"type": "orders.confirmed"}, "input.payload"),
        (Confirmed(order_id=cast(str, 1)), {}, "input.payload"),
        (Confirmed(order_id="\x00"), {}, "input.payload"),
        (Confirmed(order_id=""), {}, "input.aggregate_id"),
        (Confirmed(order_id="o-1"), {"id": uuid.UUID(int=4)}, "input.event_id"),
        (Confirmed(order_id="o-1"), {"id": str(uuid7(AT))}, "input.event_id"),
        (Confirmed(order_id="o-1"), {"occurred_at": AT.replace(tzinfo=None)}, "input.occurred_at"),
        (Confirmed(order_id="o-1"), {"tenant_id": ""}, "input.tenant_missing"),
        (Confirmed(order_id="o-1"), {"tenant_id": "a:b"}, "input.tenant"),
        (Confirmed(order_id="o-1"), {"aggregate_id": "a\0"}, "input.aggregate_id"),
    ],
)
def test_what_the_database_would_not_take_is_refused(event: Any, options: dict[str, Any], code: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        made(event, **options)

    assert refused.value.code == code


@pytest.mark.parametrize(("event", "options"), [(AT, {}), ({}, {"type": "orders.lost"}), ([1], {}), (None, {})])
def test_what_is_not_declared_is_refused_with_the_known_types(event: Any, options: dict[str, Any]) -> None:
    with pytest.raises(UnknownEventTypeError) as refused:
        made(event, **options)

    assert refused.value.known == ("orders.confirmed", "orders.shipped")
