"""The table of applications."""

import pytest
import pytest_asyncio

from rowcast.core.clock import SystemClock
from rowcast.core.errors import ConflictError, NotFoundError
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query
from rowcast.webhooks.application import ApplicationDraft
from rowcast.webhooks.application_table import ApplicationTable

ADD_ENDPOINT = parse_query(
    "add", "insert into rowcast.endpoint (tenant_id, id, url) values (:tenant, :id, 'https://example.com')"
)
ADD_DELIVERY = parse_query(
    "add", "insert into rowcast.delivery (tenant_id, sink, target, status) values (:tenant, :sink, 't', :status)"
)
DELIVERIES = parse_query(
    "all", "select tenant_id || ' ' || sink || ' ' || status as said from rowcast.delivery order by id"
)
ENDPOINTS = parse_query("all", "select tenant_id from rowcast.endpoint order by id")


@pytest_asyncio.fixture
async def table() -> ApplicationTable:
    return ApplicationTable(clock=SystemClock())


async def test_an_application_is_found_by_id_uid_and_tenant_in_this_order(
    database: Database, table: ApplicationTable
) -> None:
    first = await table.create(database, ApplicationDraft(name="First", uid="acme"))
    renamed = await table.replace(database, first.tenant_id, ApplicationDraft(name="First", uid="old"))
    second = await table.create(database, ApplicationDraft(name="Second", uid="acme"))

    assert (first.tenant_id, renamed.tenant_id, second.tenant_id) == ("acme", "acme", second.id)
    assert await table.find(database, first.id) == renamed
    assert await table.find(database, "old") == renamed
    assert await table.find(database, "acme") == second
    assert await table.find(database, "acme", tenant_id="acme") == renamed
    assert await table.find(database, second.id, tenant_id="acme") is None


async def test_a_uid_belongs_to_one_application(database: Database, table: ApplicationTable) -> None:
    await table.create(database, ApplicationDraft(name="First", uid="acme"))
    other = await table.create(database, ApplicationDraft(name="Other"))

    with pytest.raises(ConflictError):
        await table.create(database, ApplicationDraft(name="Second", uid="acme"))
    with pytest.raises(ConflictError):
        await table.replace(database, other.tenant_id, ApplicationDraft(name="Other", uid="acme"))


async def test_a_tenant_with_an_endpoint_becomes_an_application_when_it_is_asked_for(
    database: Database, table: ApplicationTable
) -> None:
    await database.execute(ADD_ENDPOINT, tenant="beta", id="ep_1")

    assert await table.find(database, "alpha") is None
    assert await table.find(database, "beta", tenant_id="alpha") is None
    adopted = await table.get(database, "beta", tenant_id="beta")

    assert (adopted.uid, adopted.tenant_id, adopted.name) == ("beta", "beta", "beta")
    assert await table.get(database, adopted.id) == adopted


async def test_with_an_application_end_its_endpoints_and_what_is_owed_to_them(
    database: Database, table: ApplicationTable
) -> None:
    for tenant in ("acme", "other"):
        await table.create(database, ApplicationDraft(name=tenant, uid=tenant))
        await database.execute(ADD_ENDPOINT, tenant=tenant, id=f"ep_{tenant}")
    for tenant, sink, status in (
        ("acme", "webhooks", "waiting"), ("acme", "webhooks", "dead"), ("acme", "jobs", "waiting"),
        ("other", "webhooks", "waiting"),
    ):  # fmt: skip
        await database.execute(ADD_DELIVERY, tenant=tenant, sink=sink, status=status)

    await table.delete(database, "acme")

    assert [row["said"] for row in await database.fetch(DELIVERIES)] == [
        "acme webhooks cancelled", "acme webhooks dead", "acme jobs waiting", "other webhooks waiting",
    ]  # fmt: skip
    assert [row["tenant_id"] for row in await database.fetch(ENDPOINTS)] == ["other"]
    assert await table.find(database, "acme") is None
    with pytest.raises(NotFoundError):
        await table.replace(database, "acme", ApplicationDraft(name="x"))


async def test_pages_go_both_ways_from_any_id(database: Database, table: ApplicationTable) -> None:
    made = [await table.create(database, ApplicationDraft(name=str(number))) for number in range(4)]
    ids = sorted(each.id for each in made)

    async def read(after: str, is_falling: bool, tenant_id: str | None = None) -> list[str]:
        rows = await table.page(database, after=after, is_falling=is_falling, most=2, tenant_id=tenant_id)
        return [row.id for row in rows]

    assert await read("", False) == ids[:2]
    assert await read(ids[1], False) == ids[2:]
    assert await read("", True) == ids[:1:-1]
    assert await read(ids[1], True) == ids[:1]
    assert await read("", False, made[2].tenant_id) == [made[2].id]
