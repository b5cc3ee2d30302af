"""Postgres changes, built and run: where the log can be streamed, and only there."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Literal

import msgspec

from rowcast.bus.bus import Bus
from rowcast.capture.change_feed import ChangeFeed, ChangeFeedOptions
from rowcast.core.clock import Clock
from rowcast.core.errors import RowcastError
from rowcast.core.telemetry import tell
from rowcast.realtime.changes import Changes, ChangesOptions
from rowcast.server.feed_choice import find_obstacle, read_stream_rights
from rowcast.store.pool import Database

_PAUSE_S = 5.0


class ChangesPlan(msgspec.Struct, frozen=True):
    """What the operator wants of postgres changes. `node` is a word that no other node has."""

    asked: Literal["auto", "off"]
    deletes: Literal["told", "checked", "dropped"]
    lease_s: float
    node: str


@asynccontextmanager
async def row_changes(
    plan: ChangesPlan, *, dsn: str, database: Database, policies: Database, bus: Bus, clock: Clock
) -> AsyncIterator[Changes | None]:
    """Run the source of changes for a block; None where it is off or the log cannot be streamed, which is told.

    Args:
        plan: What is wanted.
        dsn: `postgresql://...`, straight to the server: a pooler cannot stream.
        database: For questions about slot and publication.
        policies: For questions to row-level security, which may be slow.
        bus: What the nodes tell each other on.
        clock: Where the time comes from.
    """
    if plan.asked == "off" or not await _can_stream(database):
        yield None
        return
    options = ChangeFeedOptions(lease_s=plan.lease_s)
    feed = ChangeFeed(dsn=dsn, database=database, bus=bus, node=plan.node, clock=clock, options=options)
    changes = Changes(database=policies, feed=feed, clock=clock, options=ChangesOptions(deletes=plan.deletes))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(_keep_running(feed, changes), name="row_changes")
        try:
            yield changes
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def _can_stream(database: Database) -> bool:
    rights = await read_stream_rights(database)
    # The migrations make the publication, so no right to make one is needed here.
    obstacle = find_obstacle(msgspec.structs.replace(rights, may_publish=True))
    if obstacle is not None:
        tell("changes.log_not_streamed", missing=obstacle)
    return obstacle is None


async def _keep_running(feed: ChangeFeed, changes: Changes) -> None:
    while True:
        try:
            await feed.run(changes)
        except* RowcastError as errors:
            tell("changes.feed_failed", error=str(errors.exceptions[0]))
        except* Exception as errors:  # noqa: BLE001 - task boundary: a fault here must not end the sockets
            tell("changes.feed_crashed", error=type(errors.exceptions[0]).__name__)
        changes.hear_gap("the reader of the log had a fault and begins anew")
        await asyncio.sleep(_PAUSE_S)
