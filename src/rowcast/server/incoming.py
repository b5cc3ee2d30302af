"""Incoming webhooks put together: what a sender told is written as an event of the outbox."""

import os
from collections.abc import Sequence

import msgspec

from rowcast.core.failpoint import FAILPOINTS_VARIABLE, failpoint_from
from rowcast.core.topic import module_of
from rowcast.outbox.emit_rows import emit_rows
from rowcast.outbox.new_event import NewEvent
from rowcast.server.app import App
from rowcast.store.pool import Connection
from rowcast.webhooks.incoming_desk import IncomingDesk, IncomingEvent
from rowcast.webhooks.incoming_meters import Meters


def incoming_desk(app: App) -> IncomingDesk:
    """Give what answers senders in this process.

    Raises:
        ConfigError: `config.failpoint`.
    """
    return IncomingDesk(
        table=app.sources,
        database=app.database,
        clock=app.clock,
        emit=emit_incoming,
        meters=Meters(rate_per_minute=app.settings.incoming.rate_per_minute),
        failpoint=failpoint_from(os.environ.get(FAILPOINTS_VARIABLE)),
    )


async def emit_incoming(connection: Connection, events: Sequence[IncomingEvent]) -> None:
    """Write what senders told as events, in the transaction that is open on a connection.

    Raises:
        InvalidInputError: What the outbox refuses.
    """
    await emit_rows(connection, [_row(event) for event in events])


def _row(event: IncomingEvent) -> NewEvent:
    return NewEvent(
        id=event.id,
        tenant_id=event.tenant_id,
        event_type=event.event_type,
        version=1,
        payload=msgspec.Raw(event.payload),
        aggregate_type=module_of(event.event_type),
    )
