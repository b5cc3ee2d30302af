"""From frames to batches: whole transactions, cut only where they are larger than a batch."""

from hypothesis import given
from hypothesis import strategies as st

from rowcast.capture.pgoutput import Column, Insert, LogicalMessage, Relation
from rowcast.capture.reading import Reading
from tests.unit.capture.frames import EVENTS, frame, transaction


def reading_of(*frames: bytes) -> Reading:
    reading = Reading()
    reading.add([frame(EVENTS), *frames])
    return reading


def seqs(reading: Reading, limit: int = 100) -> list[int]:
    return [event.seq for event in reading.take(limit)]


def test_transactions_are_given_together_and_settle_up_to_the_last_one() -> None:
    reading = reading_of(*transaction(10, 1, 2), *transaction(20, 3))

    assert seqs(reading) == [1, 2, 3]
    assert reading.settleable_lsn == 20
    assert reading.is_empty


def test_a_transaction_whose_end_is_on_its_way_is_waited_for() -> None:
    first, *rest = [transaction(10, 1, 2)[:2], transaction(10, 1, 2)[2:]]
    reading = reading_of(*first)

    assert seqs(reading) == []
    assert not reading.is_empty
    reading.add(rest[0])
    assert seqs(reading) == [1, 2]
    assert reading.settleable_lsn == 10


def test_a_large_transaction_is_cut_and_settles_nothing_of_itself_before_its_end() -> None:
    reading = reading_of(*transaction(10, 1), *transaction(20, *range(2, 9)))

    assert seqs(reading, 3) == [1, 2, 3]
    assert (reading.settleable_lsn, reading.is_empty) == (10, False)
    assert seqs(reading, 3) == [4, 5, 6]
    assert reading.settleable_lsn == 10
    assert seqs(reading, 3) == [7, 8]
    assert (reading.settleable_lsn, reading.is_empty) == (20, True)


def test_the_commit_behind_a_full_batch_belongs_to_it() -> None:
    reading = reading_of(*transaction(10, 1, 2), *transaction(20, 3))

    assert seqs(reading, 2) == [1, 2]
    assert reading.settleable_lsn == 10


def test_big_payloads_end_a_batch_early() -> None:
    reading = reading_of(*transaction(10, *range(1, 301), payload=b'"' + b"x" * 65_000 + b'"'))

    first = seqs(reading, 1000)

    assert 100 < len(first) < 200
    assert first + seqs(reading, 1000) + seqs(reading, 1000) == list(range(1, 301))


def test_other_tables_and_messages_are_passed_over_and_settled() -> None:
    other = Relation(3, "public", "orders", "d", (Column("a", 25, True),))
    begin, commit = transaction(30)
    reading = reading_of(
        frame(other), begin, frame(Insert(other, [b"1"])), frame(LogicalMessage(False, 5, "heartbeat", b"")), commit
    )

    assert seqs(reading) == []
    assert (reading.settleable_lsn, reading.is_empty) == (30, True)


@given(st.lists(st.integers(0, 5), max_size=12), st.integers(1, 7), st.data())
def test_nothing_is_lost_doubled_or_settled_too_early_however_the_frames_arrive(
    sizes: list[int], limit: int, data: st.DataObject
) -> None:
    frames, ends, number = [frame(EVENTS)], {}, 0
    for place, size in enumerate(sizes, start=1):
        numbers = range(number + 1, number + size + 1)
        number += size
        frames += transaction(place * 10, *numbers)
        ends[place * 10] = number
    reading, given_out = Reading(), []
    while frames:
        count = data.draw(st.integers(1, len(frames)))
        reading.add(frames[:count])
        frames = frames[count:]
        while batch := seqs(reading, limit):
            assert len(batch) <= limit
            given_out += batch
            assert ends.get(reading.settleable_lsn, 0) <= len(given_out)

    assert given_out == list(range(1, number + 1))
    assert ends.get(reading.settleable_lsn, 0) == number
