"""The sample shop: prepared once, always moving, its receipt written from either kind of event."""

import asyncio
import uuid
from datetime import UTC, datetime

import msgspec

from rowcast.core.envelope import Envelope
from rowcast.core.event import DECLARED
from rowcast.server.sample_shop import ORDERS, OrderConfirmed, pack, prepare_shop, run_shop, write_receipt
from rowcast.server.watches import install_watches
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query

STATES = parse_query("states", "select id, status from public.orders order by id")


async def test_the_shop_is_prepared_once(database: Database) -> None:
    await prepare_shop(database)
    first = [dict(row) for row in await database.fetch(STATES)]
    await prepare_shop(database)

    assert first
    assert [dict(row) for row in await database.fetch(STATES)] == first


async def test_the_shop_moves_and_each_change_becomes_an_event(database: Database) -> None:
    await prepare_shop(database)
    await install_watches(database, (ORDERS,))
    before = [dict(row) for row in await database.fetch(STATES)]

    try:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            moving = group.create_task(run_shop(database, noise=lambda: 0.5, pause_s=0.0))
            while [dict(row) for row in await database.fetch(STATES)] == before:
                await asyncio.sleep(0.01)
            moving.cancel()
    finally:
        rows = await database.fetch(parse_query("types", "select distinct event_type from rowcast.event"))

    assert {row["event_type"] for row in rows} == {"orders.updated"}


def envelope(event_type: str, payload: bytes) -> Envelope:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    fields = {"id": uuid.uuid4(), "tenant_id": "acme", "aggregate_type": "order", "aggregate_id": "7", "version": 1}
    return msgspec.convert(
        {**fields, "event_type": event_type, "occurred_at": at, "payload": msgspec.Raw(payload), "seq": 1}, Envelope
    )


async def test_a_receipt_is_written_from_a_changed_row_and_from_an_event() -> None:
    from_row = await write_receipt.function(envelope("orders.updated", b'{"record": {"id": 5, "status": "packed"}}'))
    from_event = await write_receipt.function(envelope("shop.order_confirmed", b'{"order_id": "7", "total": "1"}'))

    assert from_row == {"receipt_for": "5", "status": "packed"}
    assert from_event == {"receipt_for": "7", "status": "confirmed"}


def test_the_pack_declares_what_it_uses() -> None:
    assert DECLARED.is_declared(OrderConfirmed)
    assert [watch.table for watch in pack.watches] == ["public.orders"]  # type: ignore[attr-defined]
