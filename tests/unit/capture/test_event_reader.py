"""A row of the log becomes an envelope, whatever the order of its columns."""

import uuid
from datetime import UTC, datetime

import msgspec
import pytest

from rowcast.capture.event_reader import is_event_table, make_event_reader
from rowcast.capture.pgoutput import Column, Relation
from rowcast.core.envelope import Envelope
from rowcast.core.errors import StoreError
from tests.unit.capture.frames import EVENTS, event


def test_every_field_is_read_and_the_payload_is_carried_as_it_is() -> None:
    payload = b'{"a" :  [1, "\xc3\xa9"]}'

    read = make_event_reader(EVENTS)(event(5, payload).new)

    assert read == Envelope(
        uuid.UUID(int=5), "acme", "order", "o1", "orders.placed", 2, datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC),
        msgspec.Raw(payload), None, None, 5,
    )  # fmt: skip
    assert bytes(read.payload) == payload


def test_columns_are_found_by_name_and_further_ones_are_passed_over() -> None:
    turned = Relation(9, "rowcast", "event", "d", (Column("more", 25, False), *reversed(EVENTS.columns)))
    values = event(5).new

    assert make_event_reader(turned)([b"x", *reversed(values)]) == make_event_reader(EVENTS)(values)


def test_a_publication_that_leaves_a_column_out_is_refused_with_its_name() -> None:
    short = Relation(9, "rowcast", "event", "d", EVENTS.columns[:-1])

    with pytest.raises(StoreError, match="topic"):
        make_event_reader(short)


@pytest.mark.parametrize("place", range(9))
@pytest.mark.parametrize("wrong", [None, b"\xff\xfe", b""])
def test_a_row_that_is_no_event_is_refused_or_read_but_breaks_nothing_else(place: int, wrong: bytes | None) -> None:
    values = event(5).new
    values[place] = wrong

    try:
        make_event_reader(EVENTS)(values)
    except StoreError as error:
        assert error.code == "store.replication_message"


def test_only_the_outbox_is_the_outbox() -> None:
    assert is_event_table(EVENTS)
    assert not is_event_table(Relation(9, "public", "event", "d", ()))
    assert not is_event_table(Relation(9, "rowcast", "event_state", "d", ()))
