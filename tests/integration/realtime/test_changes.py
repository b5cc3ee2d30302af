"""Changed rows on a real PostgreSQL, from the commit to what a channel hears."""

import asyncio
import json
from pathlib import Path

import pytest

from rowcast.realtime.changes import ChangesOptions
from rowcast.realtime.row_visibility import VisibilityOptions
from rowcast.store.pool import Database
from tests.integration.realtime.changing import SUBSCRIBED, Told, binding, claims, node, publish, run, until

ORDERS = "create table orders (id bigint primary key, status text, total numeric, note text)"
GUARDED = (
    ORDERS,
    "grant select on orders to authenticated, anon",
    "alter table orders enable row level security",
    "create policy own on orders for select to authenticated using (status = auth.jwt() ->> 'status')",
)


class Counting:
    """Counts instead of keeping."""

    def __init__(self) -> None:
        self.heard = 0

    def hear_change(self, ids: tuple[int, ...], data: bytes) -> None:
        self.heard += 1

    def hear_changes_system(self, status: str, text: str) -> None:
        assert status == "ok", text


def memory_bytes(name: str) -> int:
    """Give VmRSS, what is in memory now, or VmHWM, the most there was since `forget_most`."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def forget_most() -> None:
    Path("/proc/self/clear_refs").write_text("5")


async def test_an_insert_an_update_and_a_delete_are_told_as_the_stock_server_tells_them(
    dsn: str, database: Database
) -> None:
    publish(dsn, ORDERS, tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen()
        run(
            dsn,
            "insert into orders values (7, 'new', 1.50)",
            "update orders set status = 'paid'",
            "delete from orders",
        )
        inserted, updated, deleted = await receiver.expect(3)

    assert receiver.system == [SUBSCRIBED]
    assert [ids for ids, _ in receiver.heard] == [(1,)] * 3
    assert inserted["columns"] == [
        {"name": "id", "type": "int8"},
        {"name": "status", "type": "text"},
        {"name": "total", "type": "numeric"},
        {"name": "note", "type": "text"},
    ]
    assert (inserted["schema"], inserted["table"], inserted["errors"]) == ("public", "orders", None)
    assert inserted["record"] == {"id": 7, "status": "new", "total": 1.5, "note": None}
    assert "old_record" not in inserted
    assert (updated["record"]["status"], updated["old_record"]) == ("paid", {"id": 7})
    assert deleted["old_record"] == {"id": 7}
    assert "record" not in deleted
    assert inserted["commit_timestamp"].endswith("Z")
    assert len(inserted["commit_timestamp"]) == len("2026-08-21T09:12:33.418Z")


async def test_a_full_identity_tells_the_whole_old_row(dsn: str, database: Database) -> None:
    publish(dsn, ORDERS, "alter table orders replica identity full", tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen()
        run(dsn, "insert into orders values (7, 'new', 1)", "update orders set total = 2", "delete from orders")
        _, updated, deleted = await receiver.expect(3)

    assert updated["old_record"] == {"id": 7, "status": "new", "total": 1, "note": None}
    assert deleted["old_record"] == {"id": 7, "status": "new", "total": 2, "note": None}


async def test_a_key_that_changes_is_told_with_the_old_one(dsn: str, database: Database) -> None:
    publish(dsn, ORDERS, tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen()
        run(dsn, "insert into orders values (7, 'new', 1)", "update orders set id = 8")
        _, updated = await receiver.expect(2)

    assert (updated["record"]["id"], updated["old_record"]) == (8, {"id": 7})


async def test_an_identity_by_index_is_told_by_its_columns(dsn: str, database: Database) -> None:
    index = "create unique index by_status on orders (status)"
    shape = ORDERS.replace("status text", "status text not null")
    publish(dsn, shape, index, "alter table orders replica identity using index by_status", tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen()
        run(dsn, "insert into orders values (7, 'new', 1)", "update orders set total = 2", "delete from orders")
        _, updated, deleted = await receiver.expect(3)

    assert updated["old_record"] == {"status": "new"}
    assert deleted["old_record"] == {"status": "new"}


async def test_without_an_identity_inserts_are_told(dsn: str, database: Database) -> None:
    publish(dsn, ORDERS, "alter table orders replica identity nothing", tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen()
        run(dsn, "insert into orders values (7, 'new', 1)")
        (inserted,) = await receiver.expect(1)

    assert inserted["record"]["id"] == 7


async def test_a_large_value_that_an_update_left_alone_is_absent_or_taken_from_the_old_row(
    dsn: str, database: Database
) -> None:
    external = "alter table orders alter column note set storage external"
    insert = "insert into orders values (7, 'new', 1, repeat('x', 5000))"
    publish(dsn, ORDERS, external, insert, tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen()
        run(
            dsn,
            "update orders set total = 2",
            "alter table orders replica identity full",
            "update orders set total = 3",
        )
        without, whole = await receiver.expect(2)

    assert without["record"] == {"id": 7, "status": "new", "total": 2}
    assert whole["record"]["note"] == "x" * 5000
    assert whole["record"]["total"] == 3


async def test_a_table_that_changes_its_shape_is_told_in_the_shape_of_each_row(dsn: str, database: Database) -> None:
    publish(dsn, ORDERS, tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen()
        run(
            dsn,
            "begin; insert into orders values (1, 'a', 1); alter table orders add column extra int default 5;"
            " insert into orders values (2, 'b', 1); commit",
            "alter table orders drop column note",
            "alter table orders rename column status to state",
            "alter table orders alter column total type text",
            "insert into orders values (3, 'c', 'x', 6)",
        )
        first, second, third = await receiver.expect(3)

    assert first["record"] == {"id": 1, "status": "a", "total": 1, "note": None}
    assert second["record"] == {"id": 2, "status": "b", "total": 1, "note": None, "extra": 5}
    assert third["record"] == {"id": 3, "state": "c", "total": "x", "extra": 6}
    assert third["columns"][2] == {"name": "total", "type": "text"}


async def test_truncate_is_announced_in_its_place(dsn: str, database: Database) -> None:
    publish(dsn, ORDERS, tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen(binding(event="*"))
        inserts_only = await running.listen(binding(event="INSERT"))
        run(dsn, "insert into orders values (1)", "truncate orders", "insert into orders values (2)")
        await receiver.expect(2)

    assert receiver.system == [SUBSCRIBED, ("ok", "All rows of public.orders were deleted by TRUNCATE")]
    assert inserts_only.system == [SUBSCRIBED]


@pytest.mark.parametrize("root", [False, True])
async def test_a_partitioned_table_is_heard_by_its_own_name(dsn: str, database: Database, root: bool) -> None:
    publish(
        dsn,
        "create table orders (id bigint primary key, status text) partition by range (id)",
        "create table orders_low partition of orders for values from (0) to (100)",
        "create table orders_high partition of orders for values from (100) to (200)",
        f"alter publication supabase_realtime set (publish_via_partition_root = {root})",
        tables="orders",
    )
    async with node(dsn, database) as running:
        receiver = await running.listen(binding("orders"))
        any_table = await running.listen(binding("*"))
        run(dsn, "insert into orders values (1, 'a'), (101, 'b')", "update orders set id = 150 where id = 1")
        changes = await receiver.expect(4)
        await any_table.expect(4)

    assert {change["table"] for change in changes} == {"orders"}
    assert receiver.types[:2] == ["INSERT", "INSERT"]
    assert len(any_table.changes) == 4


async def test_rows_come_in_the_order_of_their_commits(dsn: str, database: Database) -> None:
    publish(dsn, ORDERS, tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen()
        run(dsn, *(f"insert into orders select n from generate_series({at}, {at + 9}) n" for at in range(0, 1000, 10)))
        await receiver.expect(1000)

    assert [record["id"] for record in receiver.records] == list(range(1000))


async def test_only_what_a_filter_lets_through_is_told(dsn: str, database: Database) -> None:
    publish(dsn, ORDERS, tables="orders")
    async with node(dsn, database) as running:
        by_value = await running.listen(binding(filter="status=eq.paid"))
        by_regex = await running.listen(binding(filter="status=match.^p[a-z]+d$,id=gt.1"))
        by_order = await running.listen(binding(filter="status=gt.m"))
        run(dsn, "insert into orders values (1, 'paid'), (2, 'new'), (3, 'paid'), (4, null)")
        await by_value.expect(2)
        await by_regex.expect(1)

    assert [record["id"] for record in by_value.records] == [1, 3]
    assert [record["id"] for record in by_regex.records] == [3]
    assert [record["id"] for record in by_order.records] == [1, 2, 3]


async def test_a_filter_by_a_boolean_finds_its_value(dsn: str, database: Database) -> None:
    publish(dsn, "create table flags (id int primary key, is_on bool)", tables="flags")
    async with node(dsn, database) as running:
        receiver = await running.listen(binding("flags", filter="is_on=eq.true"))
        run(dsn, "insert into flags values (1, false), (2, true), (3, null)")
        await receiver.expect(1)

    assert [record["id"] for record in receiver.records] == [2]


async def test_a_deleted_row_is_compared_by_what_the_log_has_of_it(dsn: str, database: Database) -> None:
    publish(dsn, ORDERS, "insert into orders values (1, 'paid'), (2, 'paid')", tables="orders")
    async with node(dsn, database) as running:
        by_key = await running.listen(binding(filter="id=eq.1"))
        by_other = await running.listen(binding(filter="status=eq.paid"))
        by_null = await running.listen(binding(filter="status=is.null"))
        run(dsn, "delete from orders where id = 1", "alter table orders replica identity full", "delete from orders")
        await by_key.expect(1)
        await by_other.expect(1)

    assert by_key.changes[0]["old_record"] == {"id": 1}
    assert by_other.changes[0]["old_record"]["id"] == 2
    assert by_null.changes == []


async def test_chosen_columns_are_told_with_the_key(dsn: str, database: Database) -> None:
    publish(dsn, ORDERS, tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen(binding(select=("status",)), binding(number=2, event="INSERT"))
        run(dsn, "insert into orders values (1, 'new', 5)", "update orders set status = 'paid'")
        changes = await receiver.expect(3)

    assert sorted(ids for ids, _ in receiver.heard[:2]) == [(1,), (2,)]
    assert changes[2]["record"] == {"id": 1, "status": "paid"}
    assert [column["name"] for column in changes[2]["columns"]] == ["id", "status"]


async def test_several_bindings_of_a_channel_get_one_message(dsn: str, database: Database) -> None:
    publish(dsn, ORDERS, tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen(
            binding(number=1),
            binding(number=2, event="INSERT"),
            binding("*", number=3, schema="*"),
            binding(number=4, filter="id=eq.9"),
        )
        run(dsn, "insert into orders values (1)")
        await receiver.expect(1)

    assert [sorted(ids) for ids, _ in receiver.heard] == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (
            binding("nope", event="INSERT"),
            "Unable to subscribe to changes with given parameters. Please check Realtime is enabled for the given connect parameters: [event: INSERT, schema: public, table: nope, filters: [], select: nil]",
        ),
        (
            binding(filter="foo=eq.1"),
            'Unable to subscribe to changes with given parameters. An exception happened so please check your connect parameters: [event: *, schema: public, table: orders, filters: [{"foo", "eq", "1"}], select: nil]. Exception: invalid column for filter foo',
        ),
        (
            binding(filter="id=eq.abc"),
            'Exception: invalid input syntax for type bigint: "abc"',
        ),
        (binding(filter="id=like.a%"), "Exception: operator like requires a text-compatible column type, got bigint"),
        (binding(filter="status=match.("), "Exception: invalid regular expression for status"),
        (binding(filter="status=is.maybe"), "Exception: invalid value for is filter: maybe"),
        (
            binding(filter=f"id=in.({','.join(map(str, range(101)))})"),
            "Exception: too many values for `in` filter. Maximum 100",
        ),
        (binding(select=("nope",)), "Exception: invalid column for select nope"),
        (binding(filter="foo"), 'Error parsing `filter` params: ["foo"]'),
    ],
)
async def test_what_is_wrong_with_a_binding_is_said_in_the_words_that_clients_know(
    dsn: str, database: Database, asked: object, text: str
) -> None:
    publish(dsn, ORDERS, tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen(asked)  # type: ignore[arg-type]

    assert len(receiver.system) == 1
    assert receiver.system[0][0] == "error"
    assert text in receiver.system[0][1]


async def test_a_bad_binding_leaves_the_good_ones_alone(dsn: str, database: Database) -> None:
    publish(dsn, ORDERS, tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen(binding("nope"), binding(number=2))
        run(dsn, "insert into orders values (1)")
        await receiver.expect(1)

    assert [status for status, _ in receiver.system] == ["error"]
    assert receiver.heard[0][0] == (2,)


async def test_a_role_that_is_not_there_is_refused(dsn: str, database: Database) -> None:
    publish(dsn, ORDERS, tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen(by=claims("nobody_at_all"))

    assert 'Exception: role "nobody_at_all" does not exist' in receiver.system[0][1]


async def test_each_audience_hears_the_rows_that_its_policies_show(dsn: str, database: Database) -> None:
    publish(dsn, *GUARDED, tables="orders")
    async with node(dsn, database) as running:
        paid = await running.listen(by=claims("authenticated", status="paid"))
        new = await running.listen(by=claims("authenticated", status="new"))
        nobody = await running.listen(by=claims("anon"))
        service = await running.listen(by=claims("service_role"))
        run(dsn, "insert into orders values (1, 'paid'), (2, 'new'), (3, 'paid')")
        await service.expect(3)

    assert [record["id"] for record in paid.records] == [1, 3]
    assert [record["id"] for record in new.records] == [2]
    assert nobody.changes == []


async def test_the_database_is_asked_once_for_each_audience_however_many_listen(dsn: str, database: Database) -> None:
    publish(dsn, *GUARDED, tables="orders")
    async with node(dsn, database) as running:
        receivers = [await running.listen(by=claims("authenticated", status=status)) for status in ("paid", "new") * 50]
        with Told() as told:
            run(dsn, "insert into orders select n, 'paid' from generate_series(1, 200) n")
            await receivers[0].expect(200)

    # A transaction may come in a few pieces; each is asked about once for each audience, whoever else listens.
    asked = len(told.named("changes.visibility_asked"))
    assert asked % 2 == 0
    assert 2 <= asked <= 10
    assert [len(receiver.changes) for receiver in receivers] == [200, 0] * 50


async def test_a_role_that_passes_by_policies_is_not_asked_about(dsn: str, database: Database) -> None:
    publish(dsn, *GUARDED, tables="orders")
    async with node(dsn, database) as running:
        service = await running.listen(by=claims("service_role"))
        with Told() as told:
            run(dsn, "insert into orders values (1, 'paid')")
            await service.expect(1)

    assert told.named("changes.visibility_asked") == []


async def test_columns_that_a_role_may_not_read_are_never_told_and_cannot_be_filtered_by(
    dsn: str, database: Database
) -> None:
    publish(dsn, ORDERS, "revoke all on orders from anon; grant select (id, status) on orders to anon", tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen(by=claims("anon"))
        spying = await running.listen(binding(filter="note=eq.secret"), by=claims("anon"))
        run(dsn, "insert into orders values (1, 'new', 5, 'secret')")
        (change,) = await receiver.expect(1)

    assert change["record"] == {"id": 1, "status": "new"}
    assert "Exception: invalid column for filter note" in spying.system[0][1]
    assert spying.changes == []


async def test_a_role_that_may_not_read_the_key_hears_that_something_changed_and_why_it_is_not_told(
    dsn: str, database: Database
) -> None:
    publish(dsn, ORDERS, "revoke all on orders from anon; grant select (status) on orders to anon", tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen(by=claims("anon"))
        run(dsn, "insert into orders values (1, 'new', 5, 'secret')")
        (change,) = await receiver.expect(1)

    assert (change["columns"], change["record"], change["errors"]) == ([], {}, ["Error 401: Unauthorized"])


async def test_a_table_without_a_key_is_told_as_an_error(dsn: str, database: Database) -> None:
    publish(dsn, "create table orders (id bigint)", tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen()
        run(dsn, "insert into orders values (1)")
        (change,) = await receiver.expect(1)

    assert change["errors"] == ["Error 400: Bad Request, no primary key"]


async def test_a_row_of_more_than_a_megabyte_is_told_with_its_small_values(dsn: str, database: Database) -> None:
    publish(dsn, ORDERS, tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen()
        run(dsn, "insert into orders values (1, 'new', 5, repeat('x', 1200000))")
        (change,) = await receiver.expect(1)

    assert change["record"] == {"id": 1, "status": "new", "total": 5}
    assert change["errors"] == ["Error 413: Payload Too Large"]


async def test_a_right_that_is_taken_away_holds_from_the_next_change_on(dsn: str, database: Database) -> None:
    publish(dsn, *GUARDED, tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen(by=claims("authenticated", status="paid"))
        run(dsn, "insert into orders values (1, 'paid')")
        await receiver.expect(1)
        run(
            dsn,
            "revoke all on orders from authenticated; grant select (id) on orders to authenticated",
            "insert into orders values (2, 'paid', 1, 'secret')",
            "drop policy own on orders; create policy all_rows on orders for select using (true)",
            "insert into orders values (3, 'paid', 1, 'secret')",
        )
        await receiver.expect(3)

    assert [change["record"] for change in receiver.changes[1:]] == [{"id": 2}, {"id": 3}]


@pytest.mark.parametrize(("deletes", "heard"), [("told", [{"id": 1}, {"id": 2}]), ("dropped", [])])
async def test_a_deleted_row_of_a_guarded_table_shows_its_key_or_nothing(
    dsn: str, database: Database, deletes: str, heard: list[object]
) -> None:
    publish(
        dsn,
        *GUARDED,
        "alter table orders replica identity full",
        "insert into orders values (1, 'paid'), (2, 'new')",
        tables="orders",
    )
    async with node(dsn, database, options=ChangesOptions(deletes=deletes)) as running:  # type: ignore[arg-type]
        receiver = await running.listen(by=claims("authenticated", status="paid"))
        service = await running.listen(by=claims("service_role"))
        run(dsn, "delete from orders")
        await service.expect(2)

    assert [change["old_record"] for change in receiver.changes] == heard


async def test_a_deleted_row_can_be_checked_against_what_it_was(dsn: str, database: Database) -> None:
    publish(
        dsn,
        *GUARDED,
        "alter table orders replica identity full",
        "insert into orders values (1, 'paid', 5), (2, 'new', 5)",
        tables="orders",
    )
    async with node(dsn, database, options=ChangesOptions(deletes="checked")) as running:
        receiver = await running.listen(by=claims("authenticated", status="paid"))
        service = await running.listen(by=claims("service_role"))
        run(dsn, "delete from orders")
        await service.expect(2)

    assert [change["old_record"] for change in receiver.changes] == [
        {"id": 1, "status": "paid", "total": 5, "note": None}
    ]


async def test_an_audience_whose_policy_fails_rests_and_the_others_go_on(dsn: str, database: Database) -> None:
    publish(
        dsn,
        ORDERS,
        "grant select on orders to authenticated",
        "alter table orders enable row level security",
        "create policy own on orders for select to authenticated using (id >= (auth.jwt() ->> 'least')::bigint)",
        tables="orders",
    )
    async with node(dsn, database) as running:
        broken = await running.listen(by=claims("authenticated", least="many"))
        whole = await running.listen(by=claims("authenticated", least="0"))
        with Told() as told:
            run(dsn, "insert into orders values (1)")
            await whole.expect(1)
            run(dsn, "insert into orders values (2)")
            await whole.expect(2)

    assert broken.changes == []
    assert [status for status, _ in broken.system] == ["ok", "error"]
    assert "invalid input syntax for type bigint" in broken.system[1][1]
    assert len(told.named("changes.quarantined")) == 1
    assert whole.system == [SUBSCRIBED]


async def test_a_policy_that_takes_too_long_holds_nobody_up(dsn: str, database: Database) -> None:
    publish(
        dsn,
        ORDERS,
        "grant select on orders to authenticated",
        "alter table orders enable row level security",
        "create policy own on orders for select to authenticated "
        "using (case when auth.jwt() ->> 'slow' = 'yes' then pg_sleep(60) is null else true end)",
        tables="orders",
    )
    options = ChangesOptions(visibility=VisibilityOptions(timeout_s=0.5))
    async with node(dsn, database, options=options) as running:
        slow = await running.listen(by=claims("authenticated", slow="yes"))
        quick = await running.listen(by=claims("authenticated", slow="no"))
        run(dsn, "insert into orders values (1)")
        await quick.expect(1, patience_s=10)

    assert slow.changes == []
    assert "took too long" in slow.system[-1][1]


async def test_who_has_left_hears_nothing_more(dsn: str, database: Database) -> None:
    publish(dsn, ORDERS, tables="orders")
    async with node(dsn, database) as running:
        leaving = await running.listen()
        staying = await running.listen(binding(filter="id=gt.0"))
        run(dsn, "insert into orders values (1)")
        await leaving.expect(1)
        running.changes.unsubscribe(leaving)
        run(dsn, "insert into orders values (2)")
        await staying.expect(2)

    assert len(leaving.changes) == 1
    assert running.changes.receivers == 1


async def test_a_subscription_takes_the_place_of_the_one_before(dsn: str, database: Database) -> None:
    publish(dsn, *GUARDED, tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen(by=claims("authenticated", status="paid"))
        await running.changes.subscribe(receiver, (binding(),), claims("authenticated", status="new"))
        run(dsn, "insert into orders values (1, 'paid'), (2, 'new')")
        await receiver.expect(1)

    assert [record["id"] for record in receiver.records] == [2]


async def test_a_new_token_takes_over_without_a_row_falling_between(dsn: str, database: Database) -> None:
    publish(dsn, *GUARDED, tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen(by=claims("authenticated", status="paid"))
        for number in range(20):
            renewing = asyncio.ensure_future(
                running.changes.subscribe(receiver, (binding(),), claims("authenticated", status="paid", n=number))
            )
            await asyncio.to_thread(run, dsn, f"insert into orders values ({number}, 'paid')")
            await renewing
        await receiver.expect(20)

    assert [record["id"] for record in receiver.records] == list(range(20))


async def test_a_table_that_is_added_later_is_heard_by_a_wildcard(dsn: str, database: Database) -> None:
    publish(dsn, ORDERS, tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen(binding("*"))
        publish(dsn, "create table bills (id int primary key)", tables="bills")
        run(dsn, "insert into bills values (1)")
        (change,) = await receiver.expect(1)

    assert change["table"] == "bills"


async def test_fifty_thousand_rows_of_one_transaction_come_whole_and_in_order(dsn: str, database: Database) -> None:
    publish(dsn, ORDERS, tables="orders")
    async with node(dsn, database) as running:
        receiver = await running.listen(binding(filter="id=gt.49990"))
        insert = "insert into orders select n, 'new', n, 'x' from generate_series(1, 50000) n"
        await asyncio.to_thread(run, dsn, insert)
        await receiver.expect(10, patience_s=60)

    assert [record["id"] for record in receiver.records] == list(range(49991, 50001))


async def test_values_are_those_of_to_jsonb(dsn: str, database: Database) -> None:
    publish(
        dsn,
        "create table things (id int primary key, at timestamptz, data bytea, doc json, tags text[])",
        tables="things",
    )
    async with node(dsn, database) as running:
        receiver = await running.listen(binding("things"))
        run(
            dsn,
            "insert into things values (1, '2026-08-21 09:12:33.418+02', '\\x0aff', '{\"a\": [1, null]}', '{a,\"b c\",null}')",
        )
        (change,) = await receiver.expect(1)
    row = await database.fetch_one(_AS_JSON)

    assert row is not None
    assert change["record"] == json.loads(row["row"])
    await asyncio.sleep(0)


class _Query:
    name, text, parameters = "as_json", "select to_jsonb(t)::text as row from things t", ()

    def bind(self) -> tuple[object, ...]:
        return ()


_AS_JSON: object = _Query()


@pytest.mark.parametrize(
    "rows", [50_000, pytest.param(1_000_000, marks=[pytest.mark.nightly, pytest.mark.timeout(600)])]
)
async def test_a_transaction_of_any_size_is_told_with_bounded_memory(dsn: str, database: Database, rows: int) -> None:
    publish(dsn, *GUARDED, tables="orders")
    async with node(dsn, database) as running:
        last = await running.listen(binding(filter=f"id=eq.{rows}"), by=claims("authenticated", status="paid"))
        counting = Counting()
        await running.changes.subscribe(counting, (binding(),), claims("authenticated", status="paid"))
        run(dsn, "insert into orders values (0, 'paid')")
        await until(lambda: counting.heard == 1)
        forget_most()
        before = memory_bytes("VmRSS")
        # In a thread: a loop that stands still for the lease has lost the stream, and rightly.
        insert = f"insert into orders select n, 'paid', n, repeat('x', 100) from generate_series(1, {rows}) n"
        await asyncio.to_thread(run, dsn, insert)
        await last.expect(1, patience_s=500)
        grown = memory_bytes("VmHWM") - before

    assert counting.heard == rows + 1
    assert grown < 16 * 1024 * 1024
