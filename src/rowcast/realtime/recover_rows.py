"""Rows that were told once, as the broadcasts that tell them again."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from rowcast.core.envelope import Envelope
from rowcast.core.errors import InvalidTopicError
from rowcast.core.topic import parse_topic
from rowcast.realtime.messages import Broadcast, TopicKey
from rowcast.realtime.recover_cursor import Settled
from rowcast.realtime.sink import event_broadcasts

Told = Callable[[Envelope], Sequence[Broadcast]]
"""What sockets hear of an event: the same function for the live message and for its replay."""

Row = Mapping[str, Any]


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


def retold(rows: Iterable[Row], key: TopicKey, told: Told = event_broadcasts) -> list[tuple[int, Broadcast]]:
    """Give what the rows told on a topic, marked as told again, each with the number of its event."""
    found: list[tuple[int, Broadcast]] = []
    for row in rows:
        event = event_of(row)
        found += [
            (event.seq, msgspec.structs.replace(broadcast, meta=again(str(event.id))))
            for broadcast in told(event)
            if broadcast.key == key
        ]
    return found


def again(broadcast_id: str) -> bytes:
    """Give the `meta` of a broadcast that is told again."""
    return b'{"replayed":true,"id":"%b"}' % broadcast_id.encode()


def settled_by_topic(rows: Iterable[Row], told: Told = event_broadcasts) -> dict[TopicKey, list[Settled]]:
    """Give the settled events of each topic, in the order of the rows."""
    found: dict[TopicKey, list[Settled]] = {}
    for row in rows:
        event = event_of(row)
        for broadcast in told(event):
            found.setdefault(broadcast.key, []).append(Settled(event.seq, str(event.id)))
    return found
