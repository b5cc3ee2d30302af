"""Reading the outbox: one event, pages of them, and nothing of another tenant."""

import uuid

import pytest

from rowcast.core.codec import decode_json, encode_json
from rowcast.core.errors import InvalidInputError
from rowcast.outbox.table import EventFilter, EventPage, EventTable, StoredEvent
from rowcast.store.pool import Database
from tests.integration.outbox.events import emit, emit_some, session


async def pages(
    table: EventTable, wanted: EventFilter, *, tenant_id: str | None = None, limit: int = 10
) -> list[StoredEvent]:
    """Give everything, page by page."""
    found: list[StoredEvent] = []
    cursor: str | None = None
    while True:
        page = await table.page(wanted, tenant_id=tenant_id, cursor=cursor, limit=limit)
        found += page.events
        if page.next_cursor is None:
            return found
        assert cursor is None or int(page.next_cursor) < int(cursor)
        cursor = page.next_cursor


async def set_state(dsn: str, event_id: uuid.UUID, status: str) -> None:
    async with session(dsn) as driver:
        await driver.execute(
            "insert into rowcast.event_state (event_id, status, error, attempts) values ($1, $2, 'why', 2)",
            event_id,
            status,
        )


async def test_one_event_is_given_with_its_state(database: Database, dsn: str) -> None:
    async with session(dsn) as driver:
        event_id = await emit(driver, key="k9")
    table = EventTable(database=database)
    pending = await table.get(event_id)
    await set_state(dsn, event_id, "failed")
    failed = await table.get(event_id)

    assert pending is not None
    assert failed is not None
    assert (pending.id, pending.status, pending.attempts, pending.aggregate_id) == (event_id, "pending", 0, "k9")
    assert (failed.status, failed.error, failed.attempts, failed.published_at) == ("failed", "why", 2, None)
    assert decode_json(encode_json(failed))["eventType"] == "orders.placed"


async def test_a_published_event_says_when(database: Database, dsn: str) -> None:
    async with session(dsn) as driver:
        event_id = await emit(driver)
    await set_state(dsn, event_id, "published")
    event = await EventTable(database=database).get(event_id)

    assert event is not None
    assert event.published_at is not None


async def test_another_tenants_event_is_as_absent_as_none(database: Database, dsn: str) -> None:
    async with session(dsn) as driver:
        event_id = await emit(driver, tenant="acme")
    await set_state(dsn, event_id, "published")
    table = EventTable(database=database)

    assert await table.get(event_id, tenant_id="other") is None
    assert await table.get(uuid.uuid4(), tenant_id="acme") is None
    event = await table.get(event_id, tenant_id="acme")
    assert event is not None
    assert event.status == "published"


async def test_pages_give_every_event_once_newest_first(database: Database, dsn: str) -> None:
    await emit_some(dsn, 35)
    events = await pages(EventTable(database=database), EventFilter())
    async with session(dsn) as driver:
        rows = await driver.fetch("select id from rowcast.event order by seq desc")

    assert [event.id for event in events] == [row[0] for row in rows]


@pytest.mark.parametrize("status", ["pending", "published", "failed", "dead"])
async def test_a_status_and_a_tenant_leave_out_all_others(database: Database, dsn: str, status: str) -> None:
    wanted: set[uuid.UUID] = set()
    async with session(dsn) as driver:
        for number in range(24):
            tenant, state = ("acme", "other")[number % 2], ("pending", "published", "failed", "dead")[number // 2 % 4]
            event_id = await emit(driver, tenant=tenant)
            if state != "pending":
                await set_state(dsn, event_id, state)
            if (tenant, state) == ("acme", status):
                wanted.add(event_id)
    table = EventTable(database=database)
    filtered = EventFilter(status=status)  # type: ignore[arg-type]
    events = await pages(table, filtered, tenant_id="acme", limit=2)

    assert {event.id for event in events} == wanted
    assert {event.status for event in events} == {status}
    assert len(await pages(table, filtered, limit=2)) == 6


async def test_a_rare_type_is_found_behind_many_others(database: Database, dsn: str) -> None:
    async with session(dsn) as driver:
        first = await emit(driver, event_type="stock.low")
    await emit_some(dsn, 12_000)
    page = await EventTable(database=database).page(EventFilter(event_type="stock.low"))

    assert [event.id for event in page.events] == [first]
    assert page.next_cursor is None


async def test_a_filter_that_fits_nothing_gives_an_empty_page(database: Database, dsn: str) -> None:
    await emit_some(dsn, 3)

    assert await EventTable(database=database).page(EventFilter(event_type="no.such")) == EventPage(())


@pytest.mark.parametrize("cursor", ["", "x", "-1", "1.5", "٣", "9" * 30])
async def test_a_cursor_that_no_page_gave_is_refused(database: Database, cursor: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        await EventTable(database=database).page(EventFilter(), cursor=cursor)

    assert refused.value.code == "input.cursor"
