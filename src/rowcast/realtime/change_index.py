"""Which subscriptions a changed row concerns: by value where a filter names one, one by one elsewhere. Pure."""

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from rowcast.core.row_change import Cells, ChangedRow
from rowcast.realtime.change_filter import Condition
from rowcast.realtime.change_match import Key, Test

R = TypeVar("R", bound=Hashable)


class Audience(msgspec.Struct, frozen=True):
    """For whom a row is looked at: whoever has the same claims sees the same rows."""

    role: str
    claims: bytes


class Check(msgspec.Struct, frozen=True, eq=False):
    """One condition, ready to be tried on the column at `place`."""

    place: int
    test: Test
    condition: Condition
    key: Key | None = None
    value: Hashable = None


@dataclass(slots=True, eq=False)
class Cohort(Generic[R]):
    """Subscriptions that hear exactly the same changes: one filter, one audience, one choice of columns."""

    event: str
    audience: Audience
    select: frozenset[str] | None
    checks: tuple[Check, ...]
    receivers: dict[R, tuple[int, ...]] = field(default_factory=dict)

    def add(self, receiver: R, number: int) -> None:
        """Add a binding of a receiver."""
        known = self.receivers.get(receiver, ())
        if number not in known:
            self.receivers[receiver] = (*known, number)


Entry = tuple[Cohort[R], tuple[Check, ...]]
"""A cohort with the checks that are still to be tried on a row."""


class Hit(msgspec.Struct, frozen=True, gc=False, eq=False):
    """A cohort that a row concerns, if the database says yes to what is `pending`."""

    cohort: Cohort[Any]
    pending: tuple[Check, ...] = ()


class ChangeIndex(Generic[R]):
    """The cohorts of one table. A thousand that each wait for another value of a column cost one look-up."""

    __slots__ = ("_by_value", "_hides_old", "_identity", "_key", "_others")

    def __init__(self, *, identity: frozenset[int], key: frozenset[int], hides_old: bool) -> None:
        """Begin empty.

        Args:
            identity: The places of the columns that the log tells of a deleted row.
            key: Those of the primary key.
            hides_old: Of a deleted row nothing but the key may be looked at.
        """
        self._identity = identity
        self._key = key
        self._hides_old = hides_old
        self._by_value: dict[int, tuple[Key, dict[Hashable, list[Entry[R]]]]] = {}
        self._others: list[Entry[R]] = []

    def add(self, cohort: Cohort[R]) -> None:
        """Add a cohort under the first of its checks that names one value."""
        check = _first_of_one_value(cohort)
        if check is None or check.key is None:
            self._others.append((cohort, cohort.checks))
            return
        # Where it is found by its value, that check needs no second look.
        _, values = self._by_value.setdefault(check.place, (check.key, {}))
        rest = tuple(each for each in cohort.checks if each is not check)
        values.setdefault(check.value, []).append((cohort, rest))

    def remove(self, cohort: Cohort[R]) -> None:
        """Take a cohort out."""
        check = _first_of_one_value(cohort)
        if check is None:
            self._others = [entry for entry in self._others if entry[0] is not cohort]
            return
        _, values = self._by_value[check.place]
        values[check.value] = [entry for entry in values[check.value] if entry[0] is not cohort]
        if not values[check.value]:
            del values[check.value]
        if not values:
            del self._by_value[check.place]

    def find(self, row: ChangedRow) -> list[Hit]:
        """Give the cohorts whose filter a row passes, or may pass."""
        cells = self.cells(row)
        hits = []
        for cohort, checks in self._candidates(cells):
            if cohort.event not in ("*", row.operation):
                continue
            pending = _try_checks(checks, cells) if checks else ()
            if pending is not None:
                hits.append(Hit(cohort, pending))
        return hits

    def cells(self, row: ChangedRow) -> Cells:
        """Give what filters look at: the new row, or what may be known of the old one. What is not known is False."""
        if row.new is None:
            known = self._key if self._hides_old else self._identity
            if row.is_old_whole and not self._hides_old:
                return row.old or []
            return [cell if place in known else False for place, cell in enumerate(row.old or [])]
        if row.is_old_whole and row.old is not None and False in row.new:
            return [old if new is False else new for new, old in zip(row.new, row.old, strict=True)]
        return row.new

    def cohorts(self) -> Iterator[Cohort[R]]:
        """Give all of them."""
        for entries in (self._others, *(found for _, values in self._by_value.values() for found in values.values())):
            for cohort, _ in entries:
                yield cohort

    def _candidates(self, cells: Cells) -> Iterator[Entry[R]]:
        yield from self._others
        for place, (key, values) in self._by_value.items():
            cell = cells[place]
            if cell.__class__ is bytes:
                yield from values.get(key(cell), ())


def _first_of_one_value(cohort: Cohort[R]) -> Check | None:
    return next((check for check in cohort.checks if check.key is not None), None)


def _try_checks(checks: tuple[Check, ...], cells: Cells) -> tuple[Check, ...] | None:
    """Give what must be asked still, or None where a row does not pass."""
    pending: tuple[Check, ...] = ()
    for check in checks:
        cell = cells[check.place]
        if cell is False:
            return None
        found = check.test(cell)  # type: ignore[arg-type]
        if found is None:
            pending = (*pending, check)
        elif not found:
            return None
    return pending
