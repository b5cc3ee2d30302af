"""Long tasks of the API as rows: what was asked for, how far it has come, and what came of it."""

import os
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.codec import decode_json, encode_json
from rowcast.core.errors import InvalidFieldError, InvalidInputError, LimitExceededError, NotFoundError
from rowcast.core.topic import checked_event_type
from rowcast.store.pool import Database, Row, Session
from rowcast.store.sql import load_queries
from rowcast.webhooks.ids import NOISE_BYTES, task_id

TaskKind = Literal["endpoint.recover", "endpoint.replay", "endpoint.bulk-replay", "application.purge_content"]
"""What is to be done, in the words of the SDKs: `endpoint.replay` replays what is missing."""
TaskStatus = Literal["running", "finished", "failed"]

BY_EVENTS: tuple[TaskKind, ...] = ("endpoint.replay", "application.purge_content")
"""Tasks that go through the events of a tenant; the others go through its deliveries."""
KEPT_DAYS = 90
RUNNING_MOST = 20
_ROOM_AGAIN_S = 30.0
CANCELLED = "cancelled"
_FIRST_YEAR, _LAST_YEAR = 2, 9998
_NAMES_LIMIT = 100


class Chosen(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which messages of an endpoint are meant, by when they were made: `since` counts in, `until` does not.

    `statuses` are those of deliveries, `code_class` is that of the last attempt's code, 0 for none. What is None does
    not narrow.
    """

    since: datetime
    until: datetime | None = None
    event_types: tuple[str, ...] | None = None
    channel: str | None = None
    tag: str | None = None
    statuses: tuple[str, ...] = ("dead", "cancelled")
    code_class: int | None = None


class Arguments(msgspec.Struct, frozen=True):
    """What a task was asked to do, and until where: `asked_at` and `up_to` bound it, so that it comes to an end."""

    chosen: Chosen
    asked_at: datetime
    up_to: int


class BackgroundTask(msgspec.Struct, frozen=True):
    """One task. `position` is the last row it has looked at, `reason` why it failed."""

    id: str
    tenant_id: str
    endpoint_id: str
    task: TaskKind
    status: TaskStatus
    arguments: Arguments
    position: int
    replayed: int
    failures: int
    reason: str
    created_at: datetime
    changed_at: datetime


def checked_chosen(chosen: Chosen) -> Chosen:
    """Give what was chosen if a task can go by it, its times with their zones.

    Raises:
        InvalidFieldError: `input.field`.
    """
    since = checked_time(chosen.since, place=("body", "since"))
    until = None if chosen.until is None else checked_time(chosen.until, place=("body", "until"))
    if until is not None and until <= since:
        raise _refusal("until", "`until` must be later than `since`.")
    if chosen.event_types is not None and not 1 <= len(chosen.event_types) <= _NAMES_LIMIT:
        raise _refusal("eventTypes", f"Give 1 to {_NAMES_LIMIT} event types, or leave them out for all.")
    for event_type in chosen.event_types or ():
        try:
            checked_event_type(event_type)
        except InvalidInputError as error:
            raise _refusal("eventTypes", str(error)) from error
    for field, name in (("channel", chosen.channel), ("tag", chosen.tag)):
        if name is not None and not name.isprintable():
            raise _refusal(field, "No name holds a character that cannot be seen.")
    return msgspec.structs.replace(chosen, since=since, until=until)


def checked_time(at: datetime, *, place: tuple[str, ...]) -> datetime:
    """Give a moment with its zone if the database can look for it; one without a zone is meant in UTC.

    Raises:
        InvalidFieldError: `input.field`, for one of a year that nobody means.
    """
    if not _FIRST_YEAR <= at.year <= _LAST_YEAR:
        raise InvalidFieldError("Give a time that may have been, such as 2026-11-21T09:00:00Z.", place=place)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


class TaskTable:
    """The table of tasks. With a tenant only its own are there."""

    __slots__ = ("_clock", "_noise", "_queries")

    def __init__(self, *, clock: Clock, noise: Callable[[int], bytes] = os.urandom) -> None:
        """Ask for what it needs; `noise` gives that many random bytes."""
        self._clock = clock
        self._noise = noise
        self._queries = load_queries("rowcast.webhooks")

    async def begin(
        self, session: Session, tenant_id: str, endpoint_id: str, *, task: TaskKind, chosen: Chosen
    ) -> BackgroundTask:
        """Add a task that begins at once, and give it.

        Raises:
            InvalidFieldError: `input.field`.
            LimitExceededError: `limit.tasks`, when many of the tenant's run already.
        """
        checked = checked_chosen(chosen)
        counted = await session.fetch_one(self._queries["has_all_tasks"], tenant_id=tenant_id, most=RUNNING_MOST)
        if counted is not None and counted["is_full"]:
            raise LimitExceededError(
                f"{RUNNING_MOST} tasks of this tenant run already. Wait for one to end, or cancel one.",
                retry_after_s=_ROOM_AGAIN_S,
                code="limit.tasks",
            )
        bounds = await session.fetch_one(self._queries["task_bounds"])
        assert bounds is not None
        up_to = bounds["last_seq" if task in BY_EVENTS else "last_delivery_id"]
        arguments = Arguments(checked, bounds["asked_at"], up_to)
        row = await session.fetch_one(
            self._queries["add_task"],
            id=task_id(self._clock.now(), self._noise(NOISE_BYTES)),
            tenant_id=tenant_id,
            endpoint_id=endpoint_id,
            task=task,
            arguments=encode_json(arguments).decode(),
        )
        return _found(row)

    async def get(self, session: Session, id: str, *, tenant_id: str | None = None) -> BackgroundTask:  # noqa: A002
        """Give one task.

        Raises:
            NotFoundError: `input.not_found`, also for another tenant's.
        """
        return _found(await session.fetch_one(self._queries["get_task"], id=id, tenant_id=tenant_id))

    async def page(
        self,
        session: Session,
        *,
        after: str,
        most: int,
        is_falling: bool,
        **narrowing: str | None,
    ) -> Sequence[BackgroundTask]:
        """Give a page of tasks after the id `after`; `tenant_id`, `status` and `task` narrow it."""
        named = {name: narrowing.get(name) for name in ("tenant_id", "status", "task")}
        rows = await session.fetch(self._queries["list_tasks"], after=after, most=most, is_falling=is_falling, **named)
        return [read_task(row) for row in rows]

    async def cancel(self, session: Session, id: str, *, tenant_id: str | None = None) -> BackgroundTask:  # noqa: A002
        """Let a task do nothing more, and give it; what it has done stays. One that has ended stays as it ended.

        Raises:
            NotFoundError: `input.not_found`.
        """
        await session.execute(self._queries["cancel_task"], id=id, tenant_id=tenant_id, reason=CANCELLED)
        return await self.get(session, id, tenant_id=tenant_id)


async def drop_old_tasks(database: Database, *, most: int) -> int:
    """Remove tasks that ended long ago, `most` at once, and give how many they were."""
    return len(await database.fetch(load_queries("rowcast.webhooks")["drop_tasks"], days=KEPT_DAYS, most=most))


def read_task(row: Mapping[str, Any]) -> BackgroundTask:
    """Give the task of a row."""
    arguments = decode_json(row["arguments"], Arguments)
    return msgspec.convert({**row, "arguments": arguments}, BackgroundTask)


def _found(row: Row | None) -> BackgroundTask:
    if row is None:
        raise NotFoundError("There is no such background task for this API key.")
    return read_task(row)


def _refusal(field: str, sentence: str) -> InvalidFieldError:
    return InvalidFieldError(sentence, place=("body", field))
