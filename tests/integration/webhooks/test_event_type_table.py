"""The table of event types, beside what classes declare."""

from datetime import UTC, datetime

import pytest
import pytest_asyncio

from rowcast.core.errors import ConflictError, InvalidFieldError, NotFoundError
from rowcast.store.pool import Database
from rowcast.webhooks.event_type import EventTypeDraft, KnownEventType
from rowcast.webhooks.event_type_table import EventTypeTable

AT = datetime(2026, 6, 19, tzinfo=UTC)
SCHEMAS = {"1": {"type": "object"}}
DECLARED = {
    name: KnownEventType(name=name, draft=EventTypeDraft(), created_at=AT, changed_at=AT, is_declared=True)
    for name in ("b.declared", "d.declared")
}


@pytest_asyncio.fixture
async def table(database: Database) -> EventTypeTable:
    made = EventTypeTable(declared=DECLARED)
    for name in ("e.added", "a.added", "c.added"):
        await made.create(database, name, EventTypeDraft(description=name, schemas=SCHEMAS, feature_flags=("x", "y")))
    return made


async def names(
    table: EventTypeTable, database: Database, after: str = "", *, is_falling: bool = False, most: int = 9
) -> list[str]:
    rows = await table.page(database, after=after, is_falling=is_falling, most=most)
    return [row.name for row in rows]


async def test_what_is_added_is_found_as_it_was_said(database: Database, table: EventTypeTable) -> None:
    found = await table.get(database, "a.added")

    assert found.draft == EventTypeDraft(description="a.added", schemas=SCHEMAS, feature_flags=("x", "y"))
    assert not found.is_declared
    assert await table.find(database, "b.declared") == DECLARED["b.declared"]
    assert await table.find(database, "nothing") is None


async def test_pages_go_through_added_and_declared_types_by_name(database: Database, table: EventTypeTable) -> None:
    everything = ["a.added", "b.declared", "c.added", "d.declared", "e.added"]

    assert await names(table, database) == everything
    assert await names(table, database, is_falling=True) == everything[::-1]
    assert await names(table, database, "b.declared", most=2) == ["c.added", "d.declared"]
    assert await names(table, database, "c.added", most=2) == ["d.declared", "e.added"]
    assert await names(table, database, "d.declared", is_falling=True, most=2) == ["c.added", "b.declared"]
    assert [each.name for each in await table.all(database)] == everything


async def test_an_archived_type_is_put_aside_and_comes_back(database: Database, table: EventTypeTable) -> None:
    await table.delete(database, "a.added")

    assert "a.added" not in await names(table, database)
    assert (await table.get(database, "a.added")).draft.is_archived
    assert [row.name for row in await table.page(database, after="", is_falling=False, most=1, has_archived=True)] == [
        "a.added"
    ]
    again = await table.create(database, "a.added", EventTypeDraft(description="Back"))
    assert (again.draft.is_archived, again.draft.description, again.draft.schemas) == (False, "Back", None)

    await table.delete(database, "a.added", is_expunged=True)
    assert await table.find(database, "a.added") is None


async def test_a_name_is_taken_once_and_what_a_class_declares_is_not_changed(
    database: Database, table: EventTypeTable
) -> None:
    for name in ("a.added", "b.declared"):
        with pytest.raises(ConflictError):
            await table.create(database, name, EventTypeDraft())
    with pytest.raises(ConflictError):
        await table.replace(database, "b.declared", EventTypeDraft())
    with pytest.raises(ConflictError):
        await table.delete(database, "b.declared")


async def test_what_is_not_there_or_no_type_is_refused(database: Database, table: EventTypeTable) -> None:
    with pytest.raises(NotFoundError):
        await table.replace(database, "nothing", EventTypeDraft())
    with pytest.raises(NotFoundError):
        await table.delete(database, "nothing")
    with pytest.raises(NotFoundError):
        await table.get(database, "nothing")
    with pytest.raises(InvalidFieldError):
        await table.create(database, "a b", EventTypeDraft())
    with pytest.raises(InvalidFieldError):
        await table.create(database, "new", EventTypeDraft(schemas={"1": {"$ref": "http://127.0.0.1/"}}))
