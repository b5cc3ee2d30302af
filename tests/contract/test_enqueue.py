"""What `enqueue` promises, over every kind of connection."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from rowcast import Priority, enqueue, errors, task
from rowcast.store.pool import Database
from rowcast.store.sql import parse_query
from tests.contract.callers import CALLERS, Caller, settled


@task("shop.pack", max_attempts=7)
async def pack(order_id: str, weight: float = 1.0) -> None:
    """Pack an order."""


class Rollback(Exception):
    """Raised to roll a transaction back."""


@pytest.fixture
def dsn(emptied_dsn: str) -> str:
    """One database for all tests here: they write nothing but deliveries."""
    return emptied_dsn


@pytest_asyncio.fixture(params=CALLERS, ids=lambda caller: caller.__name__.removeprefix("with_"))
async def caller(request: pytest.FixtureRequest, dsn: str) -> AsyncIterator[Caller]:
    async with request.param(dsn) as opened:
        yield opened


async def deliveries(database: Database) -> list[dict[str, Any]]:
    """Give what a second connection sees."""
    return [dict(row) for row in await database.fetch(parse_query("x", "select * from rowcast.delivery order by id"))]


async def test_a_committed_job_is_a_delivery_that_waits(caller: Caller, database: Database) -> None:
    async with caller.transaction():
        given = await settled(
            enqueue(
                caller.connection,
                pack,
                tenant_id="acme",
                arguments={"order_id": "Ö-1"},
                priority=Priority.HIGH,
                key="north",
            )
        )
        seen_before = await deliveries(database)

    (row,) = await deliveries(database)
    assert seen_before == []
    assert row["id"] == given
    assert (row["tenant_id"], row["sink"], row["target"], row["status"]) == ("acme", "jobs", "shop.pack", "waiting")
    assert (row["payload"], row["event_id"]) == ('{"order_id":"Ö-1","weight":1.0}', None)
    assert (row["priority"], row["key"], row["max_attempts"]) == (1, "north", 7)


async def test_a_rolled_back_job_never_was(caller: Caller, database: Database) -> None:
    with pytest.raises(Rollback):
        async with caller.transaction():
            await settled(enqueue(caller.connection, pack, tenant_id="acme", arguments={"order_id": "o-1"}))
            raise Rollback

    assert await deliveries(database) == []


async def test_arguments_that_do_not_fit_leave_the_transaction_usable(caller: Caller, database: Database) -> None:
    async with caller.transaction():
        with pytest.raises(errors.InvalidInputError) as refused:
            await settled(enqueue(caller.connection, pack, tenant_id="acme", arguments={"order_id": 5}))
        await settled(enqueue(caller.connection, "shop.pack", tenant_id="acme", delay_s=60))

    (row,) = await deliveries(database)
    assert refused.value.code == "input.payload"
    assert (row["due_at"] - row["created_at"]).total_seconds() == pytest.approx(60, abs=1)


async def test_an_application_role_enqueues_for_no_tenant_but_its_own(caller: Caller, database: Database) -> None:
    async with caller.transaction():
        await caller.run(
            "select set_config('role', 'rowcast_app', true), set_config('rowcast.tenant_id', 'acme', true)"
        )
        await settled(enqueue(caller.connection, "shop.pack", tenant_id="acme"))
        with pytest.raises(errors.PermissionDeniedError):
            async with caller.savepoint():
                await settled(enqueue(caller.connection, "shop.pack", tenant_id="globex"))

    assert [row["tenant_id"] for row in await deliveries(database)] == ["acme"]
