"""Declared watches: gathered from packs and settings, installed where their tables are."""

import pytest

from rowcast.capture.watch import Watch
from rowcast.core.errors import InvalidInputError, NotFoundError
from rowcast.core.pack import Pack
from rowcast.outbox.table import EventFilter, EventTable
from rowcast.server.settings import load_settings
from rowcast.server.watches import declared_watches, install_present_watches, install_watches, watch_script
from rowcast.store.pool import Database

ORDERS = Watch(table="orders", topic="orders:{org_id}", columns=("id", "org_id"))
ABSENT = Watch(table="absent", topic="absent:{org_id}", columns=("id", "org_id"))


@pytest.fixture
async def orders(database: Database) -> Database:
    async with database.connection() as connection:
        await connection.run_script("create table orders (id bigint primary key, org_id text not null)")
    return database


def test_watches_of_packs_and_settings_are_put_together() -> None:
    declared = [{"table": "parcels", "topic": "parcels:{org_id}", "columns": ["id", "org_id"]}]
    settings = load_settings({"watch": declared}, environment={}).settings

    watches = declared_watches(settings, [Pack(name="shop", watches=(ORDERS,))])

    assert [watch.table for watch in watches] == ["orders", "parcels"]


def test_a_declaration_that_cannot_be_read_is_refused() -> None:
    settings = load_settings({"watch": [{"table": "x", "colour": "red"}]}, environment={}).settings

    with pytest.raises(InvalidInputError) as refused:
        declared_watches(settings, ())

    assert refused.value.code == "input.watch"


async def test_an_installed_watch_makes_changes_events_and_may_be_installed_again(orders: Database) -> None:
    await install_watches(orders, (ORDERS,))
    await install_watches(orders, (ORDERS,))

    async with orders.connection() as connection:
        await connection.run_script("insert into orders values (1, 'acme')")
    page = await EventTable(database=orders).page(EventFilter(), tenant_id="acme")

    assert [event.event_type for event in page.events] == ["orders.inserted"]


async def test_a_table_that_is_not_there_yet_keeps_no_other_from_being_watched(orders: Database) -> None:
    missing = await install_present_watches(orders, (ABSENT, ORDERS))

    async with orders.connection() as connection:
        await connection.run_script("insert into orders values (1, 'acme')")
    page = await EventTable(database=orders).page(EventFilter(), tenant_id="acme")

    assert missing == ("absent",)
    assert len(page.events) == 1


async def test_one_script_holds_all_watches_or_none(orders: Database) -> None:
    async with orders.connection() as connection:
        assert "orders" in await watch_script(connection, (ORDERS,))
        with pytest.raises(NotFoundError):
            await watch_script(connection, (ORDERS, ABSENT))
