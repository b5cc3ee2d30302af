"""Which cohorts a row concerns, and how few of them are looked at."""

from rowcast.core.row_change import ChangedRow
from rowcast.realtime.change_filter import Condition
from rowcast.realtime.change_index import Audience, ChangeIndex, Check, Cohort

ANON = Audience("anon", b"{}")


def index(*, hides_old: bool = False) -> ChangeIndex[str]:
    return ChangeIndex(identity=frozenset({0}), key=frozenset({0}), hides_old=hides_old)


class Tries:
    """A test that counts how often it is asked."""

    def __init__(self, answer: bool | None = True) -> None:
        self.answer = answer
        self.cells: list[bytes | None] = []

    def __call__(self, cell: bytes | None) -> bool | None:
        self.cells.append(cell)
        return self.answer


def cohort(*checks: Check, event: str = "*") -> Cohort[str]:
    return Cohort(event, ANON, None, checks)


def one_value(value: bytes, tries: Tries) -> Check:
    return Check(0, tries, Condition("id", "eq", (value.decode(),)), lambda text: text, value)


def other(tries: Tries, place: int = 1) -> Check:
    return Check(place, tries, Condition("status", "gt", ("a",)))


def insert(*cells: bytes | bool | None) -> ChangedRow:
    return ChangedRow("INSERT", 0, 0, list(cells))


def test_a_thousand_values_cost_one_look() -> None:
    found, tries = index(), Tries()
    wanted = [cohort(one_value(str(number).encode(), tries)) for number in range(1000)]
    for each in wanted:
        found.add(each)

    hits = found.find(insert(b"7", None))

    assert [hit.cohort for hit in hits] == [wanted[7]]
    assert tries.cells == []


def test_an_event_and_every_check_must_fit() -> None:
    found = index()
    for each in (
        cohort(),
        cohort(event="INSERT"),
        cohort(event="DELETE"),
        cohort(other(Tries(False))),
        cohort(other(Tries(True)), other(Tries(True), 0)),
        cohort(other(Tries(True)), other(Tries(False), 0)),
    ):
        found.add(each)

    hits = found.find(insert(b"7", b"x"))

    assert [(hit.cohort.event, len(hit.cohort.checks)) for hit in hits] == [("*", 0), ("INSERT", 0), ("*", 2)]


def test_what_only_the_database_can_tell_is_pending() -> None:
    found, check = index(), other(Tries(None))
    found.add(cohort(check))

    assert found.find(insert(b"7", b"x"))[0].pending == (check,)


def test_a_value_that_the_log_has_not_passes_nothing_unless_the_old_row_has_it() -> None:
    found, tries = index(), Tries()
    found.add(cohort(other(tries)))

    assert found.find(ChangedRow("UPDATE", 0, 0, [b"7", False], [b"7", None])) == []
    assert len(found.find(ChangedRow("UPDATE", 0, 0, [b"7", False], [b"7", b"old"], True))) == 1
    assert tries.cells == [b"old"]


def test_a_deleted_row_is_known_by_its_identity_only() -> None:
    found, by_key, by_other = index(), Tries(), Tries()
    found.add(cohort(other(by_key, 0)))
    found.add(cohort(other(by_other, 1)))

    assert len(found.find(ChangedRow("DELETE", 0, 0, None, [b"7", None]))) == 1
    assert len(found.find(ChangedRow("DELETE", 0, 0, None, [b"7", b"x"], True))) == 2


def test_a_deleted_row_of_a_guarded_table_is_known_by_its_key_only() -> None:
    found, by_other = index(hides_old=True), Tries()
    found.add(cohort(other(by_other, 1)))

    assert found.find(ChangedRow("DELETE", 0, 0, None, [b"7", b"x"], True)) == []
    assert by_other.cells == []


def test_a_cohort_that_is_taken_out_is_found_no_more() -> None:
    found, tries = index(), Tries()
    kept, gone = cohort(one_value(b"7", tries)), cohort(one_value(b"7", tries))
    plain = cohort()
    for each in (kept, gone, plain):
        found.add(each)

    found.remove(gone)
    found.remove(plain)

    assert [hit.cohort for hit in found.find(insert(b"7", None))] == [kept]
    assert list(found.cohorts()) == [kept]
    found.remove(kept)
    assert found.find(insert(b"7", None)) == []


def test_a_binding_counts_once() -> None:
    made = cohort()

    made.add("me", 5)
    made.add("me", 5)
    made.add("me", 6)

    assert made.receivers == {"me": (5, 6)}
