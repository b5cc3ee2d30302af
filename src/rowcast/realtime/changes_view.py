"""One changed table as this node's subscribers see it: their index, and a writer for each choice of columns. Pure."""

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

import msgspec

from rowcast.core.row_change import Cells, ChangedTable
from rowcast.realtime.change_filter import Condition, Conditions
from rowcast.realtime.change_index import Audience, ChangeIndex, Check, Cohort
from rowcast.realtime.change_match import equality_key, make_test
from rowcast.realtime.change_record import RecordWriter
from rowcast.realtime.change_types import ColumnFacts, ColumnType, Literals, RoleFacts, TableFacts

R = TypeVar("R", bound=Hashable)


class Asked(msgspec.Struct, frozen=True):
    """A binding that was found to be right, with the audience of the channel that it belongs to."""

    number: int
    event: str
    schema: str | None
    table: str | None
    conditions: Conditions
    select: frozenset[str] | None
    audience: Audience

    def names(self, schema: str, table: str) -> bool:
        """Tell whether it is about this table."""
        return self.schema in (None, schema) and self.table in (None, table)


class ChangeView(Generic[R]):
    """A table in one shape, and who hears of it."""

    def __init__(
        self,
        table: ChangedTable,
        facts: TableFacts,
        types: Mapping[int, ColumnType],
        columns: Mapping[str, ColumnFacts],
        *,
        checks_deletes: bool,
        is_partition_root: bool = False,
    ) -> None:
        """Take the shape that the rows have, and what the database says of the table.

        A table above a partition is told to those who name it, so that nobody hears a row twice.
        """
        self.table = table
        self.facts = facts
        self.roles: dict[str, RoleFacts] = {}
        self.literals: dict[Condition, Literals | None] = {}
        self._is_partition_root = is_partition_root
        self._types = types
        self._columns = columns
        self._places = {column.name: place for place, column in enumerate(table.columns)}
        self.key_places = tuple(self._places[name] for name in facts.key if name in self._places)
        self._hides_old = facts.is_guarded and not checks_deletes
        identity = frozenset(place for place, column in enumerate(table.columns) if column.is_key)
        key = frozenset(self.key_places)
        self.index: ChangeIndex[R] = ChangeIndex(identity=identity, key=key, hides_old=self._hides_old)
        self._cohorts: dict[tuple[object, ...], Cohort[R]] = {}
        self._writers: dict[tuple[str, frozenset[str] | None], RecordWriter] = {}

    @property
    def has_whole_key(self) -> bool:
        """Tell whether the log shows the primary key."""
        return bool(self.key_places) and len(self.key_places) == len(self.facts.key)

    def column(self, name: str) -> ColumnFacts | None:
        """Give a column that rows of this shape have."""
        return self._columns.get(name) if name in self._places else None

    def concerns(self, asked: Asked) -> bool:
        """Tell whether a binding is about this table."""
        if self._is_partition_root and asked.table is None:
            return False
        return asked.names(self.table.schema, self.table.name)

    def knows(self, asked: Asked) -> bool:
        """Tell whether nothing needs to be asked for a binding: all is known, or it is about another table."""
        if not self.concerns(asked):
            return True
        return asked.audience.role in self.roles and all(each in self.literals for each in asked.conditions)

    def add(self, receiver: R, asked: Asked) -> bool:
        """Let a receiver hear what it asked for; False where its filter does not fit this table."""
        role = self.roles.get(asked.audience.role)
        if role is None or not role.readable.issuperset(each.column for each in asked.conditions):
            return False
        if any(self.literals.get(each) is None for each in asked.conditions):
            return False
        key = (asked.event, asked.audience, asked.select, asked.conditions)
        cohort = self._cohorts.get(key)
        if cohort is None:
            checks = tuple(map(self._check, asked.conditions))
            cohort = self._cohorts[key] = Cohort(asked.event, asked.audience, asked.select, checks)
            self.index.add(cohort)
        cohort.add(receiver, asked.number)
        return True

    def remove(self, receiver: R, asked: Asked) -> None:
        """Let it hear nothing of that any more."""
        key = (asked.event, asked.audience, asked.select, asked.conditions)
        cohort = self._cohorts.get(key)
        if cohort is None:
            return
        cohort.receivers.pop(receiver, None)
        if not cohort.receivers:
            del self._cohorts[key]
            self.index.remove(cohort)

    def is_checked(self, audience: Audience) -> bool:
        """Tell whether the database must be asked which rows this audience may see.

        Without a key that it may read it is told of the error only, and there is nothing to ask.
        """
        role = self.roles[audience.role]
        return role.is_checked and bool(self.facts.key) and (role.reads_all or role.readable.issuperset(self.facts.key))

    def key_of(self, cells: Cells) -> list[str | None]:
        """Give the texts of a row's primary key."""
        found = (cells[place] for place in self.key_places)
        return [cell.decode() if isinstance(cell, bytes) else None for cell in found]

    def writer(self, role: str, select: frozenset[str] | None) -> RecordWriter:
        """Give what writes rows for a role and a choice of columns."""
        writer = self._writers.get((role, select))
        if writer is None:
            readable = self.roles[role].columns_of((*self._places, *self.facts.key))
            writer = self._writers[role, select] = RecordWriter(
                self.table, self._types, key=self.facts.key, readable=readable, select=select, hides_old=self._hides_old
            )
        return writer

    def whole_writer(self) -> RecordWriter:
        """Give what writes all columns, for the policies to look at."""
        names = frozenset(self._places)
        return RecordWriter(self.table, self._types, key=self.facts.key, readable=names)

    def _check(self, condition: Condition) -> Check:
        literals = self.literals[condition]
        texts = literals.texts if literals is not None else ()
        column = self._columns[condition.column]
        test = make_test(condition, texts, column.kind, column.collation)
        is_one_value = condition.operator == "eq" and not condition.is_negated
        key = equality_key(column.kind, column.collation) if is_one_value else None
        value = key(texts[0].encode()) if key is not None else None
        return Check(self._places[column.name], test, condition, key, value)
