"""From frames to changed rows: in order, in pieces, each row with the shape that it had."""

from hypothesis import given
from hypothesis import strategies as st

from rowcast.capture.change_reading import ChangeReading
from rowcast.capture.pgoutput import (
    UNCHANGED,
    Begin,
    Column,
    Commit,
    Delete,
    Insert,
    Message,
    Relation,
    Truncate,
    Update,
)
from tests.unit.capture.frames import frame

ORDERS = Relation(3, "public", "orders", "d", (Column("id", 20, True), Column("note", 25, False)))
WIDER = Relation(3, "public", "orders", "d", (*ORDERS.columns, Column("extra", 23, False)))


def reading_of(*messages: Message) -> ChangeReading:
    reading = ChangeReading()
    reading.add(frame(message) for message in messages)
    return reading


def inserts(*numbers: int) -> list[Message]:
    return [Insert(ORDERS, [str(number).encode(), None]) for number in numbers]


def test_every_kind_of_change_is_read_with_the_time_of_its_commit() -> None:
    reading = reading_of(
        ORDERS,
        Begin(9, 77, 1),
        Insert(ORDERS, [b"1", None]),
        Update(ORDERS, None, [b"1", UNCHANGED]),
        Delete(ORDERS, [b"1", None]),
        Truncate((ORDERS,), False, False),
        Commit(9, 10, 77),
    )

    changes = reading.take(100)

    assert [row.operation for row in changes.rows] == ["INSERT", "UPDATE", "DELETE", "TRUNCATE"]
    assert {row.committed_at_us for row in changes.rows} == {77}
    assert changes.rows[1].new == [b"1", False]
    assert changes.xids == (1,)
    assert changes.rows[2].old == [b"1", None]
    assert [table.name for table in changes.tables] == ["orders"]
    assert (reading.settleable_lsn, reading.is_empty) == (10, True)


def test_a_large_transaction_comes_in_pieces_and_settles_at_its_end() -> None:
    reading = reading_of(ORDERS, Begin(9, 0, 1), *inserts(*range(5)), Commit(9, 10, 0))

    pieces = [[row.new for row in reading.take(2).rows] for _ in range(3)]

    assert [cells[0] for piece in pieces for cells in piece if cells] == [b"0", b"1", b"2", b"3", b"4"]
    assert [len(piece) for piece in pieces] == [2, 2, 1]
    assert (reading.settleable_lsn, reading.is_empty) == (10, True)


def test_a_piece_ends_after_about_a_megabyte() -> None:
    big = [Insert(ORDERS, [b"1", b"x" * 300_000]) for _ in range(10)]
    reading = reading_of(ORDERS, Begin(9, 0, 1), *big, Commit(9, 10, 0))

    assert len(reading.take(1000).rows) == 4


def test_each_row_has_the_shape_of_its_moment() -> None:
    reading = reading_of(
        ORDERS, *inserts(1), WIDER, Insert(WIDER, [b"2", None, b"5"]), WIDER, Insert(WIDER, [b"3", None, b"5"])
    )

    changes = reading.take(100)
    shapes = [changes.tables[row.table] for row in changes.rows]

    assert [len(shape.columns) for shape in shapes] == [2, 3, 3]
    assert len({shape.version for shape in shapes}) == 3


@given(st.lists(st.integers(0, 5), max_size=8), st.integers(1, 7))
def test_nothing_is_lost_or_doubled_however_large_the_pieces_are(sizes: list[int], limit: int) -> None:
    messages: list[Message] = [ORDERS]
    expected = []
    for lsn, size in enumerate(sizes, 1):
        numbers = [lsn * 10 + at for at in range(size)]
        expected += numbers
        messages += [Begin(lsn, 0, lsn), *inserts(*numbers), Commit(lsn, lsn, 0)]
    reading = reading_of(*messages)

    found = []
    while reading.waiting:
        found += [int(row.new[0]) for row in reading.take(limit).rows if row.new and isinstance(row.new[0], bytes)]

    assert found == expected
    assert reading.settleable_lsn == len(sizes)
