"""Drift: every way in which what is installed is not what is declared."""

from collections.abc import Iterator

import pytest

from rowcast.capture.drift import Drift, check_watches
from rowcast.capture.triggers import function_name, unwatch_sql
from rowcast.capture.watch import Watch
from rowcast.store.pool import connect
from tests.integration.capture.watched import Application, described, install

ORDERS = Watch(table="orders", topic="orders:{org_id}", columns=("id", "status"))
FUNCTION = f"rowcast.{function_name('public', 'orders')}()"


@pytest.fixture
def app(any_dsn: str) -> Iterator[Application]:
    application = Application(any_dsn)
    application.run("create table orders (id integer primary key, org_id text, status text)")
    yield application
    application.connection.close()


async def drift(dsn: str, *declared: Watch) -> tuple[Drift, ...]:
    connection = await connect(dsn)
    try:
        return await check_watches(connection, declared)
    finally:
        await connection.close()


async def kinds(dsn: str, *declared: Watch) -> list[tuple[str, str]]:
    return [(found.table, found.kind) for found in await drift(dsn, *declared)]


async def test_a_watch_that_is_installed_as_declared_is_no_drift(app: Application, any_dsn: str) -> None:
    await install(any_dsn, ORDERS, times=2)

    assert await drift(any_dsn, ORDERS) == ()


async def test_a_watch_that_is_not_installed_is_missing(app: Application, any_dsn: str) -> None:
    assert await kinds(any_dsn, ORDERS) == [("orders", "missing")]


@pytest.mark.parametrize(
    "sabotage",
    [
        "alter table orders disable trigger rowcast_watch_update",
        "drop trigger rowcast_watch_delete on orders",
        f"create or replace function {FUNCTION} returns trigger language plpgsql as $$ begin return null; end $$",
        f"comment on function {FUNCTION} is null",
        "alter table orders drop constraint orders_pkey; alter table orders add primary key (id, status)",
    ],
)
async def test_what_was_changed_by_hand_or_under_the_watch_is_changed(
    app: Application, any_dsn: str, sabotage: str
) -> None:
    await install(any_dsn, ORDERS)
    app.run(sabotage)

    assert await kinds(any_dsn, ORDERS) == [("orders", "changed")]
    await install(any_dsn, ORDERS)
    assert await drift(any_dsn, ORDERS) == ()


async def test_a_changed_declaration_is_changed_until_its_migration_has_run(app: Application, any_dsn: str) -> None:
    await install(any_dsn, ORDERS)
    fewer = Watch(table="orders", topic="orders:{org_id}", columns=("id", "status"), events=("insert",))

    assert await kinds(any_dsn, fewer) == [("orders", "changed")]
    await install(any_dsn, fewer)
    assert await drift(any_dsn, fewer) == ()


async def test_each_of_several_watches_of_a_table_has_a_drift_of_its_own(app: Application, any_dsn: str) -> None:
    status = Watch(
        table="orders", columns=("id", "status"), events=("update",), tenant_id="database", name="order_status"
    )
    every = Watch(table="orders", columns=("id", "status"), tenant_id="database")
    for watch in (ORDERS, status, every):
        await install(any_dsn, watch)

    assert await drift(any_dsn, ORDERS, status, every) == ()
    app.run(unwatch_sql(await described(any_dsn, "orders"), status.part))
    assert await kinds(any_dsn, ORDERS, status, every) == [("orders", "missing")]
    assert [kind for _, kind in await kinds(any_dsn, ORDERS)] == ["surplus"]


async def test_a_watch_that_nobody_declares_is_surplus_and_the_advice_removes_it(
    app: Application, any_dsn: str
) -> None:
    await install(any_dsn, ORDERS)
    (found,) = await drift(any_dsn)

    assert (found.table, found.kind) == ("public.orders", "surplus")
    app.run(found.advice.rpartition("run: ")[2])
    assert await drift(any_dsn) == ()
    assert app.run("select count(*) from pg_trigger where tgname like 'rowcast%%'", []) == [(0,)]


async def test_a_table_that_is_gone_is_told_and_so_is_the_function_it_left_behind(
    app: Application, any_dsn: str
) -> None:
    await install(any_dsn, ORDERS)
    app.run("drop table orders")

    assert await kinds(any_dsn, ORDERS) == [("orders", "table_gone")]
    assert await kinds(any_dsn) == [("public.orders", "surplus")]


async def test_a_column_that_is_gone_is_named(app: Application, any_dsn: str) -> None:
    await install(any_dsn, ORDERS)
    app.run("alter table orders drop column status")
    (found,) = await drift(any_dsn, ORDERS)

    assert found.kind == "column_gone"
    assert "status" in found.advice


async def test_a_table_that_lost_its_key_is_unusable(app: Application, any_dsn: str) -> None:
    await install(any_dsn, ORDERS)
    app.run("alter table orders drop constraint orders_pkey")

    assert await kinds(any_dsn, ORDERS) == [("orders", "unusable")]


async def test_a_renamed_table_is_gone_and_its_function_is_surplus_under_the_new_name(
    app: Application, any_dsn: str
) -> None:
    await install(any_dsn, ORDERS)
    app.run("alter table orders rename to old_orders")

    assert await kinds(any_dsn, ORDERS) == [("orders", "table_gone")]
    assert await kinds(any_dsn) == [("public.old_orders", "surplus")]
