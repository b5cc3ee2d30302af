"""Tables that change, and receivers that write down what they hear, for the tests of postgres changes."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

import psycopg

from rowcast.bus.bus import Bus
from rowcast.bus.memory import MemoryBus
from rowcast.capture.change_feed import ChangeFeed, ChangeFeedOptions
from rowcast.core.clock import SystemClock
from rowcast.core.telemetry import listening
from rowcast.realtime.authorize import Claims
from rowcast.realtime.change_source import Binding
from rowcast.realtime.changes import Changes, ChangesOptions
from rowcast.store.pool import Database

SUBSCRIBED = ("ok", "Subscribed to PostgreSQL")


def run(dsn: str, *statements: str) -> None:
    """Run each statement in a transaction of its own."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]


def publish(dsn: str, *statements: str, tables: str) -> None:
    """Make tables that the roles of tokens may use, and add them to the publication that clients hear of."""
    run(
        dsn, "select rowcast.grant_new_tables()", *statements, f"alter publication supabase_realtime add table {tables}"
    )


def claims(role: str = "service_role", **facts: object) -> Claims:
    """Give the claims of a token for a role."""
    return Claims(role, 2**31, None, json.dumps({"role": role, **facts}).encode())


def binding(table: str | None = "orders", number: int = 1, **values: Any) -> Binding:
    """Give a binding to a table of the schema public."""
    asked = {"event": "*", "schema": "public", "filter": None, "select": None, **values}
    return Binding(number, asked["event"], asked["schema"], table, asked["filter"], asked["select"])


class Receiver:
    """A channel that writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[tuple[int, ...], dict[str, Any]]] = []
        self.system: list[tuple[str, str]] = []

    def hear_change(self, ids: tuple[int, ...], data: bytes) -> None:
        self.heard.append((ids, json.loads(data)))

    def hear_changes_system(self, status: str, text: str) -> None:
        self.system.append((status, text))

    @property
    def changes(self) -> list[dict[str, Any]]:
        return [data for _, data in self.heard]

    @property
    def types(self) -> list[str]:
        return [data["type"] for data in self.changes]

    @property
    def records(self) -> list[dict[str, Any]]:
        return [data["record"] for data in self.changes]

    async def expect(self, count: int, *, patience_s: float = 20.0) -> list[dict[str, Any]]:
        """Wait until so many changes have come."""
        await until(lambda: len(self.heard) >= count, patience_s=patience_s)
        return self.changes


async def until(is_so: Callable[[], bool], *, patience_s: float = 20.0) -> None:
    """Look again and again until it is so."""
    async with asyncio.timeout(patience_s):
        while not is_so():
            await asyncio.sleep(0.01)


class Node:
    """A process that tells changes."""

    def __init__(self, changes: Changes, feed: ChangeFeed) -> None:
        self.changes = changes
        self.feed = feed

    async def listen(self, *bindings: Binding, by: Claims | None = None) -> Receiver:
        """Give a receiver that has subscribed."""
        receiver = Receiver()
        async with asyncio.timeout(30):
            await self.changes.subscribe(receiver, bindings or (binding(),), by or claims())
        return receiver


@asynccontextmanager
async def node(
    dsn: str,
    database: Database,
    *,
    bus: Bus | None = None,
    name: str = "a",
    feed: ChangeFeedOptions | None = None,
    options: ChangesOptions | None = None,
) -> AsyncIterator[Node]:
    """Run a node for a block."""
    clock = SystemClock()
    chosen = feed or ChangeFeedOptions(lease_s=5.0, linger_s=0.2, retry_s=0.05)
    stream = ChangeFeed(dsn=dsn, database=database, bus=bus or MemoryBus(), node=name, clock=clock, options=chosen)
    changes = Changes(database=database, feed=stream, clock=clock, options=options)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(stream.run(changes))
        try:
            yield Node(changes, stream)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


class Told:
    """What is told while it listens."""

    def __init__(self) -> None:
        self.facts: list[tuple[str, dict[str, Any]]] = []
        self._listening = listening(self._hear)

    def __enter__(self) -> "Told":
        self._listening.__enter__()
        return self

    def __exit__(self, *exit_: object) -> None:
        self._listening.__exit__(None, None, None)

    def named(self, name: str) -> list[dict[str, Any]]:
        return [facts for told, facts in self.facts if told == name]

    def _hear(self, name: str, facts: Mapping[str, Any]) -> None:
        self.facts.append((name, dict(facts)))
