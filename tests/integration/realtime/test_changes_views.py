"""Views are made once, kept up as receivers come and go, and made anew when a table is announced anew."""

import msgspec
import pytest

from rowcast.core.row_change import ChangedColumn, ChangedRow, ChangedTable
from rowcast.realtime.change_filter import Condition
from rowcast.realtime.change_index import Audience
from rowcast.realtime.change_tables import ChangeTables
from rowcast.realtime.changes_view import Asked
from rowcast.realtime.changes_views import ChangeViews, Subscriptions
from rowcast.store.pool import Database
from tests.integration.realtime.changing import publish

SERVICE = Audience("service_role", b"{}")


def asked(table: str | None = "orders", *conditions: Condition, schema: str | None = "public") -> Asked:
    return Asked(1, "*", schema, table, conditions, None, SERVICE)


@pytest.fixture
def subscriptions() -> Subscriptions[str]:
    return {}


@pytest.fixture
def views(database: Database, subscriptions: Subscriptions[str]) -> ChangeViews[str]:
    return ChangeViews(ChangeTables(database=database), subscriptions, checks_deletes=False)


async def announced(dsn: str, database: Database, name: str = "orders") -> ChangedTable:
    published = await ChangeTables(database=database).published("public", name)
    return ChangedTable(published[0].oid, "public", name, "d", (ChangedColumn("id", 23, True),), 1)


def receivers(view: object) -> set[str]:
    return {name for cohort in view.index.cohorts() for name in cohort.receivers}  # type: ignore[attr-defined]


async def test_a_view_is_kept_until_the_table_is_announced_anew(
    dsn: str, database: Database, views: ChangeViews[str], subscriptions: Subscriptions[str]
) -> None:
    publish(dsn, "create table orders (id int primary key)", tables="orders")
    table = await announced(dsn, database)
    subscriptions["me"] = (asked(),)

    (first,) = await views.of(table)
    (again,) = await views.of(table)
    (anew,) = await views.of(msgspec.structs.replace(table, version=2))
    views.forget()
    (fresh,) = await views.of(msgspec.structs.replace(table, version=2))

    assert first is again
    assert anew is not first
    assert fresh is not anew
    assert receivers(fresh) == {"me"}


async def test_receivers_come_and_go_without_a_new_view(
    dsn: str, database: Database, views: ChangeViews[str], subscriptions: Subscriptions[str]
) -> None:
    publish(dsn, "create table orders (id int primary key)", tables="orders")
    (view,) = await views.of(await announced(dsn, database))

    await views.replace("me", (asked("orders", Condition("id", "eq", ("7",))), asked("bills")))
    heard = receivers(view)
    await views.replace("me", (asked("bills"),))
    elsewhere = receivers(view), set(subscriptions)
    await views.replace("me", (asked(),))
    views.exclude("me")
    views.exclude("me")

    assert heard == {"me"}
    assert elsewhere == (set(), {"me"})
    assert receivers(view) == set()
    assert subscriptions == {}


async def test_a_filter_on_a_column_that_is_gone_hears_nothing_and_breaks_nothing(
    dsn: str, database: Database, views: ChangeViews[str], subscriptions: Subscriptions[str]
) -> None:
    publish(dsn, "create table orders (id int primary key)", tables="orders")
    subscriptions["me"] = (asked("orders", Condition("gone", "eq", ("7",))),)
    subscriptions["you"] = (asked(),)

    (view,) = await views.of(await announced(dsn, database))

    assert receivers(view) == {"you"}


async def test_the_table_above_a_partition_is_heard_by_those_who_name_it(
    dsn: str, database: Database, views: ChangeViews[str], subscriptions: Subscriptions[str]
) -> None:
    publish(
        dsn,
        "create table orders (id int primary key) partition by range (id)",
        "create table orders_low partition of orders for values from (0) to (9)",
        tables="orders",
    )
    subscriptions |= {"root": (asked(),), "leaf": (asked("orders_low"),), "any": (asked(None, schema=None),)}

    leaf, root = await views.of(await announced(dsn, database, "orders_low"))

    assert receivers(leaf) == {"leaf", "any"}
    assert receivers(root) == {"root"}
    assert root.table.name == "orders"


async def test_a_table_that_is_gone_has_no_view(database: Database, views: ChangeViews[str]) -> None:
    assert await views.of(ChangedTable(1, "public", "gone", "d", ())) == ()


async def test_a_thousand_values_are_asked_for_at_once_and_a_wrong_one_among_them_by_itself(
    dsn: str,
    database: Database,
    views: ChangeViews[str],
    subscriptions: Subscriptions[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    publish(dsn, "create table orders (id int primary key)", tables="orders")
    for number in range(1000):
        subscriptions[str(number)] = (asked("orders", Condition("id", "eq", (f"00{number}",))),)
    table = await announced(dsn, database)
    asked_for = []
    literals = ChangeTables.literals

    async def count(self: ChangeTables, oid: int, condition: Condition, column: object) -> object:
        asked_for.append(condition)
        return await literals(self, oid, condition, column)  # type: ignore[arg-type]

    monkeypatch.setattr(ChangeTables, "literals", count)
    (view,) = await views.of(table)
    hits = view.index.find(ChangedRow("INSERT", 0, 0, [b"7"]))
    alike = len(asked_for)
    views.forget()
    subscriptions["wrong"] = (
        asked("orders", Condition("id", "gt", ("x",))),
        asked("orders", Condition("id", "gt", ("5",))),
    )
    (view,) = await views.of(table)

    assert alike == 1
    assert [list(hit.cohort.receivers) for hit in hits] == [["7"]]
    assert receivers(view) == set(subscriptions)
