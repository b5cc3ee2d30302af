"""The relay: takes batches from a feed and publishes them, for as long as it is let."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from rowcast.bus.bus import Bus
from rowcast.core.errors import ConfigError, RowcastError, StoreError
from rowcast.core.retry import RetryPolicy, backoff_s, jittered_s
from rowcast.core.telemetry import tell
from rowcast.outbox.drain import Drain, Drained
from rowcast.outbox.feed import EventHandler, Feed
from rowcast.outbox.low_bound import LowBound
from rowcast.outbox.options import RelayOptions
from rowcast.outbox.publisher import Counts, Publisher
from rowcast.store.pool import Database

DELIVERY_DUE = "delivery.due"
"""Bus subject that wakes the delivery runners; each message names a sink that has something to do."""
_RECONNECT = RetryPolicy(base_s=0.1, cap_s=4.0, jitter=0.25)

T = TypeVar("T")


class Relay:
    """Publishes what a feed gives. Several processes may run one each; the feeds agree on who has what."""

    def __init__(
        self,
        *,
        feed: Feed,
        handler: EventHandler,
        database: Database,
        bus: Bus | None = None,
        options: RelayOptions | None = None,
    ) -> None:
        """Take the feed, the router, the pool, and the bus that wakes the delivery runners."""
        self._feed = feed
        self._bus = bus
        self._options = options or RelayOptions()
        self._publisher = Publisher(handler=handler, database=database, options=self._options)
        self._database = database
        self._low_bound = LowBound(database=database)
        self._patience: asyncio.Timeout | None = None
        self._is_stopping = False
        self._failures = 0

    async def run(self) -> None:
        """Publish until cancelled or stopped. Where the database is gone, try again after at most five seconds.

        Raises:
            ConfigError: The database cannot serve this feed; only the operator can help.
        """
        async with asyncio.TaskGroup() as group:
            beside = [
                group.create_task(self._feed.keep_alive(), name="relay:keep_alive"),
                group.create_task(self._keep_low_bound(), name="relay:low_bound"),
            ]
            try:
                while not self._is_stopping:
                    await self._run_once()
            finally:
                for task in beside:
                    task.cancel()

    def stop(self) -> None:
        """Let `run` return when the batch that is out is settled; nothing is told twice then."""
        self._is_stopping = True
        with suppress(RuntimeError):  # nobody waits there any more
            if self._patience is not None:
                self._patience.reschedule(0.0)

    async def drain(self) -> Drained:
        """Publish what is pending now, or see to it that the running relays do, and give what came of it."""
        return await Drain(database=self._database, publisher=self._publisher, options=self._options).run()

    async def _run_once(self) -> None:
        """Open the feed and publish until something breaks; then close it and wait a little."""
        try:
            await self._unless_stopped(self._feed.open)
            await self._publish_all()
        except ConfigError:
            raise
        except Exception as error:  # noqa: BLE001 - task boundary: whatever broke, the batch comes again
            self._failures += 1
            tell("relay.interrupted", feed=self._feed.name, failures=self._failures, error=_named(error))
        finally:
            await self._feed.close()
        if self._failures:
            wait_s = jittered_s(backoff_s(self._failures, _RECONNECT), _RECONNECT, self._options.noise())
            await self._unless_stopped(lambda: asyncio.sleep(wait_s))

    async def _publish_all(self) -> None:
        while (batch := await self._unless_stopped(self._feed.next_batch)) is not None:
            counts, owed = await self._publisher.publish(self._feed, batch)
            self._failures = 0
            _tell_settled(self._feed.name, counts, owed.total())
            if owed:
                await self._wake(sorted(owed))
            gather_s = self._options.gather_s(len(batch.events))
            if gather_s:
                await self._unless_stopped(partial(asyncio.sleep, gather_s))

    async def _unless_stopped(self, wait: Callable[[], Awaitable[T]]) -> T | None:
        """Wait for something that may never come; give None when the relay is to stop."""
        if self._must_stop():
            return None
        try:
            async with asyncio.timeout(None) as self._patience:
                return await wait()
        except TimeoutError:
            if self._must_stop():
                return None
            raise
        finally:
            self._patience = None

    def _must_stop(self) -> bool:
        return self._is_stopping

    async def _wake(self, sinks: Sequence[str]) -> None:
        """Wake the delivery runners of these sinks. They also poll, so a bus that is away only costs time."""
        if self._bus is None:
            return
        try:
            await self._bus.publish(DELIVERY_DUE, [sink.encode() for sink in sinks])
        except StoreError as error:
            tell("relay.wake_failed", error=error.code)

    async def _keep_low_bound(self) -> None:
        while True:
            await asyncio.sleep(self._options.low_bound_every_s)
            try:
                await self._low_bound.advance()
            except Exception as error:  # noqa: BLE001 - task boundary: without it claims are slower, nothing else
                tell("relay.low_bound_failed", error=_named(error))


def _named(error: Exception) -> str:
    return error.code if isinstance(error, RowcastError) else f"{type(error).__name__}: {error}"


def _tell_settled(feed: str, counts: Counts, owed: int) -> None:
    tell(
        "relay.batch_settled",
        feed=feed,
        published=counts.published,
        failed=counts.failed,
        skipped=counts.skipped,
        deliveries=owed,
    )
