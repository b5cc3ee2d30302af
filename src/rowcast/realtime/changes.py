"""Postgres changes: receivers subscribe to tables, and hear of the rows that they asked for and may see."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Protocol

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.errors import RowcastError
from rowcast.core.row_change import RowChanges
from rowcast.core.telemetry import tell
from rowcast.realtime.authorize import Claims
from rowcast.realtime.change_filter import FilterFault
from rowcast.realtime.change_index import Audience
from rowcast.realtime.change_recent import RecentTables
from rowcast.realtime.change_source import Binding, ChangeReceiver, ChangeSource
from rowcast.realtime.change_tables import ChangeTables
from rowcast.realtime.changes_binding import (
    SUBSCRIBED,
    Wanted,
    gap_text,
    not_published,
    read_binding,
    refused,
    rest_text,
)
from rowcast.realtime.changes_found import (
    Deletes,
    Found,
    VisibilityQuestion,
    filter_questions,
    find_all,
    tell_all,
    visibility_questions,
)
from rowcast.realtime.changes_view import Asked
from rowcast.realtime.changes_views import ChangeViews, Subscriptions
from rowcast.realtime.row_visibility import Resting, RowVisibility, VisibilityOptions
from rowcast.store.pool import Database

_AWAY = '{:error, "Realtime was unable to connect to the project database"}'
_LATE = '{:error, "The changes are not live yet, they will be told as soon as they are"}'


class ChangeFeed(Protocol):
    """Where row changes come from."""

    async def go_live(self) -> None:
        """Wait until changes that are committed from now on will be heard."""
        ...

    def rest(self) -> None:
        """Nobody here wants changes any more."""
        ...


class ChangesOptions(msgspec.Struct, frozen=True):
    """What is told of deleted rows of tables with row-level security, and the bounds.

    `told`: the key, to everybody; `checked`: the old row, to those whose policies let them see it, where the replica
    identity is full, nothing elsewhere; `dropped`: nothing.
    """

    deletes: Deletes = "told"
    live_s: float = 20.0
    question_s: float = 5.0
    visibility: VisibilityOptions = VisibilityOptions()


class Changes:
    """Tells this node's receivers about changed rows."""

    def __init__(
        self, *, database: Database, feed: ChangeFeed, clock: Clock, options: ChangesOptions | None = None
    ) -> None:
        """Take the database that is asked, and the feed that calls `hear_changes`, `hear_gap` and `hear_live`."""
        self._feed = feed
        self._options = options or ChangesOptions()
        self._tables = ChangeTables(database=database, timeout_s=self._options.question_s)
        self._recent = RecentTables(self._tables, clock=clock)
        self._visibility = RowVisibility(database=database, clock=clock, options=self._options.visibility)
        self._subscriptions: Subscriptions[ChangeReceiver] = {}
        self._views = ChangeViews(self._tables, self._subscriptions, checks_deletes=self._options.deletes == "checked")
        self._telling = asyncio.Lock()
        self._confirmed: set[ChangeReceiver] = set()
        self._waiting: set[ChangeReceiver] = set()

    @property
    def receivers(self) -> int:
        """Give how many channels hear changes."""
        return len(self._subscriptions)

    async def subscribe(self, receiver: ChangeReceiver, bindings: Sequence[Binding], claims: Claims) -> None:
        """Begin to tell `receiver`, in place of what it heard before; what is wrong with a binding is told to it."""
        audience = Audience(claims.role, claims.document)
        try:
            found = [await self._check(binding, audience) for binding in bindings]
            asked = tuple(each for each in found if isinstance(each, Asked))
            await self._replace(receiver, asked)
        except (RowcastError, TimeoutError) as error:
            tell("changes.check_failed", error=type(error).__name__)
            receiver.hear_changes_system("error", _AWAY)
            self.unsubscribe(receiver)
            return
        for fault in (each for each in found if isinstance(each, FilterFault)):
            receiver.hear_changes_system("error", fault.text)
        self._confirmed.discard(receiver)
        if asked:
            await self._go_live(receiver, is_whole=len(asked) == len(bindings))
        self._rest_if_unused()

    def unsubscribe(self, receiver: ChangeReceiver) -> None:
        """Tell it nothing more; a stranger is ignored."""
        self._views.exclude(receiver)
        self._confirmed.discard(receiver)
        self._waiting.discard(receiver)
        self._rest_if_unused()

    async def hear_changes(self, changes: RowChanges) -> None:
        """Tell about changed rows, in their order. Never raises: what cannot be told is announced."""
        if not self._subscriptions:
            return
        try:
            async with self._telling:
                await self._tell(changes)
        except (RowcastError, TimeoutError) as error:
            self.hear_gap(f"the database did not answer ({type(error).__name__})")
            self.hear_live()
        except Exception as error:  # noqa: BLE001 - task boundary: one row that cannot be told must not end all others
            tell("changes.crashed", error=type(error).__name__)
            self.hear_gap("some rows could not be told")
            self.hear_live()

    def hear_gap(self, reason: str) -> None:
        """Tell everybody that changes may be missing."""
        self._views.forget()
        for receiver in self._confirmed:
            receiver.hear_changes_system("error", gap_text(reason))

    def hear_live(self) -> None:
        """Tell everybody that changes committed from now on will be told."""
        self._confirmed |= self._waiting
        self._waiting.clear()
        for receiver in self._confirmed:
            receiver.hear_changes_system("ok", SUBSCRIBED)

    async def _replace(self, receiver: ChangeReceiver, asked: tuple[Asked, ...]) -> None:
        """Exchange what a receiver hears between two pieces of rows, so that nothing falls between old and new."""
        if receiver not in self._subscriptions:
            await self._views.replace(receiver, asked)
            return
        async with self._telling:
            await self._views.replace(receiver, asked)

    async def _tell(self, changes: RowChanges) -> None:
        views = [await self._views.of(table) for table in changes.tables]
        found = find_all(changes, views)
        if not found:
            return
        await self._ask_filters(found)
        await self._ask_visibility(found, changes.xids)
        tell("changes.told", rows=len(changes.rows), frames=tell_all(found))

    async def _check(self, binding: Binding, audience: Audience) -> Asked | FilterFault:
        wanted = read_binding(binding)
        if isinstance(wanted, FilterFault):
            return wanted
        tables = await self._recent.published(wanted.schema, wanted.table)
        if not tables:
            return FilterFault(not_published(binding, wanted))
        role = await self._recent.role(tables[0].oid, audience.role)
        if role is None:
            return FilterFault(refused(binding, wanted, f'role "{audience.role}" does not exist'))
        is_one = wanted.schema is not None and wanted.table is not None
        why = await self._fault(wanted, tables[0].oid, role.readable) if is_one else None
        if why is not None:
            return FilterFault(refused(binding, wanted, why))
        return Asked(**msgspec.structs.asdict(wanted), audience=audience)

    async def _fault(self, wanted: Wanted, oid: int, readable: frozenset[str]) -> str | None:
        """Give what is wrong with the columns that a binding names. One that may not be read is not there."""
        for name in sorted(wanted.select or ()):
            if name not in readable:
                return f"invalid column for select {name}"
        if not wanted.conditions:
            return None
        columns = await self._recent.columns(oid)
        for condition in wanted.conditions:
            column = columns.get(condition.column) if condition.column in readable else None
            found = await self._recent.literals(oid, condition, column)
            if isinstance(found, FilterFault):
                return found.text
        return None

    async def _go_live(self, receiver: ChangeReceiver, *, is_whole: bool) -> None:
        """Wait until changes are live, then say so; where a binding was refused, that has been said instead."""
        if is_whole:
            self._waiting.add(receiver)
        try:
            async with asyncio.timeout(self._options.live_s):
                await self._feed.go_live()
        except TimeoutError:
            receiver.hear_changes_system("error", _LATE)
            return
        finally:
            if not is_whole and receiver in self._subscriptions:
                self._confirmed.add(receiver)
        if receiver in self._waiting:
            self._waiting.discard(receiver)
            self._confirmed.add(receiver)
            receiver.hear_changes_system("ok", SUBSCRIBED)

    def _rest_if_unused(self) -> None:
        if not self._subscriptions:
            self._views.forget()
            self._feed.rest()

    async def _ask_filters(self, found: Sequence[Found]) -> None:
        """Ask the database for the conditions that cannot be decided here, once for each and all rows."""
        for question in filter_questions(found):
            passed: Sequence[bool | None] = ()
            with suppress(TimeoutError):
                passed = await self._tables.passes(question.oid, question.condition, question.cells)
            question.note(passed)

    async def _ask_visibility(self, found: Sequence[Found], xids: Sequence[int]) -> None:
        """Ask once for each audience and table, a few at a time."""
        questions = visibility_questions(found, deletes=self._options.deletes)
        if not questions:
            return
        await self._visibility.await_commits(xids)
        async with asyncio.TaskGroup() as group:
            for question in questions:
                group.create_task(self._ask_one(question), name="changes:visibility")

    async def _ask_one(self, question: VisibilityQuestion) -> None:
        view, audience = question.view, question.audience
        if question.is_old:
            seen = await self._visibility.ask_old(view.facts.oid, audience, question.old_rows())
        else:
            seen = await self._visibility.ask(view.facts.oid, audience, key=view.facts.key, keys=question.keys())
        name = f"{view.facts.schema}.{view.facts.name}"
        if isinstance(seen, Resting):
            if seen.fault is not None:
                self._tell_audience(audience, "error", rest_text(name, seen.fault))
            return
        question.note(seen.places)
        if seen.is_back:
            self._tell_audience(audience, "error", gap_text(f"changes of {name} were not told"))
            self._tell_audience(audience, "ok", SUBSCRIBED)

    def _tell_audience(self, audience: Audience, status: str, text: str) -> None:
        for receiver, asked in self._subscriptions.items():
            if asked and asked[0].audience == audience:
                receiver.hear_changes_system(status, text)


def _contract(changes: Changes) -> ChangeSource:
    return changes
