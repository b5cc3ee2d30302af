"""Does the long tasks of the API in small steps. Whoever is killed in the middle leaves nothing half done.

A step is one transaction: new deliveries, the mark on the old ones, and how far the task has come. So a task that was
begun by one process is gone on with by any other, and nothing is replayed twice.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

import msgspec

from rowcast.core.delivery import ordered_key
from rowcast.core.errors import RowcastError, StoreUnavailableError
from rowcast.core.priority import Priority
from rowcast.core.telemetry import tell
from rowcast.store.pool import Connection, Database, Row
from rowcast.store.sql import load_queries
from rowcast.webhooks.background_task import BackgroundTask, read_task
from rowcast.webhooks.expunge import Expunge
from rowcast.webhooks.operational import BACKGROUND_TASK_FINISHED, ENDPOINT_RECOVERED, OperationalEvents

ENDPOINT_GONE = "endpoint_gone"
_STEP = 1000
_POLL_S = 1.0
_BUSY_WAIT_S = 0.01
_BOUND_S = 10.0
_FAILURES_MOST = 20


class RecoveryLimits(msgspec.Struct, frozen=True):
    """What bounds a step, and what it may go by.

    It looks at `step` rows and may stand still for `bound_s`. Somebody looks for tasks every `poll_s`. Deliveries are
    kept for `known_days`: what is older may have been delivered and forgotten.
    """

    step: int = _STEP
    bound_s: float = _BOUND_S
    poll_s: float = _POLL_S
    known_days: int = 30


class Recovery:
    """Looks for tasks and does them, a step of each in turn. Any number of processes may."""

    __slots__ = ("_database", "_expunge", "_limits", "_noise", "_nudged", "_operational", "_queries")

    def __init__(
        self,
        *,
        database: Database,
        operational: OperationalEvents,
        noise: Callable[[], float],
        limits: RecoveryLimits | None = None,
    ) -> None:
        """Ask for what it needs; `noise` keeps processes from looking all at once."""
        self._database = database
        self._expunge = Expunge(database=database)
        self._operational = operational
        self._noise = noise
        self._limits = limits or RecoveryLimits()
        self._nudged = asyncio.Event()
        self._queries = load_queries("rowcast.webhooks")

    async def run(self) -> None:
        """Do what there is until cancelled."""
        while True:
            # Before the look, not after it: a task that is asked for meanwhile is not to wait.
            self._nudged.clear()
            try:
                is_busy = await self.step()
            except Exception as error:  # noqa: BLE001 - task boundary: what is not done is done the next time
                tell("background_task.step_failed", code=_named(error))
                is_busy = False
            await (asyncio.sleep(_BUSY_WAIT_S) if is_busy else self._wait())

    def nudge(self) -> None:
        """Look at once: somebody in this process has just asked for a task."""
        self._nudged.set()

    async def _wait(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.poll_s * (0.5 + self._noise())):
                await self._nudged.wait()

    async def step(self) -> bool:
        """Do one step of the task that has waited longest; tells whether there was one.

        Raises:
            StoreError: The database is away. Whoever looks next does the step.
        """
        held_id = ""
        try:
            async with self._database.transaction() as connection:
                await connection.fetch_one(self._queries["bound_step"], bound_ms=str(int(self._limits.bound_s * 1000)))
                row = await connection.fetch_one(self._queries["take_task"])
                if row is None:
                    return False
                held_id = row["id"]
                await self._go_on(connection, read_task(row))
        except Exception as error:
            if not held_id:
                raise
            # Whatever broke must not stop the tasks of everybody else: this one goes to the end of the line.
            await self._note_failure(held_id, error)
        return True

    async def _go_on(self, connection: Connection, task: BackgroundTask) -> None:
        done = await (self._purge if task.task == "application.purge_content" else self._replay_next)(connection, task)
        if done is None:
            await self._end(connection, task, status="failed", reason=ENDPOINT_GONE)
            return
        await connection.execute(
            self._queries["step_done"], id=task.id, position=done["position"], replayed=done["replayed"]
        )
        if done["visited"] < self._limits.step:
            await self._end(connection, task, status="finished", reason="")

    async def _purge(self, connection: Connection, task: BackgroundTask) -> Row:
        """Remove what the next messages of a tenant held."""
        step = await self._expunge.purge(
            connection, task.tenant_id, position=task.position, up_to=task.arguments.up_to, most=self._limits.step
        )
        return {"position": step.position, "visited": step.visited, "replayed": step.expunged}

    async def _replay_next(self, connection: Connection, task: BackgroundTask) -> Row | None:
        """Replay what is chosen of the next rows; None where the endpoint is gone."""
        ids = {"tenant_id": task.tenant_id, "endpoint_id": task.endpoint_id}
        endpoint = await connection.fetch_one(self._queries["task_endpoint"], **ids)
        if endpoint is None:
            return None
        return await self._replay(connection, task, endpoint, task.position or await self._first(connection, task))

    async def _first(self, connection: Connection, task: BackgroundTask) -> int:
        """Give the row before the first that a task may mean."""
        query = "first_event_since" if task.task == "endpoint.replay" else "first_delivery_since"
        row = await connection.fetch_one(
            self._queries[query],
            tenant_id=task.tenant_id,
            up_to=task.arguments.up_to,
            since=task.arguments.chosen.since,
        )
        return max(0, row["first"] - 1) if row else 0

    async def _replay(self, connection: Connection, task: BackgroundTask, endpoint: Row, first: int) -> Row:
        chosen = task.arguments.chosen
        asked: dict[str, Any] = {
            "tenant_id": task.tenant_id,
            "endpoint_id": task.endpoint_id,
            "position": first,
            "up_to": task.arguments.up_to,
            "most": self._limits.step,
            "since": chosen.since,
            "until": chosen.until,
            # To the end of the line as it is now, and behind what has just happened.
            "key": ordered_key(task.endpoint_id) if endpoint["is_ordered"] else task.endpoint_id,
            "priority": int(Priority.LOW),
        }
        if task.task == "endpoint.replay":
            await connection.fetch_one(self._queries["take_turn"], endpoint_id=task.endpoint_id)
            wanted = {name: endpoint[name] for name in ("event_types", "channels")}
            row = await connection.fetch_one(
                self._queries["owe_missing"], **asked, **wanted, known_days=self._limits.known_days
            )
        else:
            row = await connection.fetch_one(
                self._queries["replay_chosen"], **asked, **_narrowing(task), asked_at=task.arguments.asked_at
            )
        assert row is not None
        return row

    async def _end(self, connection: Connection, task: BackgroundTask, *, status: str, reason: str) -> None:
        row = await connection.fetch_one(self._queries["end_task"], id=task.id, status=status, reason=reason)
        if row is None:
            return
        ended = read_task(row)
        tell("background_task.ended", task=ended.task, status=ended.status, replayed=ended.replayed)
        types = [BACKGROUND_TASK_FINISHED]
        if ended.task == "endpoint.recover" and ended.status == "finished":
            types.append(ENDPOINT_RECOVERED)
        for event_type in types:
            await self._operational.emit(
                event_type,
                tenant_id=ended.tenant_id,
                endpoint_id=ended.endpoint_id,
                facts=task_facts(ended),
                within=connection,
            )

    async def _note_failure(self, held_id: str, error: Exception) -> None:
        code = _named(error)
        tell("background_task.step_failed", code=code)
        await self._database.execute(
            self._queries["step_failed"],
            id=held_id,
            # A database that is away, or a row that somebody holds, is no fault of the task.
            count=0 if isinstance(error, StoreUnavailableError) else 1,
            most=_FAILURES_MOST,
            reason=f"failed: {code}",
        )


def task_facts(task: BackgroundTask) -> dict[str, object]:
    """Give what is told of a task that has ended."""
    return {"taskId": task.id, "task": task.task, "status": task.status, "data": task_data(task)}


def task_data(task: BackgroundTask) -> dict[str, object]:
    """Give what a task was asked for and what it has done."""
    chosen = task.arguments.chosen
    data: dict[str, object] = {"endpointId": task.endpoint_id, "since": chosen.since, "replayed": task.replayed}
    if task.task == "application.purge_content":
        data = {"messagesPurged": task.replayed}
    until: datetime | None = chosen.until
    if until is not None:
        data["until"] = until
    if task.reason:
        data["reason"] = task.reason
    return data


def _named(error: Exception) -> str:
    return error.code if isinstance(error, RowcastError) else type(error).__name__


def _narrowing(task: BackgroundTask) -> dict[str, object]:
    chosen = task.arguments.chosen
    return {
        "event_types": None if chosen.event_types is None else list(chosen.event_types),
        "channel": chosen.channel,
        "tag": chosen.tag,
        "statuses": list(chosen.statuses),
        "code_class": chosen.code_class,
    }
