"""A cursor moves only over what was received, or was never the topic's."""

from hypothesis import given
from hypothesis import strategies as st

from rowcast.realtime.recover_cursor import IN_FLIGHT_LIMIT, RECEIVED_LIMIT, Cursor, Mark, Position, Settled


def events(*seqs: int) -> list[Settled]:
    return [Settled(seq, f"e{seq}") for seq in seqs]


def at(from_seq: int, *received: str) -> Cursor:
    return Cursor.at(Position(from_seq, 0, received))


def advance(cursor: Cursor, settled: list[Settled], low_seq: int) -> None:
    cursor.advance(cursor.events, settled, bound=low_seq)


def test_an_acknowledgement_counts_everything_that_was_sent_before() -> None:
    cursor = at(1)
    for name in ("e1", "e2", "e3"):
        cursor.send(name)
    cursor.acknowledge("e2")

    assert list(cursor.received) == ["e1", "e2"]
    assert list(cursor.in_flight) == ["e3"]


def test_an_acknowledgement_of_what_was_never_sent_changes_nothing() -> None:
    cursor = at(1)
    cursor.send("e1")
    cursor.acknowledge("e9")

    assert not cursor.received
    assert not cursor.is_changed


def test_the_cursor_stops_at_the_first_event_that_was_not_received() -> None:
    cursor = at(1, "e2", "e5")
    advance(cursor, events(2, 4, 5), 9)

    assert (cursor.events.number, cursor.events.waits_for, list(cursor.received)) == (4, "e4", ["e5"])
    assert cursor.is_held(cursor.events)


def test_the_cursor_goes_to_the_bound_when_everything_of_its_topic_was_received() -> None:
    cursor = at(1, "e2", "e12")
    advance(cursor, events(2), 9)

    assert (cursor.events.number, cursor.events.waits_for, list(cursor.received)) == (9, None, ["e12"])


def test_an_event_that_is_received_late_lets_the_cursor_go_on() -> None:
    cursor = at(1)
    advance(cursor, events(4, 5), 9)
    cursor.send("e4")
    cursor.acknowledge("e4")

    assert not cursor.is_held(cursor.events)
    advance(cursor, events(4, 5), 9)
    assert cursor.events.waits_for == "e5"


def test_what_was_received_and_is_sent_again_is_on_its_way_again() -> None:
    cursor = at(1, "e2")
    cursor.send("e2")
    advance(cursor, events(2), 9)

    assert cursor.events.number == 2


def test_what_a_dead_socket_was_sent_first_counts_only_when_the_new_one_has_it() -> None:
    cursor = at(1)
    cursor.send("live")
    cursor.send("replayed")
    cursor.send("live")
    cursor.acknowledge("replayed")

    assert list(cursor.received) == ["replayed"]


def test_a_new_socket_begins_from_whichever_is_further_and_with_nothing_on_its_way() -> None:
    cursor = Cursor(Mark(5, "e5"), Mark(3), {"e7": None}, {"e8": None})
    cursor.resume(Position(6, 2, ("e9",)))

    assert cursor == Cursor(Mark(6), Mark(3), {"e7": None, "e9": None})


def test_what_is_remembered_is_bounded_and_forgetting_never_counts_as_received() -> None:
    cursor = at(1)
    for number in range(IN_FLIGHT_LIMIT + 3):
        cursor.send(f"e{number}")
    cursor.acknowledge(f"e{IN_FLIGHT_LIMIT + 2}")
    for number in range(5):
        cursor.send(f"later{number}")
        cursor.acknowledge(f"later{number}")

    assert len(cursor.received) == RECEIVED_LIMIT
    assert "e1" not in cursor.received
    assert "later4" in cursor.received


def test_a_position_is_what_a_cursor_resumes_from() -> None:
    cursor = Cursor(Mark(5), Mark(3), {"e7": None}, {"e8": None})

    assert cursor.position() == Position(5, 3, ("e7",))


@given(
    topic=st.sets(st.integers(1, 40)),
    heard=st.sets(st.integers(1, 40)),
    bounds=st.lists(st.integers(1, 41), max_size=6),
)
def test_whatever_was_not_received_stays_at_or_above_the_cursor(
    topic: set[int], heard: set[int], bounds: list[int]
) -> None:
    cursor = at(1)
    for seq in sorted(topic & heard):
        cursor.send(f"e{seq}")
        cursor.acknowledge(f"e{seq}")
    for low_seq in sorted(bounds):
        advance(cursor, [event for event in events(*sorted(topic)) if event.number < low_seq], low_seq)
    again = {seq for seq in topic if seq >= cursor.events.number and f"e{seq}" not in cursor.received}

    assert again == topic - heard


def test_messages_of_one_transaction_stay_together_until_all_of_them_were_received() -> None:
    cursor, told = at(1, "m1", "m3"), [Settled(7, "m1"), Settled(7, "m2"), Settled(8, "m3")]
    cursor.advance(cursor.messages, told, bound=9)

    assert (cursor.messages, list(cursor.received)) == (Mark(7, "m2"), ["m1", "m3"])
    cursor.send("m2")
    cursor.acknowledge("m2")
    cursor.advance(cursor.messages, told, bound=9)
    assert (cursor.messages, list(cursor.received)) == (Mark(9), [])
    assert cursor.events == Mark(1)


def test_what_holds_a_mark_may_be_looked_up_again() -> None:
    cursor = at(1)
    advance(cursor, events(4), 9)
    cursor.look_again()

    assert not cursor.is_held(cursor.events)


def test_what_went_out_and_is_neither_received_nor_on_its_way_is_a_gap() -> None:
    cursor = at(1)
    advance(cursor, [Settled(4, "e4", is_told=True)], 9)

    assert cursor.gap() == "e4"
    cursor.send("e4")
    assert cursor.gap() is None
    cursor.acknowledge("e4")
    assert cursor.gap() is None


def test_what_has_not_gone_out_yet_is_no_gap() -> None:
    cursor = at(1)
    advance(cursor, [Settled(4, "e4")], 9)

    assert cursor.gap() is None
