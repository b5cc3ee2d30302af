"""Rows become the broadcasts that were heard live, marked as told again."""

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from rowcast.core.envelope import Envelope
from rowcast.realtime.messages import Broadcast, TopicKey
from rowcast.realtime.recover_cursor import Settled
from rowcast.realtime.recover_rows import (
    Candidates,
    candidates,
    event_of,
    events_again,
    is_tenant_of_nameless,
    merged,
    messages_again,
    settled_events,
    settled_messages,
)
from rowcast.realtime.sink import event_broadcasts

ID = uuid.UUID("0190aaaa-0000-7000-8000-000000000001")
WHOLE, MODULE = TopicKey("acme", True, "tenant:acme"), TopicKey("acme", True, "tenant:acme:orders")


def row(**more: Any) -> dict[str, Any]:
    return {
        "id": ID, "seq": 7, "tenant_id": "acme", "aggregate_type": "order", "aggregate_id": "o1",
        "event_type": "orders.confirmed", "version": 1, "occurred_at": datetime(2026, 1, 1, tzinfo=UTC),
        "payload": '{"id":"o1"}', "traceparent": None, "topic": None, "is_published": True, **more,
    }  # fmt: skip


@pytest.mark.parametrize("key", [WHOLE, MODULE])
def test_an_event_is_told_again_as_it_was_told_live(key: TopicKey) -> None:
    live = next(each for each in event_broadcasts(event_of(row())) if each.key == key)
    ((name, again),) = events_again([row()], key)

    assert name == str(ID)
    assert (again.payload, again.event, again.key) == (live.payload, live.event, live.key)
    assert again.meta == b'{"replayed":true,"id":"%b"}' % str(ID).encode()


def test_a_watched_row_is_told_again_on_its_own_topic_only() -> None:
    watched = row(topic="orders:acme", payload='{"operation":"UPDATE","record":{}}')

    assert [again.event for _, again in events_again([watched], TopicKey("acme", True, "orders:acme"))] == ["UPDATE"]
    assert events_again([watched], WHOLE) == []


def test_an_event_of_another_tenant_or_namespace_is_never_told_again_here() -> None:
    assert events_again([row()], TopicKey("globex", True, "tenant:acme")) == []
    assert events_again([row()], TopicKey("acme", False, "tenant:acme")) == []


def test_settled_events_are_sorted_by_topic_without_their_payload() -> None:
    found = settled_events([row(payload="null"), row(payload="null", topic="orders:acme", seq=8)])

    assert found == {
        WHOLE: [Settled(7, str(ID), is_told=True)],
        MODULE: [Settled(7, str(ID), is_told=True)],
        TopicKey("acme", True, "orders:acme"): [Settled(8, str(ID), is_told=True)],
    }


def test_a_rule_of_ones_own_says_where_an_event_is_told() -> None:
    def told(event: Envelope) -> tuple[Broadcast, ...]:
        return (Broadcast(event.tenant_id, True, "vip", event.event_type, b"{}"),)

    assert [again.topic for _, again in events_again([row()], TopicKey("acme", True, "vip"), told)] == ["vip"]


@pytest.mark.parametrize(
    ("topic", "types"),
    [
        ("tenant:acme", "%"),
        ("tenant:acme:order_lines", "order\\_lines.%"),
        ("orders:acme", ""),
        ("tenant:acme:-bad", ""),
    ],
)
def test_a_query_is_told_which_events_may_belong_to_a_topic(topic: str, types: str) -> None:
    assert candidates(topic) == Candidates(topic, types)


def message(**more: Any) -> dict[str, Any]:
    return {
        "id": "m1", "topic": "orders:acme", "event": "made", "payload": '{"x":1}', "binary_payload": None,
        "tenant_id": "acme", "transaction_id": 9, **more,
    }  # fmt: skip


ORDERS = TopicKey("acme", True, "orders:acme")


def test_a_message_of_the_database_is_told_again_as_it_was_told_live() -> None:
    ((_, again),) = messages_again([message()], ORDERS)

    assert (again.event, again.payload, again.form) == ("made", b'{"x":1}', "user")
    assert again.meta == b'{"replayed":true,"id":"m1"}'


def test_bytes_of_the_database_stay_bytes() -> None:
    ((_, again),) = messages_again([message(payload=None, binary_payload=b"\xff")], ORDERS)

    assert (again.payload, again.form) == (b"\xff", "binary")


@pytest.mark.parametrize(
    ("topic", "tenant_id"), [("orders:acme", "default"), ("tenant:acme:x", "acme"), ("tenant:", "default")]
)
def test_a_message_without_a_tenant_belongs_to_whom_its_topic_names_or_to_the_default(
    topic: str, tenant_id: str
) -> None:
    key = TopicKey(tenant_id, True, topic)

    assert [again.key for _, again in messages_again([message(topic=topic, tenant_id=None)], key)] == [key]
    assert settled_messages([message(topic=topic, tenant_id=None)]) == {key: [Settled(9, "m1")]}
    assert is_tenant_of_nameless(key)
    assert not is_tenant_of_nameless(TopicKey("globex", True, topic))


def test_both_sources_come_in_the_order_of_time() -> None:
    def again(name: str) -> tuple[str, Broadcast]:
        return name, Broadcast("acme", True, "t", name, b"{}")

    told = merged([again("01"), again("04")], [again("02"), again("03"), again("05")])

    assert [broadcast.event for broadcast in told] == ["01", "02", "03", "04", "05"]
