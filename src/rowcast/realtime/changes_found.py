"""Rows that concern somebody: what must be asked about them, and, once that is answered, who is told what. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal

from rowcast.core.row_change import ChangedRow, RowChanges
from rowcast.realtime.change_filter import Condition
from rowcast.realtime.change_index import Audience, Cohort, Hit
from rowcast.realtime.change_record import commit_time
from rowcast.realtime.change_source import ChangeReceiver
from rowcast.realtime.changes_view import ChangeView

View = ChangeView[ChangeReceiver]
Deletes = Literal["told", "checked", "dropped"]
_commit_time = lru_cache(maxsize=16)(commit_time)


@dataclass(slots=True, eq=False)
class Found:
    """A row that concerns some cohorts. `hidden`: audiences that may not see it; `failed`: hits that it is none."""

    view: View
    row: ChangedRow
    hits: list[Hit]
    hidden: set[Audience] = field(default_factory=set)
    failed: set[Hit] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class FilterQuestion:
    """One condition to be asked of several values of a column."""

    oid: int
    condition: Condition
    cells: list[str] = field(default_factory=list)
    about: list[tuple[Found, Hit]] = field(default_factory=list)

    def note(self, passed: Sequence[bool | None]) -> None:
        """Take the answers; what was not answered does not pass."""
        for place, (found, hit) in enumerate(self.about):
            answer = passed[place] if place < len(passed) else None
            if answer is not (not self.condition.is_negated):
                found.failed.add(hit)


@dataclass(slots=True, eq=False)
class VisibilityQuestion:
    """Which of some rows an audience may see. Until it is answered it may see none of them."""

    view: View
    audience: Audience
    rows: list[Found] = field(default_factory=list)
    is_old: bool = False

    def note(self, places: frozenset[int]) -> None:
        """Take the places of the rows that may be seen."""
        for place in places:
            self.rows[place].hidden.discard(self.audience)

    def keys(self) -> list[list[str | None]]:
        """Give the key of each row."""
        return [self.view.key_of(each.row.new or []) for each in self.rows]

    def old_rows(self) -> list[bytes]:
        """Give each old row as JSON."""
        writer = self.view.whole_writer()
        return [writer.write_whole(each.row.old or []) for each in self.rows]


def find_all(changes: RowChanges, views: Sequence[Sequence[View]]) -> list[Found]:
    """Give the rows that concern somebody, in order. `views` are those of each of the tables."""
    found = []
    for row in changes.rows:
        for view in views[row.table]:
            if row.operation == "TRUNCATE":
                hits = [Hit(cohort) for cohort in view.index.cohorts()]
            else:
                hits = view.index.find(row)
            if hits:
                found.append(Found(view, row, hits))
    return found


def filter_questions(found: Sequence[Found]) -> list[FilterQuestion]:
    """Give the conditions that only the database can decide, each once for all rows."""
    questions: dict[tuple[int, Condition], FilterQuestion] = {}
    for each in found:
        for hit in each.hits:
            for check in hit.pending:
                key = each.view.facts.oid, check.condition
                question = questions.setdefault(key, FilterQuestion(*key))
                cell = each.view.index.cells(each.row)[check.place]
                question.cells.append(cell.decode() if isinstance(cell, bytes) else "")
                question.about.append((each, hit))
    return list(questions.values())


def visibility_questions(found: Sequence[Found], *, deletes: Deletes) -> list[VisibilityQuestion]:
    """Give what must be asked: one question for each audience and table. Hides the rows until it is answered."""
    questions: dict[tuple[View, Audience, bool], VisibilityQuestion] = {}
    for each in found:
        is_old = each.row.operation == "DELETE"
        for audience in dict.fromkeys(hit.cohort.audience for hit in each.hits if hit not in each.failed):
            if each.row.operation == "TRUNCATE" or not each.view.is_checked(audience):
                continue
            if is_old and deletes == "told":
                continue
            each.hidden.add(audience)
            if (deletes == "dropped" or not each.row.is_old_whole) if is_old else not each.view.has_whole_key:
                continue
            key = each.view, audience, is_old
            questions.setdefault(key, VisibilityQuestion(each.view, audience, is_old=is_old)).rows.append(each)
    return list(questions.values())


def tell_all(found: Sequence[Found]) -> int:
    """Tell every receiver what concerns it, in order; gives how many frames that were."""
    told = 0
    for each in found:
        hits = [hit for hit in each.hits if hit.cohort.audience not in each.hidden and hit not in each.failed]
        if each.row.operation == "TRUNCATE":
            _tell_truncate(each.view, hits)
        elif len(hits) == 1:
            told += _tell_cohort(each, hits[0].cohort)
        elif hits:
            told += _tell_cohorts(each, hits)
    return told


def _tell_cohort(found: Found, cohort: Cohort[ChangeReceiver]) -> int:
    text = _write(found, cohort)
    for receiver, numbers in cohort.receivers.items():
        receiver.hear_change(numbers, text)
    return len(cohort.receivers)


def _tell_cohorts(found: Found, hits: Sequence[Hit]) -> int:
    """Tell a receiver with several bindings once, unless they show different columns."""
    told: dict[tuple[str, frozenset[str] | None], dict[ChangeReceiver, tuple[int, ...]]] = {}
    first: dict[tuple[str, frozenset[str] | None], Cohort[ChangeReceiver]] = {}
    for hit in hits:
        cohort = hit.cohort
        shown = cohort.audience.role, cohort.select
        first.setdefault(shown, cohort)
        receivers = told.setdefault(shown, {})
        for receiver, numbers in cohort.receivers.items():
            receivers[receiver] = (*receivers.get(receiver, ()), *numbers)
    for shown, receivers in told.items():
        text = _write(found, first[shown])
        for receiver, numbers in receivers.items():
            receiver.hear_change(numbers, text)
    return sum(map(len, told.values()))


def _write(found: Found, cohort: Cohort[ChangeReceiver]) -> bytes:
    writer = found.view.writer(cohort.audience.role, cohort.select)
    return writer.write(found.row, _commit_time(found.row.committed_at_us))


def _tell_truncate(view: View, hits: Sequence[Hit]) -> None:
    """No client knows a change of this kind, so it is said in a `system` message."""
    text = f"All rows of {view.table.schema}.{view.table.name} were deleted by TRUNCATE"
    for receiver in _receivers(hits):
        receiver.hear_changes_system("ok", text)


def _receivers(hits: Sequence[Hit]) -> Iterator[ChangeReceiver]:
    seen: dict[ChangeReceiver, None] = {}
    for hit in hits:
        if hit.cohort.event in ("*", "DELETE"):
            seen |= dict.fromkeys(hit.cohort.receivers)
    return iter(seen)
