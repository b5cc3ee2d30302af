"""What must be asked about rows, and who is told what."""

import json

from rowcast.core.row_change import ChangedRow, RowChanges
from rowcast.realtime.change_index import Audience
from rowcast.realtime.changes_found import Deletes, filter_questions, find_all, tell_all, visibility_questions
from rowcast.realtime.changes_view import ChangeView
from tests.unit.realtime.change_rows import ANON, TABLE, Receiver, asked, delete, insert, subscribe, view

OTHER = Audience("anon", b'{"sub":"2"}')


def found_of(made: ChangeView[Receiver], *rows: ChangedRow) -> list:  # type: ignore[type-arg]
    return find_all(RowChanges((TABLE,), list(rows)), [(made,)])  # type: ignore[arg-type]


def test_until_the_database_has_answered_nobody_sees_a_row() -> None:
    made, receiver = view(is_guarded=True, is_checked=True), Receiver()
    subscribe(made, receiver, asked())
    found = found_of(made, insert(b"1", None), insert(b"2", None))

    (question,) = visibility_questions(found, deletes="told")
    assert tell_all(found) == 0
    question.note(frozenset({1}))

    assert question.keys() == [["1"], ["2"]]
    assert tell_all(found) == 1
    assert json.loads(receiver.heard[0][1])["record"]["id"] == 2


def test_one_question_is_asked_for_each_audience() -> None:
    made = view(is_guarded=True, is_checked=True)
    for audience in (ANON, ANON, OTHER):
        subscribe(made, Receiver(), asked(audience=audience), asked(2, "id=gt.0", audience=audience))

    questions = visibility_questions(found_of(made, *(insert(b"1", None) for _ in range(50))), deletes="told")

    assert [(question.audience, len(question.rows)) for question in questions] == [(ANON, 50), (OTHER, 50)]


def test_deleted_rows_are_told_checked_or_dropped() -> None:
    def told(deletes: Deletes, *, is_whole: bool) -> tuple[int, int]:
        made = view(is_guarded=True, is_checked=True)
        subscribe(made, Receiver(), asked())
        found = found_of(made, delete(b"1", b"x", is_whole=is_whole))
        questions = visibility_questions(found, deletes=deletes)
        return len(questions), tell_all(found)

    assert told("told", is_whole=True) == (0, 1)
    assert told("checked", is_whole=True) == (1, 0)
    assert told("checked", is_whole=False) == (0, 0)
    assert told("dropped", is_whole=True) == (0, 0)


def test_a_condition_is_asked_once_for_all_rows_and_what_is_not_answered_does_not_pass() -> None:
    made, receiver = view(), Receiver()
    subscribe(made, receiver, asked(1, "status=match.x"), asked(2, "status=not.match.x"))
    found = found_of(made, *(insert(str(number).encode(), b"x") for number in range(4)))

    plain, negated = filter_questions(found)
    plain.note([True, False, None])
    negated.note([True, False, None])
    tell_all(found)

    assert plain.cells == ["x"] * 4
    assert [(ids, json.loads(data)["record"]["id"]) for ids, data in receiver.heard] == [((1,), 0), ((2,), 1)]


def test_everybody_with_the_same_rights_gets_the_same_bytes() -> None:
    made, one, two = view(), Receiver(), Receiver()
    subscribe(made, one, asked(1), asked(2, event="INSERT"))
    subscribe(made, two, asked(1))

    tell_all(found_of(made, insert(b"1", b"x")))

    assert [ids for ids, _ in one.heard] == [(1, 2)]
    assert one.heard[0][1] is two.heard[0][1]


def test_truncate_is_said_once_to_those_who_hear_deletes() -> None:
    made, all_events, inserts = view(is_guarded=True, is_checked=True), Receiver(), Receiver()
    subscribe(made, all_events, asked(1), asked(2, "id=eq.5"))
    subscribe(made, inserts, asked(1, event="INSERT"))
    found = found_of(made, ChangedRow("TRUNCATE", 0, 0))

    assert visibility_questions(found, deletes="told") == []
    tell_all(found)

    assert all_events.system == [("ok", "All rows of public.orders were deleted by TRUNCATE")]
    assert (inserts.system, inserts.heard) == ([], [])
