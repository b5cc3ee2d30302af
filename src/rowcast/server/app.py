"""The one place that builds: every room gets what it asks for here, and nowhere else."""

import os
import random
import socket
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from msgspec.structs import replace

from rowcast.bus.bus import Bus
from rowcast.bus.bus_key import read_bus_key
from rowcast.bus.memory import MemoryBus
from rowcast.bus.nats import NatsBus
from rowcast.bus.postgres import PostgresBus
from rowcast.capture.message_feed import MessageFeed
from rowcast.capture.message_partitions import MessagePartitions
from rowcast.capture.wal_feed import WalFeed
from rowcast.core.clock import Clock, SystemClock
from rowcast.core.event import DECLARED
from rowcast.core.event_types import EventTypes
from rowcast.core.pack import Pack
from rowcast.core.retry import RetryPolicy
from rowcast.core.sink import Sink
from rowcast.delivery.breaker import BreakerPolicy
from rowcast.delivery.lane import Limiter, SinkOptions, alike
from rowcast.delivery.ledger import Ledger
from rowcast.delivery.runner import Runner
from rowcast.egress.client import open_client
from rowcast.egress.guard import Policy
from rowcast.jobs.sink import JobSink
from rowcast.outbox.archive import Archive, Retention
from rowcast.outbox.claim_feed import ClaimFeed
from rowcast.outbox.feed import Feed
from rowcast.outbox.options import RelayOptions
from rowcast.outbox.relay import DELIVERY_DUE, Relay
from rowcast.realtime.asking import Outside
from rowcast.realtime.audit_writer import ActivityWriter
from rowcast.realtime.changes import Changes
from rowcast.realtime.database_messages import DatabaseMessages
from rowcast.realtime.hub import Hub
from rowcast.realtime.recover import DurableLog
from rowcast.realtime.row_policies import PolicyLimits
from rowcast.realtime.sink import RealtimeSink
from rowcast.realtime.subscriptions import DeclaredChannel
from rowcast.realtime.subscriptions_policy import DeclaredChannelPolicy
from rowcast.realtime.transport_sink import TransportSink
from rowcast.router.router import Router
from rowcast.router.rule import built_in_rules
from rowcast.server.channel_policies import channel_policies
from rowcast.server.channels import declared_channels
from rowcast.server.feed_choice import is_log_streamed
from rowcast.server.key_ring import key_ring
from rowcast.server.plugins import options_of
from rowcast.server.policy import egress_policy
from rowcast.server.portal_links import drop_old_links
from rowcast.server.recovery import channel_log
from rowcast.server.row_changes import ChangesPlan, row_changes
from rowcast.server.settings import Settings
from rowcast.server.socket_limits import hub_limits, tenant_limits, worker_share
from rowcast.server.transports import LIMITS as TRANSPORT_LIMITS
from rowcast.server.transports import transport_rules, transport_sinks
from rowcast.server.webhook_api_answers import drop_old_answers
from rowcast.server.webhook_engine import Ground, egress_settings, endpoint_limits, recovery, webhook_sink
from rowcast.store.pool import Database, PoolSettings, open_database
from rowcast.webhooks.background_task import drop_old_tasks
from rowcast.webhooks.endpoint_limits import EndpointLimits
from rowcast.webhooks.expunge import Expunge
from rowcast.webhooks.incoming_table import SourceTable
from rowcast.webhooks.message_table import drop_lost_messages
from rowcast.webhooks.recovery import Recovery
from rowcast.webhooks.retry_rules import WAITS_LIMIT
from rowcast.webhooks.sealing import KeyRing
from rowcast.webhooks.secrets_table import SecretTable
from rowcast.webhooks.sink import WebhookSink
from rowcast.webhooks.sweep import Step, Sweep
from rowcast.webhooks.table import EndpointTable

_JOB_THREADS = 8
_BESIDE_POST_S = 10.0
"""What an attempt may take beside its post: to wait for its host, for a token, and for our own database."""


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
    ring: KeyRing
    endpoints: EndpointTable
    sources: SourceTable
    router: Router
    hub: Hub | None
    relay: Relay | None
    archive: Archive | None
    sweep: Sweep | None
    recovery: Recovery | None
    messages: MessageFeed | None
    message_partitions: MessagePartitions | None
    runner: Runner | None
    channel_log: DurableLog | None
    activity: ActivityWriter | None
    channels: Mapping[str, DeclaredChannel]
    is_bus_connected: Callable[[], bool] | None = None


@asynccontextmanager
async def open_app(
    settings: Settings, *, database_url: str, packs: Sequence[Pack], is_alone: bool = False, bus: Bus | None = None
) -> AsyncIterator[App]:
    """Build the rooms for the time of a block.

    Args:
        settings: What the operator wants.
        database_url: The migrated database.
        packs: Events, rules and tasks to serve.
        is_alone: No other node will ever run on this database, so the bus need not leave the process.
        bus: Instead of a bus of its own; opened and closed by whoever gives it.
    Raises:
        ConfigError: A setting, a rule or a pack does not fit.
        UsageError: `usage.upcaster`, when a declared event type lacks the way from an older version.
        StoreUnavailableError: The database cannot be reached.
    """
    DECLARED.check()
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(open_database(database_url, _pool(settings)))
        if bus is None:
            bus = MemoryBus() if is_alone else await _make_bus(settings, database_url, database)
            await bus.open()
            stack.push_async_callback(bus.close)
        build = _Build(settings, database_url, SystemClock(), random.random, database, bus)
        app = await build.app(stack, options_of(packs))
        if app.hub is not None:
            app.hub.outside.log = app.channel_log
        if app.hub is not None and app.channel_log is not None:
            app.channel_log.on_gap = app.hub.end_session
        yield app


@dataclass(frozen=True, slots=True)
class _Build:
    """What the parts are made of, and how."""

    settings: Settings
    dsn: str
    clock: Clock
    noise: Callable[[], float]
    database: Database
    bus: Bus

    async def app(self, stack: AsyncExitStack, options: Mapping[str, tuple[Any, ...]]) -> App:
        """Put everything together; what must be closed is left to `stack`."""
        policy = egress_policy(self.settings)
        ring = key_ring(self.settings)
        secrets = SecretTable(database=self.database, ring=ring, clock=self.clock)
        sources = SourceTable(database=self.database, ring=ring, clock=self.clock)
        endpoints = self._endpoints(policy, secrets)
        ground = Ground(self.settings, self.database, self.clock, self.noise, policy, ring)
        limits = endpoint_limits(ground)
        sinks = await self._sinks(stack, ground, endpoints=endpoints, limits=limits, tasks=options["tasks"])
        rules = (*built_in_rules(), *transport_rules(self.settings.ably), *options["rules"])
        router = Router(rules=rules, sinks=sinks, live_sinks=(RealtimeSink(bus=self.bus),))
        ledger = Ledger(database=self.database, worker=worker_name())
        roles = self.settings.server.roles
        feed = await self._feed() if "relay" in roles else None
        return App(
            settings=self.settings,
            database_url=self.dsn,
            database=self.database,
            clock=self.clock,
            bus=self.bus,
            catalogue=DECLARED,
            ledger=ledger,
            ring=ring,
            sources=sources,
            endpoints=endpoints,
            router=router,
            hub=await self._hub(stack, options) if "gateway" in roles else None,
            relay=self._relay(router, feed) if feed else None,
            archive=self._archive() if feed else None,
            sweep=self._sweep(sources, secrets) if feed else None,
            recovery=recovery(ground) if "delivery" in roles else None,
            messages=self._messages(feed) if feed else None,
            message_partitions=self._message_partitions() if feed else None,
            runner=self._runner(sinks, ledger, limits) if "delivery" in roles else None,
            channel_log=self._channel_log(router) if "gateway" in roles else None,
            activity=self._activity() if "gateway" in roles else None,
            channels=declared_channels(self.settings.channel, options["subscriptions"]),
            is_bus_connected=self._bus_connection(),
        )

    def _endpoints(self, policy: Policy, secrets: SecretTable) -> EndpointTable:
        most = self.settings.webhooks.endpoints_per_tenant
        return EndpointTable(database=self.database, policy=policy, clock=self.clock, secrets=secrets, most=most)

    async def _sinks(
        self,
        stack: AsyncExitStack,
        ground: Ground,
        *,
        endpoints: EndpointTable,
        limits: EndpointLimits,
        tasks: Sequence[Any],
    ) -> tuple[Sink, ...]:
        client = await stack.enter_async_context(
            open_client(clock=self.clock, policy=ground.policy, settings=egress_settings(self.settings))
        )
        executor = stack.enter_context(ThreadPoolExecutor(_JOB_THREADS, thread_name_prefix="rowcast-job"))
        webhooks = webhook_sink(ground, table=endpoints, client=client, limits=limits)
        others = transport_sinks(self.settings.ably, client=client)
        return webhooks, JobSink(tasks=tasks, executor=executor), *others

    def _relay(self, router: Router, feed: Feed) -> Relay:
        policy = RetryPolicy(max_attempts=self.settings.relay.max_attempts, base_s=1.0, cap_s=3600.0)
        options = RelayOptions(retry=policy, spare_feed=self._claim_feed, noise=self.noise)
        return Relay(feed=feed, handler=router, database=self.database, bus=self.bus, options=options)

    async def _feed(self) -> Feed:
        """Give the feed asked for; `auto` streams the log where it can be streamed."""
        relay = self.settings.relay
        if await is_log_streamed(self.database, relay.feed):
            feed = WalFeed(dsn=self.dsn, lease_s=relay.lease_s, batch_size=relay.batch_size, noise=self.noise)
            feed.tell_messages(DatabaseMessages(bus=self.bus).hear)
            return feed
        return self._claim_feed()

    async def _hub(self, stack: AsyncExitStack, options: Mapping[str, tuple[Any, ...]]) -> Hub:
        asked = self.settings.policies
        pool = PoolSettings(max_size=asked.connections, timeout_s=asked.timeout_s, application_name="rowcast policies")
        database = await stack.enter_async_context(open_database(self.dsn, pool))
        limits = PolicyLimits(at_once=asked.connections)
        others = channel_policies(options["channels"], self.settings.owner, database=database, limits=limits)
        declared = declared_channels(self.settings.channel, options["subscriptions"])
        policies = (DeclaredChannelPolicy(declared), *others)
        changes = await stack.enter_async_context(self._row_changes(database))
        return Hub(
            bus=self.bus,
            clock=self.clock,
            limits=hub_limits(self.settings.limits),
            outside=Outside(policies=policies, changes=changes),
            tenant_limits=worker_share(tenant_limits(self.settings.limits), workers=self.settings.server.workers),
        )

    def _row_changes(self, policies: Database) -> AbstractAsyncContextManager[Changes | None]:
        asked, lease_s = self.settings.realtime, self.settings.relay.lease_s
        plan = ChangesPlan(asked.changes, asked.changes_deletes, lease_s, os.urandom(8).hex())
        places = {"database": self.database, "policies": policies}
        return row_changes(plan, dsn=self.dsn, bus=self.bus, clock=self.clock, **places)

    def _messages(self, feed: Feed) -> MessageFeed:
        """Give what reads the messages of the database where the log does not tell them."""
        hear, is_streamed = DatabaseMessages(bus=self.bus).hear, isinstance(feed, WalFeed)
        return MessageFeed(dsn=self.dsn, hear=hear, is_streamed=is_streamed, lease_s=self.settings.relay.lease_s)

    def _message_partitions(self) -> MessagePartitions:
        return MessagePartitions(database=self.database, noise=self.noise)

    def _claim_feed(self) -> ClaimFeed:
        relay = self.settings.relay
        return ClaimFeed(dsn=self.dsn, lease_s=relay.lease_s, batch_size=relay.batch_size)

    def _archive(self) -> Archive:
        kept = self.settings.retention
        retention = Retention(
            events_days=kept.events_days, deliveries_days=kept.deliveries_days, drop_detached=kept.drop_detached
        )
        return Archive(database=self.database, retention=retention, noise=self.noise)

    def _sweep(self, sources: SourceTable, secrets: SecretTable) -> Sweep:
        forget = partial(sources.forget, days=self.settings.incoming.keep_days)
        expunge = Expunge(database=self.database)
        steps: dict[str, Step] = {
            "incoming": forget,
            "secrets": secrets.sweep,
            "messages": expunge.sweep,
            "lost_messages": partial(drop_lost_messages, self.database, days=self.settings.retention.events_days),
            "answers": partial(drop_old_answers, self.database),
            "portal_links": partial(drop_old_links, self.database),
            "tasks": partial(drop_old_tasks, self.database),
        }
        return Sweep(steps, noise=self.noise)

    def _channel_log(self, router: Router) -> DurableLog:
        return channel_log(database=self.database, clock=self.clock, rules=router.rules)

    def _activity(self) -> ActivityWriter:
        keep_days = self.settings.retention.activity_days
        return ActivityWriter(database=self.database, clock=self.clock, keep_days=keep_days)

    def _runner(self, sinks: Sequence[Sink], ledger: Ledger, limits: EndpointLimits) -> Runner:
        return Runner(
            ledger=ledger,
            sinks={sink.name: sink for sink in sinks},
            clock=self.clock,
            noise=self.noise,
            options={sink.name: sink_options(self.settings, sink, limits.of) for sink in sinks},
        )

    def _bus_connection(self) -> Callable[[], bool] | None:
        bus = self.bus
        return (lambda: bus.is_connected) if isinstance(bus, PostgresBus | NatsBus) else None


def worker_name() -> str:
    """Give the word by which rows and locks name this process: host and process id."""
    return f"{socket.gethostname()[:60]}:{os.getpid()}"


async def _make_bus(settings: Settings, dsn: str, database: Database) -> PostgresBus | NatsBus:
    url, node = settings.bus.url, os.urandom(16)
    if url is None:
        return PostgresBus(dsn, node=node, noise=random.random, hears=_heard(settings.server.roles))
    key = await read_bus_key(database)
    return NatsBus(url.get_secret_value(), key=key, node=node, noise=random.random)


def _heard(roles: Sequence[str]) -> Sequence[str] | None:
    """Give the subjects that a process listens to; what sockets are told is nothing to one without a gateway."""
    if "gateway" in roles:
        return None
    return (DELIVERY_DUE,) if "delivery" in roles else ()


def _pool(settings: Settings) -> PoolSettings:
    return PoolSettings(
        max_size=settings.database.pool_size, timeout_s=settings.database.timeout_s, application_name="rowcast"
    )


def sink_options(settings: Settings, sink: Sink, endpoint_limiter: Limiter) -> SinkOptions:
    """Give a sink's bounds: a job may take as long as its task says, an endpoint has a rate of its own."""
    delivery = settings.delivery
    plain = SinkOptions(concurrency=delivery.concurrency, timeout_s=delivery.timeout_s, lease_s=delivery.lease_s)
    if isinstance(sink, JobSink):
        return replace(plain, timeout_s=max(delivery.timeout_s, sink.longest_timeout_s))
    limits = alike(TRANSPORT_LIMITS) if isinstance(sink, TransportSink) else endpoint_limiter
    guarded = replace(plain, limits=limits, breaker=BreakerPolicy())
    if not isinstance(sink, WebhookSink):
        return guarded
    return replace(
        guarded,
        timeout_s=max(delivery.timeout_s, settings.webhooks.timeout_s + _BESIDE_POST_S),
        prepare=sink.read_ahead,
        lost_attempts=WAITS_LIMIT + 1,
    )
