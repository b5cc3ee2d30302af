"""Rows that were told once, as the broadcasts that tell them again."""

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from rowcast.core.envelope import Envelope
from rowcast.core.errors import InvalidTopicError
from rowcast.core.stored_message import StoredMessage
from rowcast.core.topic import parse_topic
from rowcast.realtime.authorize import DEFAULT_TENANT
from rowcast.realtime.database_messages import message_broadcast
from rowcast.realtime.messages import Broadcast, TopicKey
from rowcast.realtime.recover_cursor import Settled
from rowcast.realtime.sink import event_broadcasts

Told = Callable[[Envelope], Sequence[Broadcast]]
"""What sockets hear of an event: the same function for the live message and for its replay."""

Row = Mapping[str, Any]
Again = tuple[str, Broadcast]
"""An id, by which two sources are put in order of time, and what is told again."""


class Candidates(msgspec.Struct, frozen=True):
    """Which events may belong to a topic, as a query can ask for them: by the event's own topic, or by its type."""

    topic: str
    types: str


def candidates(topic: str) -> Candidates:
    """Give which events may belong to `topic` where no rule names topics of its own."""
    try:
        module = parse_topic(topic).module
    except InvalidTopicError:
        return Candidates(topic, "")
    return Candidates(topic, "%" if module is None else module.replace("_", "\\_") + ".%")


def is_tenant_of_nameless(key: TopicKey) -> bool:
    """Tell whether a message on the topic that names no tenant is told to the tenant of `key`."""
    return key.tenant_id == _tenant_of_nameless(key.topic)


def event_of(row: Row) -> Envelope:
    """Give the event of a row of rowcast.event."""
    return Envelope(
        id=row["id"],
        tenant_id=row["tenant_id"],
        aggregate_type=row["aggregate_type"],
        aggregate_id=row["aggregate_id"],
        event_type=row["event_type"],
        version=row["version"],
        occurred_at=row["occurred_at"],
        payload=msgspec.Raw(row["payload"].encode()),
        traceparent=row["traceparent"],
        topic=row["topic"],
        seq=row["seq"],
    )


def message_of(row: Row) -> StoredMessage:
    """Give the message of a row of realtime.messages; without any payload it has an empty object."""
    binary, payload = row["binary_payload"], row["payload"]
    body = binary if binary is not None else (payload or "{}").encode()
    return StoredMessage(row["id"], row["topic"], row["event"], body, True, binary is not None, row["tenant_id"])


def events_again(rows: Iterable[Row], key: TopicKey, told: Told = event_broadcasts) -> list[Again]:
    """Give what events told on a topic, marked as told again."""
    return [
        _again(str(event.id), broadcast)
        for event in map(event_of, rows)
        for broadcast in told(event)
        if broadcast.key == key
    ]


def messages_again(rows: Iterable[Row], key: TopicKey) -> list[Again]:
    """Give what messages told on a topic, marked as told again."""
    told = [(message.id, message_broadcast(message)) for message in map(message_of, rows)]
    return [_again(name, broadcast) for name, broadcast in told if broadcast is not None and broadcast.key == key]


def merged(events: Sequence[Again], messages: Sequence[Again]) -> list[Broadcast]:
    """Give both in the order of time, oldest first, each source in its own order."""
    return [broadcast for _, broadcast in heapq.merge(events, messages, key=lambda again: again[0])]


def settled_events(rows: Iterable[Row], told: Told = event_broadcasts) -> dict[TopicKey, list[Settled]]:
    """Give the settled events of each topic, in the order of the rows."""
    found: dict[TopicKey, list[Settled]] = {}
    for row in rows:
        event = event_of(row)
        for broadcast in told(event):
            found.setdefault(broadcast.key, []).append(Settled(event.seq, str(event.id), row["is_published"]))
    return found


def settled_messages(rows: Iterable[Row]) -> dict[TopicKey, list[Settled]]:
    """Give the same of messages, numbered by their transaction."""
    found: dict[TopicKey, list[Settled]] = {}
    for row in rows:
        tenant_id = row["tenant_id"] or _tenant_of_nameless(row["topic"])
        settled = Settled(row["transaction_id"], row["id"])
        found.setdefault(TopicKey(tenant_id, True, row["topic"]), []).append(settled)
    return found


def _again(name: str, broadcast: Broadcast) -> Again:
    return name, msgspec.structs.replace(broadcast, meta=b'{"replayed":true,"id":"%b"}' % name.encode())


def _tenant_of_nameless(topic: str) -> str:
    try:
        return parse_topic(topic).tenant_id if topic.startswith("tenant:") else DEFAULT_TENANT
    except InvalidTopicError:
        return DEFAULT_TENANT
