"""The one place that builds: every room gets what it asks for here, and nowhere else."""

import os
import random
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from rowcast.bus.bus import Bus
from rowcast.bus.memory import MemoryBus
from rowcast.bus.postgres import PostgresBus
from rowcast.capture.wal_feed import WalFeed
from rowcast.core.clock import Clock, SystemClock
from rowcast.core.event import DECLARED
from rowcast.core.event_types import EventTypes
from rowcast.core.pack import Pack
from rowcast.core.retry import RetryPolicy
from rowcast.core.sink import Sink
from rowcast.delivery.breaker import BreakerPolicy
from rowcast.delivery.lane import SinkOptions
from rowcast.delivery.ledger import Ledger
from rowcast.delivery.rate_limit import Limits
from rowcast.delivery.runner import Runner
from rowcast.egress.client import open_client
from rowcast.egress.guard import Policy
from rowcast.egress.reply import EgressSettings
from rowcast.jobs.sink import JobSink
from rowcast.outbox.archive import Archive, Retention
from rowcast.outbox.claim_feed import ClaimFeed
from rowcast.outbox.feed import Feed
from rowcast.outbox.options import RelayOptions
from rowcast.outbox.relay import Relay
from rowcast.realtime.hub import Hub
from rowcast.realtime.sink import RealtimeSink
from rowcast.router.router import Router
from rowcast.router.rule import built_in_rules
from rowcast.server.plugins import options_of
from rowcast.server.settings import Settings
from rowcast.store.pool import Database, PoolSettings, open_database
from rowcast.store.sql import load_queries
from rowcast.webhooks.sink import WebhookSink
from rowcast.webhooks.table import EndpointTable

_JOB_THREADS = 8


@dataclass(frozen=True, slots=True)
class App:
    """The rooms of one process, built and connected. What this process does not do is None."""

    settings: Settings
    database_url: str
    database: Database
    clock: Clock
    bus: Bus
    catalogue: EventTypes
    ledger: Ledger
    endpoints: EndpointTable
    router: Router
    hub: Hub | None
    relay: Relay | None
    archive: Archive | None
    runner: Runner | None


@asynccontextmanager
async def open_app(
    settings: Settings, *, database_url: str, packs: Sequence[Pack], is_alone: bool = False
) -> AsyncIterator[App]:
    """Build the rooms for the time of a block.

    Args:
        settings: What the operator wants.
        database_url: The migrated database.
        packs: Events, rules and tasks to serve.
        is_alone: No other node will ever run on this database, so the bus need not leave the process.
    Raises:
        ConfigError: A setting, a rule or a pack does not fit.
        StoreUnavailableError: The database cannot be reached.
    """
    clock, noise = SystemClock(), random.random
    options = options_of(packs)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(database_url, _pool(settings)))
        bus = _bus(database_url, clock, noise, is_alone=is_alone)
        await bus.open()
        stack.push_async_callback(bus.close)
        policy = egress_policy(settings)
        endpoints = EndpointTable(database=database, policy=policy, clock=clock)
        client = await stack.enter_async_context(
            open_client(clock=clock, policy=policy, settings=EgressSettings(timeout_s=settings.webhooks.timeout_s))
        )
        executor = stack.enter_context(ThreadPoolExecutor(_JOB_THREADS, thread_name_prefix="rowcast-job"))
        sinks: tuple[Sink, ...] = (
            WebhookSink(table=endpoints, client=client, clock=clock),
            JobSink(tasks=options["tasks"], executor=executor),
        )
        router = Router(rules=(*built_in_rules(), *options["rules"]), sinks=sinks, live_sinks=(RealtimeSink(bus=bus),))
        ledger = Ledger(database=database, worker=worker_name())
        roles = settings.server.roles
        yield App(
            settings=settings,
            database_url=database_url,
            database=database,
            clock=clock,
            bus=bus,
            catalogue=DECLARED,
            ledger=ledger,
            endpoints=endpoints,
            router=router,
            hub=Hub(bus=bus, clock=clock) if "gateway" in roles else None,
            relay=await _relay(settings, database_url, database=database, router=router, ledger=ledger, bus=bus)
            if "relay" in roles
            else None,
            archive=_archive(settings, database, noise) if "relay" in roles else None,
            runner=_runner(settings, sinks, ledger, clock, noise) if "delivery" in roles else None,
        )


def worker_name() -> str:
    """Give the word by which rows and locks name this process: host and process id."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}"


def egress_policy(settings: Settings) -> Policy:
    """Give what may be posted to."""
    allowed = frozenset(_host_and_port(text) for text in settings.webhooks.allow_private)
    return Policy(allow_http=settings.webhooks.allow_http, allowed=allowed)


async def has_logical_wal(database: Database) -> bool:
    """Tell whether the server's write-ahead log can be streamed."""
    row = await database.fetch_one(load_queries("rowcast.server")["wal_level"])
    return row is not None and row["wal_level"] == "logical"


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def _pool(settings: Settings) -> PoolSettings:
    return PoolSettings(
        max_size=settings.database.pool_size, timeout_s=settings.database.timeout_s, application_name="rowcast"
    )


def _bus(dsn: str, clock: Clock, noise: Callable[[], float], *, is_alone: bool) -> Bus:
    return MemoryBus() if is_alone else PostgresBus(dsn, node=os.urandom(16), noise=noise)


async def _relay(
    settings: Settings, dsn: str, *, database: Database, router: Router, ledger: Ledger, bus: Bus
) -> Relay:
    policy = RetryPolicy(max_attempts=settings.relay.max_attempts, base_s=1.0, cap_s=3600.0)
    options = RelayOptions(retry=policy, spare_feed=lambda: _claim_feed(settings, dsn), noise=random.random)
    feed = await _feed(settings, dsn, database)
    return Relay(feed=feed, handler=router, database=database, ledger=ledger, bus=bus, options=options)


async def _feed(settings: Settings, dsn: str, database: Database) -> Feed:
    """Give the feed asked for; `auto` streams the log where it can be streamed."""
    asked = settings.relay.feed
    if asked == "wal" or (asked == "auto" and await has_logical_wal(database)):
        relay = settings.relay
        return WalFeed(dsn=dsn, lease_s=relay.lease_s, batch_size=relay.batch_size, noise=random.random)
    return _claim_feed(settings, dsn)


def _archive(settings: Settings, database: Database, noise: Callable[[], float]) -> Archive:
    kept = settings.retention
    retention = Retention(
        events_days=kept.events_days, deliveries_days=kept.deliveries_days, drop_detached=kept.drop_detached
    )
    return Archive(database=database, retention=retention, noise=noise)


def _claim_feed(settings: Settings, dsn: str) -> ClaimFeed:
    return ClaimFeed(dsn=dsn, lease_s=settings.relay.lease_s, batch_size=settings.relay.batch_size)


def _runner(
    settings: Settings, sinks: Sequence[Sink], ledger: Ledger, clock: Clock, noise: Callable[[], float]
) -> Runner:
    return Runner(
        ledger=ledger,
        sinks={sink.name: sink for sink in sinks},
        clock=clock,
        noise=noise,
        options={sink.name: _sink_options(settings, sink) for sink in sinks},
    )


def _sink_options(settings: Settings, sink: Sink) -> SinkOptions:
    """Bound each sink; a job may take as long as its task says, a webhook goes to an endpoint with a limit of its own."""
    delivery = settings.delivery
    if isinstance(sink, JobSink):
        timeout_s = max(delivery.timeout_s, sink.longest_timeout_s)
        return SinkOptions(concurrency=delivery.concurrency, timeout_s=timeout_s, lease_s=delivery.lease_s)
    limits = Limits(rate_per_minute=settings.webhooks.rate_per_minute, burst=settings.webhooks.rate_per_minute)
    return SinkOptions(
        concurrency=delivery.concurrency,
        timeout_s=delivery.timeout_s,
        lease_s=delivery.lease_s,
        limits=lambda _: limits,
        breaker=BreakerPolicy(),
    )
