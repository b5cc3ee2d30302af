import msgspec

from rowcast.realtime.change_index import Audience
from rowcast.realtime.change_types import Literals, RoleFacts
from tests.unit.realtime.change_rows import ANON, Receiver, asked, insert, subscribe, view


def test_the_same_wish_of_many_is_one_cohort() -> None:
    made = view()
    receivers = [Receiver() for _ in range(100)]
    for receiver in receivers:
        subscribe(made, receiver, asked(filter_="id=eq.7"))

    hits = made.index.find(insert(b"7", None))

    assert len(hits) == 1
    assert len(hits[0].cohort.receivers) == 100


def test_who_leaves_takes_an_empty_cohort_along() -> None:
    made, receiver = view(), Receiver()
    subscribe(made, receiver, asked())

    made.remove(receiver, asked())
    made.remove(receiver, asked())

    assert list(made.index.cohorts()) == []


def test_a_column_that_the_role_may_not_read_cannot_be_filtered_by() -> None:
    made = view()
    made.roles["anon"] = RoleFacts(False, frozenset({"id"}))
    wanted = asked(filter_="status=eq.x")
    made.literals[wanted.conditions[0]] = Literals(("x",))

    assert not made.add(Receiver(), wanted)


def test_a_filter_that_does_not_fit_the_table_hears_nothing() -> None:
    made, wanted = view(), asked(filter_="nope=eq.x")
    made.literals[wanted.conditions[0]] = None

    assert made.knows(wanted)
    assert not view().knows(wanted)
    assert view().knows(msgspec.structs.replace(wanted, table="bills"))
    assert not made.add(Receiver(), wanted)


def test_rows_are_asked_about_where_policies_hold_and_the_key_may_be_read() -> None:
    made = view(is_guarded=True, is_checked=True)

    assert made.is_checked(ANON)
    made.roles["anon"] = RoleFacts(True, frozenset({"status"}))
    assert not made.is_checked(ANON)
    made.roles["admin"] = RoleFacts(False, frozenset({"id"}))
    assert not made.is_checked(Audience("admin", b"{}"))


def test_a_key_is_given_as_texts() -> None:
    assert view().key_of([b"7", None]) == ["7"]
