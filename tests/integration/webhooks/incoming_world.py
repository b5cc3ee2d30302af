"""A tenant's sources on a real database, and a desk whose events are kept in a list or written as they really are."""

import os
from collections.abc import Sequence
from typing import Any

from rowcast.core.failpoint import Failpoint, no_failpoint
from rowcast.server.incoming import emit_incoming
from rowcast.store.pool import Connection, Database
from rowcast.testing.fake_clock import FakeClock
from rowcast.webhooks.incoming_desk import IncomingDesk, IncomingEvent
from rowcast.webhooks.incoming_meters import Meters
from rowcast.webhooks.incoming_source import Source, SourceDraft
from rowcast.webhooks.incoming_table import SourceTable
from rowcast.webhooks.sealing import KeyRing, SealKey
from tests.unit.webhooks.senders import NOW, SENDERS, Sender


class World:
    """Sources of the tenant acme, at the time at which senders sign."""

    def __init__(self, database: Database, *, rate_per_minute: int = 6000, failpoint: Failpoint = no_failpoint) -> None:
        self.database, self.clock = database, FakeClock(NOW)
        ring = KeyRing([SealKey("k", b"k" * 32)], noise=os.urandom)
        self.table = SourceTable(database=database, ring=ring, clock=self.clock)
        self.emitted: list[IncomingEvent] = []
        self.desk = IncomingDesk(
            table=self.table, database=database, clock=self.clock, emit=self._emit,
            meters=Meters(rate_per_minute=rate_per_minute), failpoint=failpoint,
        )  # fmt: skip

    async def _emit(self, connection: Connection, events: Sequence[IncomingEvent]) -> None:
        await emit_incoming(connection, events)
        self.emitted += events

    async def source(self, sender_name: str, **more: Any) -> tuple[Source, Sender]:
        """Add a source for a sender of the tests."""
        sender = SENDERS[sender_name]
        words = {
            "name": sender.scheme,
            "scheme": sender.scheme,
            "secrets": sender.secrets[:1],
            "options": sender.options,
        }
        source, _ = await self.table.create("acme", SourceDraft(**(words | more)))
        return source, sender

    async def rows(self, statement: str) -> list[tuple[Any, ...]]:
        """Give what a statement finds."""
        async with self.database.connection() as connection:
            return [tuple(row) for row in await connection.driver.fetch(statement)]

    async def events(self) -> list[tuple[Any, ...]]:
        """Give tenant, type and payload of every event."""
        return await self.rows("select tenant_id, event_type, payload::text from rowcast.event order by seq")

    async def taken(self) -> list[tuple[Any, ...]]:
        """Give the ids of deliveries that are kept."""
        return await self.rows("select source_id, delivery_id, event_id from rowcast.incoming_delivery order by 1, 2")
