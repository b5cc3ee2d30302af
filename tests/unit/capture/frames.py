"""Frames of a stream of events, for the tests of reading."""

import uuid

from rowcast.capture.event_reader import EVENT_COLUMNS
from rowcast.capture.pgoutput import Begin, Column, Commit, Insert, Message, Relation
from tests.unit.capture.encoder import encode

EVENTS = Relation(9, "rowcast", "event", "d", tuple(Column(name, 25, name == "id") for name in EVENT_COLUMNS))


def frame(told: Message) -> bytes:
    return b"w" + b"\0" * 24 + encode(told)


def event(number: int, payload: bytes = b'{"a": 1}') -> Insert:
    id_ = str(uuid.UUID(int=number)).encode()
    seq = str(number).encode()
    values = [
        id_,
        seq,
        b"acme",
        b"order",
        b"o1",
        b"orders.placed",
        b"2",
        b"2026-01-02 03:04:05.678+00",
        payload,
        None,
        None,
    ]
    return Insert(EVENTS, values)  # type: ignore[arg-type]


def transaction(end_lsn: int, *numbers: int, payload: bytes = b"{}") -> list[bytes]:
    inner = [frame(event(number, payload)) for number in numbers]
    return [frame(Begin(end_lsn - 1, 7, 1)), *inner, frame(Commit(end_lsn - 1, end_lsn, 7))]
