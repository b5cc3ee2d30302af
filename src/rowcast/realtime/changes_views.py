"""The views of the tables that change: made when the log announces a table anew, kept up as receivers come and go."""

from collections.abc import Hashable, Iterator
from typing import Generic, TypeVar

import msgspec

from rowcast.core.row_change import ChangedTable
from rowcast.realtime.change_filter import COMPARISONS, Condition, FilterFault
from rowcast.realtime.change_tables import ChangeTables
from rowcast.realtime.change_types import Literals, RoleFacts
from rowcast.realtime.changes_view import Asked, ChangeView

R = TypeVar("R", bound=Hashable)
Subscriptions = dict[R, tuple[Asked, ...]]
_NOTHING = RoleFacts(is_checked=True, readable=frozenset())


class ChangeViews(Generic[R]):
    """One view for each table whose rows change, and one for each table above that it is a partition of."""

    def __init__(self, tables: ChangeTables, subscriptions: Subscriptions[R], *, checks_deletes: bool) -> None:
        """Take what asks the catalogue, and the subscriptions, which the caller reads."""
        self._tables = tables
        self._subscriptions = subscriptions
        self._checks_deletes = checks_deletes
        self._views: dict[int, tuple[ChangedTable, tuple[ChangeView[R], ...]]] = {}

    async def of(self, table: ChangedTable) -> tuple[ChangeView[R], ...]:
        """Give the views of a table in the shape that it was announced in; none when it is gone."""
        known = self._views.get(table.oid)
        if known is not None and (known[0] is table or known[0] == table):
            return known[1]
        views = await self._make(table)
        for view in views:
            await self._learn_alike(view)
        # Whoever came while we asked is put in without a further wait.
        while missing := [(view, each) for view in views for each in self._all() if not view.knows(each)]:
            for view, each in missing:
                await self._learn(view, each)
        for view in views:
            for receiver, asked in self._subscriptions.items():
                self._add(view, receiver, asked)
        self._views[table.oid] = table, views
        return views

    async def replace(self, receiver: R, asked: tuple[Asked, ...]) -> None:
        """Subscribe a receiver to what it asks for, in place of what it had, in one step."""
        while missing := [(view, each) for view in self._current() for each in asked if not view.knows(each)]:
            for view, each in missing:
                await self._learn(view, each)
        self.exclude(receiver)
        if not asked:
            return
        self._subscriptions[receiver] = asked
        for view in self._current():
            self._add(view, receiver, asked)

    def exclude(self, receiver: R) -> None:
        """Take a receiver out of all views; a stranger is ignored."""
        for each in self._subscriptions.pop(receiver, ()):
            for view in self._current():
                view.remove(receiver, each)

    def _current(self) -> list[ChangeView[R]]:
        return [view for _, views in self._views.values() for view in views]

    def forget(self) -> None:
        """Forget every view: another slot announces the tables anew."""
        self._views.clear()

    async def _make(self, table: ChangedTable) -> tuple[ChangeView[R], ...]:
        facts = await self._tables.facts(table.oid)
        if facts is None:
            return ()
        types = await self._tables.types(column.type_oid for column in table.columns)
        views = []
        for oid in (table.oid, *facts.ancestors):
            own = await self._tables.facts(oid) if oid != table.oid else facts
            if own is None:
                continue
            columns = await self._tables.columns(oid)
            shown = table
            if oid != table.oid:
                shown = msgspec.structs.replace(table, oid=oid, schema=own.schema, name=own.name)
            views.append(
                ChangeView[R](
                    shown, own, types, columns, checks_deletes=self._checks_deletes, is_partition_root=oid != table.oid
                )
            )
        return tuple(views)

    def _all(self) -> Iterator[Asked]:
        return (each for asked in self._subscriptions.values() for each in asked)

    async def _learn_alike(self, view: ChangeView[R]) -> None:
        """Ask for the literals of all conditions on one column at once; those that are wrong are left to `_learn`."""
        alike: dict[tuple[str, str], dict[Condition, str]] = {}
        for condition in (each for asked in self._all() if view.concerns(asked) for each in asked.conditions):
            if condition.operator in COMPARISONS:
                alike.setdefault((condition.column, condition.operator), {})[condition] = condition.operands[0]
        for (column, operator), operands in alike.items():
            merged = Condition(column, operator, tuple(operands.values()))
            found = await self._tables.literals(view.facts.oid, merged, view.column(column))
            if isinstance(found, Literals):
                texts = zip(operands, found.texts, strict=True)
                view.literals |= {condition: Literals((text,)) for condition, text in texts}

    async def _learn(self, view: ChangeView[R], asked: Asked) -> None:
        """Ask for the role and the literals of a binding that a view does not know yet."""
        if view.knows(asked):
            return
        role = asked.audience.role
        if role not in view.roles:
            view.roles[role] = await self._tables.role(view.facts.oid, role) or _NOTHING
        for condition in asked.conditions:
            if condition not in view.literals:
                found = await self._tables.literals(view.facts.oid, condition, view.column(condition.column))
                view.literals[condition] = None if isinstance(found, FilterFault) else found

    def _add(self, view: ChangeView[R], receiver: R, asked: tuple[Asked, ...]) -> None:
        for each in asked:
            if view.concerns(each):
                view.add(receiver, each)
