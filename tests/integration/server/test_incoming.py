"""What senders told is written as an event of the outbox, whatever its type."""

import uuid

import pytest

from rowcast.core.clock import SystemClock
from rowcast.core.errors import ConfigError, PayloadTooLargeError
from rowcast.core.ids import uuid7
from rowcast.server.incoming import emit_incoming, incoming_desk
from rowcast.store.pool import Database
from rowcast.webhooks.incoming_desk import IncomingEvent
from tests.integration.server.running import Running


def event(payload: bytes = b'{"id":"o1","n":1.50}') -> IncomingEvent:
    return IncomingEvent(uuid7(SystemClock().now()), "acme", "stripe.charge.succeeded", payload)


async def test_an_event_is_written_in_the_callers_transaction(database: Database) -> None:
    made = event()
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await emit_incoming(connection, [event()])
            raise ZeroDivisionError
    async with database.transaction() as connection:
        await emit_incoming(connection, [made])

    async with database.connection() as connection:
        rows = await connection.driver.fetch(
            "select id, tenant_id, event_type, aggregate_type, aggregate_id, payload::text as payload from rowcast.event"
        )
    assert [tuple(row) for row in rows] == [
        (made.id, "acme", "stripe.charge.succeeded", "stripe", "o1", '{"id":"o1","n":1.50}')
    ]
    assert isinstance(made.id, uuid.UUID)


async def test_what_is_too_large_is_refused_before_the_database_is_touched(database: Database) -> None:
    with pytest.raises(PayloadTooLargeError):
        async with database.transaction() as connection:
            await emit_incoming(connection, [event(b'{"t":"%b"}' % (b"x" * 65_536))])


async def test_a_failpoint_that_cannot_be_read_stops_the_start(api: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROWCAST_FAILPOINTS", "nonsense")

    with pytest.raises(ConfigError):
        incoming_desk(api.app)
