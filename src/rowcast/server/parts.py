"""What `dev` and `serve` share: telemetry, health, and the routes of the API."""

import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import msgspec
from litestar import Router as Routes

from rowcast.core.clock import SystemClock
from rowcast.core.telemetry import listening, tell
from rowcast.delivery.dead_letter import DeadLetters
from rowcast.delivery.history import History
from rowcast.observe.health import Health
from rowcast.observe.logs import Log, LogSettings, settings_for
from rowcast.observe.metrics import Metrics
from rowcast.observe.status import StatusReader
from rowcast.observe.watch import Watch
from rowcast.outbox.table import EventTable
from rowcast.realtime.authorize import Authorizer
from rowcast.realtime.hub import Hub
from rowcast.realtime.subscriptions_table import SubscriptionTable
from rowcast.server.app import App, worker_name
from rowcast.server.incoming import incoming_desk
from rowcast.server.keys import find_key
from rowcast.server.routes_broadcast import BroadcastDesk, broadcast_routes, may_broadcast
from rowcast.server.routes_dead_letters import dead_letter_routes
from rowcast.server.routes_deliveries import delivery_routes
from rowcast.server.routes_endpoints import endpoint_routes
from rowcast.server.routes_events import event_routes
from rowcast.server.routes_health import health_routes
from rowcast.server.routes_incoming import incoming_routes
from rowcast.server.routes_outbox import outbox_routes
from rowcast.server.routes_realtime import realtime_routes, statistics_routes
from rowcast.server.routes_sources import source_routes
from rowcast.server.routes_sse import StreamDesk, sse_routes
from rowcast.server.routes_tenants import TenantDesk, tenant_routes
from rowcast.server.settings import Settings
from rowcast.server.socket_limits import tenant_limits
from rowcast.server.webhook_api_routes import webhook_api_routes

# Says at each restart of the database that each connection could not be restored; the rooms tell of that themselves.
_NOISY = frozenset({"asyncpg.pool"})


@contextmanager
def told(settings: Settings, metrics: Metrics) -> Iterator[None]:
    """Turn what the rooms tell into logs and metrics for the time of a block."""
    log = Log(sys.stderr, clock=SystemClock(), settings=log_settings(settings))
    with listening(log.hear), listening(metrics.hear), hearing_libraries():
        yield


@contextmanager
def hearing_libraries() -> Iterator[None]:
    """Tell what libraries log for the time of a block."""
    library, root = LibraryLog(), logging.root
    root.addHandler(library)
    try:
        yield
    finally:
        root.removeHandler(library)


class LibraryLog(logging.Handler):
    """Turns what libraries log into lines of ours: one sentence each, without the traceback.

    That a connection was lost is told by the room that had it; the libraries' own words for it would only be noise.
    """

    def __init__(self) -> None:
        """Take warnings and errors only."""
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Tell one record."""
        error = record.exc_info[1] if record.exc_info else None
        if record.name in _NOISY:
            return
        tell("library.warned", library=record.name, message=record.getMessage()[:300], error=str(error or "")[:300])


def log_settings(settings: Settings) -> LogSettings:
    """Give how to write: as the settings say, and where they say nothing as standard error is."""
    chosen = settings_for(sys.stderr, os.environ, level=settings.log.level)
    if settings.log.format == "auto":
        return chosen
    return msgspec.structs.replace(chosen, is_pretty=settings.log.format == "console")


def api_routes(app: App, *, health: Health, metrics: Metrics) -> Sequence[Routes]:
    """Give the routes that every gateway serves."""
    finder = partial(find_key, app.database)
    return (
        health_routes(health=health, exposition=metrics.exposition),
        event_routes(app=app, table=EventTable(database=app.database), find_key=finder),
        outbox_routes(relay=app.relay, find_key=finder),
        delivery_routes(history=History(database=app.database), find_key=finder),
        dead_letter_routes(dead_letters=DeadLetters(database=app.database), find_key=finder),
        endpoint_routes(table=app.endpoints, find_key=finder),
        source_routes(table=app.sources, find_key=finder),
        incoming_routes(incoming_desk(app)),
        statistics_routes(table=SubscriptionTable(database=app.database), find_key=finder),
        *webhook_api_routes(app, find_key=finder),
    )


def own_routes(app: App, *, health: Health, metrics: Metrics) -> Sequence[Routes]:
    """Give the routes of a process without a gateway: how it is, and nothing of anybody's."""
    return (health_routes(health=health, exposition=metrics.exposition),)


def user_routes(app: App, *, authorizer: Authorizer) -> Sequence[Routes]:
    """Give the routes that are called with users' tokens instead of API keys."""
    table = SubscriptionTable(database=app.database)
    own = realtime_routes(table=table, authorizer=authorizer, clock=app.clock, channels=app.channels)
    return own, *(_stock_routes(app, app.hub, authorizer) if app.hub is not None else ())


def _stock_routes(app: App, hub: Hub, authorizer: Authorizer) -> Sequence[Routes]:
    """Give what the stock server answers over HTTP beside its sockets."""
    desk = BroadcastDesk(
        publisher=hub,
        authorizer=authorizer,
        clock=app.clock,
        may_write=may_broadcast(hub.outside),
        events_per_s=hub.meters.limits.events_per_s,
    )
    # The whole, not the share of one worker: it is what the tenant has.
    limits = tenant_limits(app.settings.limits)
    tenants = TenantDesk(
        database=app.database, authorizer=authorizer, clock=app.clock, limits=limits, node=worker_name()
    )
    streams = StreamDesk(hub=hub, authorizer=authorizer, log=app.channel_log)
    return broadcast_routes(desk), sse_routes(streams), tenant_routes(tenants)


def health_watch(app: App, *, health: Health, metrics: Metrics) -> Watch:
    """Give what keeps readiness and gauges true."""
    return Watch(reader=StatusReader(database=app.database), health=health, metrics=metrics)
