"""Events, feeds and slots, for the tests of the WAL feed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from rowcast.capture.wal_feed import WalFeed
from rowcast.core.envelope import Envelope
from rowcast.core.telemetry import listening
from rowcast.outbox.feed import Batch
from tests.record import published

_EMIT = """
insert into rowcast.event (id, tenant_id, aggregate_type, aggregate_id, event_type, occurred_at, payload)
select rowcast.uuid7(), %s, 'order', 'k' || n %% 10, 'orders.placed', now(), json_build_object('pad', repeat('x', %s))
from generate_series(1, %s) n
"""


def run(dsn: str, text: str, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    """Run one statement on a connection of its own."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(text, values)  # type: ignore[call-overload]
        return cursor.fetchall() if cursor.description else []


def emit(dsn: str, count: int, *, tenant: str = "acme", pad: int = 10) -> None:
    """Commit events in one transaction."""
    run(dsn, _EMIT, [tenant, pad, count])


def slots(dsn: str) -> list[tuple[Any, ...]]:
    """Give name and activity of the slots of this database."""
    return run(dsn, "select slot_name, active from pg_replication_slots where database = current_database()")


async def settle(feed: WalFeed, batch: Batch) -> int:
    """Record a batch as published, as a relay would, and give how many of its events were new."""
    new = await feed.settle(batch, published(batch.events))
    await feed.acknowledge(batch)
    return len(new)


async def collect(feed: WalFeed, count: int) -> list[Envelope]:
    """Settle batch after batch until so many events have come."""
    events: list[Envelope] = []
    async with asyncio.timeout(60):
        while len(events) < count:
            batch = await feed.next_batch()
            events += batch.events
            await settle(feed, batch)
    return events


@asynccontextmanager
async def opened(dsn: str, **values: Any) -> AsyncIterator[WalFeed]:
    """Give an open feed that gives its signs of life; `hear` is told the messages to sockets."""
    hear = values.pop("hear", None)
    feed = WalFeed(dsn=dsn, **{"lease_s": 5.0, "batch_size": 100, **values})
    if hear is not None:
        feed.tell_messages(hear)
    async with asyncio.TaskGroup() as group:
        # As the relay does it: beside everything else, from before the feed is open.
        beat = group.create_task(feed.keep_alive(), name="test:keep_alive")
        try:
            async with asyncio.timeout(30):
                await feed.open()
            yield feed
        finally:
            await feed.close()
            beat.cancel()


async def until(is_so: Callable[[], bool], *, patience_s: float = 20.0) -> None:
    """Look again and again until it is so."""
    async with asyncio.timeout(patience_s):
        while not is_so():
            await asyncio.sleep(0.02)


class Heard:
    """What is told while it listens: `with Heard() as heard`."""

    def __init__(self) -> None:
        self.facts: list[tuple[str, dict[str, Any]]] = []
        self._listening = listening(self._hear)

    def __enter__(self) -> "Heard":
        self._listening.__enter__()
        return self

    def __exit__(self, *exit_: object) -> None:
        self._listening.__exit__(None, None, None)

    def named(self, name: str) -> list[dict[str, Any]]:
        return [facts for told, facts in self.facts if told == name]

    def _hear(self, name: str, facts: Mapping[str, Any]) -> None:
        self.facts.append((name, dict(facts)))
