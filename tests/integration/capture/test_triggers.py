"""A watched table on the newest and the oldest server: what is told, what is not, and that nothing is ever harmed."""

from collections.abc import Iterator

import psycopg
import pytest

from rowcast.capture.triggers import unwatch_sql, watch_sql
from rowcast.capture.watch import Watch
from rowcast.core.errors import InvalidInputError
from tests.integration.capture.watched import Application, described, install

ORDERS = Watch(table="orders", topic="orders:{org_id}", columns=("id", "status", "total"))
_TABLE = """
create table orders (
    id integer primary key, org_id text, status text not null default 'new', total numeric(10, 2), secret text default 's'
)
"""


@pytest.fixture
def app(any_dsn: str) -> Iterator[Application]:
    application = Application(any_dsn)
    application.run(_TABLE)
    yield application
    application.connection.close()


async def test_an_insert_an_update_and_a_delete_are_told_with_old_and_new_record(
    app: Application, any_dsn: str
) -> None:
    await install(any_dsn, ORDERS)

    app.run("insert into orders (id, org_id, total) values (7, 'acme', 9.50)")
    app.run("update orders set status = 'paid' where id = 7")
    app.run("delete from orders where id = 7")
    inserted, updated, deleted = app.told()

    assert [each.event_type for each in (inserted, updated, deleted)] == [
        "orders.inserted",
        "orders.updated",
        "orders.deleted",
    ]
    assert {(each.tenant_id, each.aggregate_type, each.aggregate_id, each.topic) for each in app.told()} == {
        ("acme", "orders", "7", "orders:acme")
    }
    assert inserted.payload == {
        "schema": "public", "table": "orders", "operation": "INSERT",
        "record": {"id": 7, "status": "new", "total": 9.50}, "old_record": None,
    }  # fmt: skip
    assert (updated.payload["operation"], updated.record["status"], updated.old_record["status"]) == (
        "UPDATE",
        "paid",
        "new",
    )
    assert (deleted.payload["operation"], deleted.record, deleted.old_record["status"]) == ("DELETE", None, "paid")
    assert app.warnings == []


async def test_a_column_that_is_not_listed_never_leaves_also_when_it_is_added_later(
    app: Application, any_dsn: str
) -> None:
    await install(any_dsn, ORDERS)

    app.run("alter table orders add column card_number text default '4111'")
    app.run("insert into orders (id, org_id, total) values (1, 'acme', 1)")
    app.run("update orders set total = 2")

    assert [set(each.record) for each in app.told()] == [{"id", "status", "total"}] * 2
    assert not [each for each in app.told() if "4111" in str(each.payload) or "org_id" in str(each.payload)]


async def test_an_update_that_changes_nothing_listed_is_no_event(app: Application, any_dsn: str) -> None:
    await install(any_dsn, ORDERS)
    app.run("insert into orders (id, org_id, total) values (1, 'acme', 1)")
    app.forget()

    app.run("update orders set secret = 'other'")
    app.run("update orders set status = status")

    assert app.told() == []


async def test_a_statement_over_many_rows_pairs_old_and_new_also_where_keys_change(
    app: Application, any_dsn: str
) -> None:
    await install(any_dsn, ORDERS)
    app.run(
        "insert into orders (id, org_id, status, total) select n, 'acme', 's' || n, n from generate_series(1, 50) n"
    )
    app.forget()

    app.run("update orders set id = id + 1000, status = status || '!'")

    assert len(app.told()) == 50
    assert all(each.record["id"] == each.old_record["id"] + 1000 for each in app.told())
    assert all(each.record["status"] == each.old_record["status"] + "!" for each in app.told())
    assert {each.aggregate_id for each in app.told()} == {str(n) for n in range(1001, 1051)}


async def test_on_conflict_do_update_and_merge_tell_what_really_happened(app: Application, any_dsn: str) -> None:
    await install(any_dsn, ORDERS)
    app.run("insert into orders (id, org_id, total) values (1, 'acme', 1)")
    app.forget()

    app.run(
        "insert into orders (id, org_id, total) values (1, 'acme', 5), (2, 'acme', 6)"
        " on conflict (id) do update set total = excluded.total"
    )
    upserted = sorted((each.event_type, each.aggregate_id) for each in app.told())
    app.forget()
    app.run(
        "merge into orders o using (values (1, 9), (3, 9)) as v (id, total) on o.id = v.id"
        " when matched then update set total = v.total when not matched then insert (id, org_id, total) values (v.id, 'acme', v.total)"
    )
    merged = sorted((each.event_type, each.aggregate_id) for each in app.told())

    assert upserted == [("orders.inserted", "2"), ("orders.updated", "1")]
    assert merged == [("orders.inserted", "3"), ("orders.updated", "1")]


async def test_a_row_that_goes_to_another_partition_is_one_update(app: Application, any_dsn: str) -> None:
    app.run(
        "create table parts (id integer, org_id text, region text, note text, primary key (id, region)) partition by list (region);"
        "create table parts_eu partition of parts for values in ('eu');"
        "create table parts_us (note text, region text not null, org_id text, id integer not null, primary key (id, region));"
        "alter table parts attach partition parts_us for values in ('us')"
    )
    await install(any_dsn, Watch(table="parts", topic="parts:{org_id}", columns=("id", "region", "note")))

    app.run("insert into parts values (1, 'acme', 'eu', 'a'), (2, 'acme', 'us', 'b')")
    app.run("update parts set region = case region when 'eu' then 'us' else 'eu' end")
    changes = [each for each in app.told() if each.event_type == "parts.updated"]

    assert [each.event_type for each in app.told()].count("parts.inserted") == 2
    assert sorted((each.old_record["region"], each.record["region"], each.record["note"]) for each in changes) == [
        ("eu", "us", "a"),
        ("us", "eu", "b"),
    ]
    assert {each.aggregate_id for each in changes} == {"1,us", "2,eu"}


async def test_a_row_that_changes_its_tenant_shows_each_tenant_only_its_own(app: Application, any_dsn: str) -> None:
    await install(any_dsn, ORDERS)
    app.run("insert into orders (id, org_id, status, total) values (1, 'acme', 'theirs', 1), (2, 'acme', 'stays', 1)")
    app.forget()

    app.run("update orders set org_id = case id when 1 then 'globex' else org_id end, status = status || '!'")
    told = sorted(
        (each.tenant_id, each.topic, each.event_type, str(each.old_record), str(each.record)) for each in app.told()
    )

    assert told == [
        ("acme", "orders:acme", "orders.deleted", "{'id': 1, 'status': 'theirs', 'total': 1.0}", "None"),
        (
            "acme",
            "orders:acme",
            "orders.updated",
            "{'id': 2, 'status': 'stays', 'total': 1.0}",
            "{'id': 2, 'status': 'stays!', 'total': 1.0}",
        ),
        ("globex", "orders:globex", "orders.inserted", "None", "{'id': 1, 'status': 'theirs!', 'total': 1.0}"),
    ]
    assert app.warnings == []


async def test_a_row_without_a_usable_tenant_is_a_warning_and_its_neighbours_are_told(
    app: Application, any_dsn: str
) -> None:
    await install(any_dsn, ORDERS)

    app.run(
        "insert into orders (id, org_id, total) values (1, 'acme', 1), (2, null, 1), (3, 'a:b', 1), (4, '', 1), (5, %s, 1), (6, 'b', 1)",
        ["x" * 129],
    )

    assert [each.aggregate_id for each in app.told()] == ["1", "6"]
    assert len(app.run("select * from orders")) == 6
    assert [text.split(":")[0] for text in app.warnings] == ["capture.tenant"]
    assert "a:b" not in app.warnings[0]


async def test_a_topic_with_unusable_words_is_a_warning_and_no_event(app: Application, any_dsn: str) -> None:
    await install(any_dsn, Watch(table="orders", topic="{org_id}:{status}", columns=("id",)))

    app.run(
        "insert into orders (id, org_id, status) values (1, 'acme', 'fine'), (2, 'acme', E'bell\\x07'), (3, 'acme', repeat('x', 250))"
    )

    assert [(each.aggregate_id, each.topic) for each in app.told()] == [("1", "acme:fine")]
    assert [text.split(":")[0] for text in app.warnings] == ["capture.tenant"]


@pytest.mark.parametrize(
    "sabotage",
    [
        "alter table rowcast.event rename column payload to payload_gone",
        "alter table rowcast.event rename to event_gone",
        "drop function rowcast.uuid7(timestamptz) cascade",
        "alter table orders drop column total",
        "drop sequence rowcast.capture_failures; alter table rowcast.event rename to event_gone",
    ],
)
async def test_whatever_breaks_inside_the_business_transaction_goes_on(
    app: Application, any_dsn: str, sabotage: str
) -> None:
    await install(any_dsn, ORDERS)
    app.run(sabotage)

    with app.connection.transaction():
        app.run("insert into orders (id, org_id) values (1, 'acme')")
        app.run("update orders set status = 'paid'")
        app.run("delete from orders where id = 2")
    app.run("insert into orders (id, org_id) values (3, 'acme')")

    assert sorted(app.run("select id, status from orders")) == [(1, "paid"), (3, "new")]
    words = {text.split(":")[0] for text in app.warnings if not text.startswith("drop cascades")}
    assert words == {"capture.failed"}


async def test_failures_are_counted_where_a_rollback_does_not_reach(app: Application, any_dsn: str) -> None:
    await install(any_dsn, ORDERS)

    with app.connection.transaction(force_rollback=True):
        app.run("insert into orders (id, org_id) values (1, null)")

    assert app.run("select last_value, is_called from rowcast.capture_failures") == [(1, True)]


async def test_a_row_too_big_for_an_event_is_told_by_its_key(app: Application, any_dsn: str) -> None:
    await install(any_dsn, ORDERS)

    app.run("insert into orders (id, org_id, status) values (1, 'acme', repeat('x', 65300))")
    app.run("insert into orders (id, org_id, status) values (2, 'acme', repeat('x', 70000))")
    app.run("update orders set status = 'small' where id = 2")
    app.run("delete from orders where id = 1")
    fits, big, shrunk, deleted = app.told()

    assert "truncated" not in fits.payload
    assert (big.payload["truncated"], big.record, big.old_record) == (True, {"id": 2}, None)
    assert (shrunk.payload["truncated"], shrunk.record) == (True, {"id": 2})
    assert deleted.old_record["status"] == "x" * 65300
    assert max(size for (size,) in app.run("select octet_length(payload::text) from rowcast.event")) <= 65536


async def test_json_that_the_database_cannot_read_again_is_told_by_its_key(app: Application, any_dsn: str) -> None:
    app.run("alter table orders add column doc json")
    await install(any_dsn, Watch(table="orders", topic="orders:{org_id}", columns=("id", "doc")))

    app.run(
        """insert into orders (id, org_id, doc) values (1, 'acme', '{"a": "\\u0000"}'), (2, 'acme', '{"a": "b"}')"""
    )

    assert [each.record for each in app.told()] == [{"id": 1}, {"id": 2, "doc": {"a": "b"}}]
    assert app.run(
        "select payload ->> 'table', payload::jsonb -> 'record' ->> 'id' from rowcast.event order by seq"
    ) == [
        ("orders", "1"),
        ("orders", "2"),
    ]


async def test_every_kind_of_name_is_quoted(app: Application, any_dsn: str) -> None:
    table, column = '"Ord""er; drop table orders; --"', '"sel\'ect $rowcast0$ % ""col"""'
    long = '"' + "ü" * 31 + '"'
    app.run(
        f'create schema "Sch.ema"; create table "Sch.ema".{table}'
        f' ("user" integer primary key, "Ten ant" text, {column} text, {long} text, "\\back" text, n text, o text, p text, sn text,'
        " tenant text, payload text, place text, is_careful text, key_0 text, tg_op text)"
    )
    columns = (
        "user",
        'sel\'ect $rowcast0$ % "col"',
        "ü" * 31,
        "\\back",
        "n",
        "o",
        "p",
        "sn",
        "tenant",
        "payload",
        "place",
        "is_careful",
        "key_0",
        "tg_op",
    )
    watch = Watch(table=f'"Sch.ema".{table}', topic="we're {Ten ant} \\ $rowcast0$:{user}", columns=columns)
    await install(any_dsn, watch, times=2)

    names = ", ".join('"' + name.replace('"', '""') + '"' for name in columns).replace("%", "%%")
    app.run(
        f'insert into "Sch.ema".{table} ("Ten ant", {names}) values (\'acme\', 1{", %s" * 13})',
        [f"v{n}" for n in range(13)],
    )
    app.run(f"update \"Sch.ema\".{table} set place = 'elsewhere'")
    inserted, updated = app.told()

    assert app.warnings == []
    assert inserted.record == dict(zip(columns, [1, *(f"v{n}" for n in range(13))], strict=True))
    assert (inserted.payload["schema"], inserted.payload["table"]) == ("Sch.ema", 'Ord"er; drop table orders; --')
    assert (inserted.event_type, inserted.topic) == (
        "ord_er__drop_table_orders____.inserted",
        "we're acme \\ $rowcast0$:1",
    )
    assert updated.record["place"] == "elsewhere"
    assert app.run("select count(*) from orders") == [(0,)]


async def test_types_without_an_equality_and_with_many_columns_are_compared_and_told(
    app: Application, any_dsn: str
) -> None:
    names = [f"c{n}" for n in range(120)]
    app.run(
        "create type mood as enum ('sad', 'glad'); create type pair as (a integer, b text);"
        f"create table wide (id uuid primary key, org_id text, {', '.join(f'{name} integer' for name in names)},"
        " doc json, place point, mood mood, both_of pair, list text[], at timestamptz, bits bytea, range int4range, nothing xml)"
    )
    columns = ("id", *names, "doc", "place", "mood", "both_of", "list", "at", "bits", "range", "nothing")
    await install(any_dsn, Watch(table="wide", topic="wide:{org_id}", columns=columns))

    app.run(
        "insert into wide (id, org_id, c119, doc, place, mood, both_of, list, at, bits, range) values (gen_random_uuid(), 'acme', 7,"
        " '{\"a\": [1]}', '(1,2)', 'glad', '(1,x)', '{a,b}', '2026-01-01 00:00:00+00', '\\x01ff', '[1,5)')"
    )
    app.run("update wide set doc = '{\"a\": [1]}'")
    app.run("update wide set doc = '{\"a\": [2]}'")
    inserted, updated = app.told()

    assert app.warnings == []
    assert (inserted.record["c119"], inserted.record["doc"], inserted.record["mood"]) == (7, {"a": [1]}, "glad")
    assert (inserted.record["both_of"], inserted.record["list"]) == ({"a": 1, "b": "x"}, ["a", "b"])
    assert updated.record["doc"] == {"a": [2]}


async def test_a_value_in_the_side_storage_is_whole_in_both_records_without_full_replica_identity(
    app: Application, any_dsn: str
) -> None:
    app.run("alter table orders add column body text")
    app.run("alter table orders alter column body set storage external")
    await install(any_dsn, Watch(table="orders", topic="orders:{org_id}", columns=("id", "status", "body")))
    app.run("insert into orders (id, org_id, body) values (1, 'acme', repeat('abc', 3000))")
    app.forget()

    app.run("update orders set status = 'paid'")
    (updated,) = app.told()

    assert updated.record["body"] == updated.old_record["body"] == "abc" * 3000


async def test_a_table_without_a_primary_key_is_watched_by_a_declared_key(app: Application, any_dsn: str) -> None:
    app.run("create table lines (order_id integer, place integer, org_id text, amount integer)")
    columns = ("order_id", "place", "amount")
    with pytest.raises(InvalidInputError, match="primary key"):
        await install(any_dsn, Watch(table="lines", topic="lines:{org_id}", columns=columns))
    await install(any_dsn, Watch(table="lines", topic="lines:{org_id}", columns=columns, key=("order_id", "place")))

    app.run("insert into lines values (7, 1, 'acme', 5), (7, null, 'acme', 5)")
    app.run("update lines set amount = 6 where place = 1")

    assert [each.aggregate_id for each in app.told()] == ["7,1", "7,", "7,1"]
    assert app.warnings == []


async def test_whole_old_rows_in_the_log_are_an_option_for_readers_of_raw_changes(
    app: Application, any_dsn: str
) -> None:
    identity = "select relreplident from pg_class where oid = 'orders'::regclass"
    table = await described(any_dsn, "orders")

    app.run(watch_sql(ORDERS, table))
    usual = app.run(identity)
    app.run(watch_sql(ORDERS, table, is_replica_identity_full=True))

    assert usual == [("d",)]
    assert app.run(identity) == [("f",)]


async def test_a_cascade_is_captured_on_the_table_where_it_ends(app: Application, any_dsn: str) -> None:
    app.run(
        "create table lines (id integer primary key, org_id text, order_id integer references orders on delete cascade)"
    )
    await install(any_dsn, Watch(table="lines", topic="lines:{org_id}", columns=("id", "order_id")))
    app.run("insert into orders (id, org_id) values (1, 'acme')")
    app.run("insert into lines values (5, 'acme', 1)")

    app.run("delete from orders")

    assert [each.event_type for each in app.told()] == ["lines.inserted", "lines.deleted"]


async def test_only_the_events_that_were_asked_for_are_told_and_a_changed_watch_replaces_the_old(
    app: Application, any_dsn: str
) -> None:
    await install(any_dsn, ORDERS)
    await install(any_dsn, Watch(table="orders", topic="orders:{org_id}", columns=("id",), events=("delete",)), times=2)

    app.run("insert into orders (id, org_id) values (1, 'acme')")
    app.run("update orders set status = 'x'")
    app.run("delete from orders")

    assert [(each.event_type, each.old_record) for each in app.told()] == [("orders.deleted", {"id": 1})]


async def test_several_watches_of_a_table_each_tell_their_own_tenant_and_columns(
    app: Application, any_dsn: str
) -> None:
    columns = ("id", "status")
    await install(any_dsn, ORDERS)
    await install(any_dsn, Watch(table="orders", columns=("id", "org_id"), tenant_id="database"))
    status = Watch(table="orders", columns=columns, events=("update",), tenant_id="database", name="order_status")
    await install(any_dsn, status, times=2)

    app.run("insert into orders (id, org_id, total) values (1, 'acme', 1)")
    app.run("update orders set total = 2")
    app.run("update orders set status = 'paid'")
    app.run("update orders set org_id = 'other'")

    assert [(each.tenant_id, each.event_type, each.topic) for each in app.told() if each.tenant_id == "database"] == [
        ("database", "orders.inserted", None),
        ("database", "order_status.updated", None),
        ("database", "orders.updated", None),
    ]
    assert {each.event_type for each in app.told() if each.tenant_id == "acme"} == {
        "orders.inserted", "orders.updated", "orders.deleted",
    }  # fmt: skip
    (changed,) = (each for each in app.told() if each.event_type == "order_status.updated")
    assert (changed.record, changed.old_record) == ({"id": 1, "status": "paid"}, {"id": 1, "status": "new"})
    assert app.warnings == []


async def test_one_of_several_watches_is_taken_away_and_the_others_stay(app: Application, any_dsn: str) -> None:
    status = Watch(table="orders", columns=("id", "status"), tenant_id="database", name="order_status")
    await install(any_dsn, ORDERS)
    await install(any_dsn, status)

    app.run(unwatch_sql(await described(any_dsn, "orders"), status.part))
    app.run("insert into orders (id, org_id) values (1, 'acme')")

    assert [each.event_type for each in app.told()] == ["orders.inserted"]


async def test_a_watch_that_is_taken_away_leaves_nothing(app: Application, any_dsn: str) -> None:
    await install(any_dsn, ORDERS)

    app.run(unwatch_sql(await described(any_dsn, "orders")))
    app.run("insert into orders (id, org_id) values (1, 'acme')")

    assert app.told() == []
    assert app.run("select proname from pg_proc where proname like 'watch\\_%'") == []


async def test_a_session_cannot_put_its_own_names_in_front_of_the_functions_words(
    app: Application, any_dsn: str
) -> None:
    await install(any_dsn, ORDERS)
    app.run(
        "create schema evil; create function evil.row_to_json(anyelement) returns json language sql as $$ select '{\"evil\": 1}'::json $$;"
        "create table evil.new_rows (like orders); create temp table new_rows (like orders); create temp table json (a integer);"
        "create temp table text (a integer); set search_path = evil, pg_temp, pg_catalog, public"
    )

    app.run("insert into public.orders (id, org_id, total) values (1, 'acme', 1)")
    app.run("drop table pg_temp.json, pg_temp.text; reset search_path")

    assert [each.record for each in app.told()] == [{"id": 1, "status": "new", "total": 1.0}]
    assert app.warnings == []


async def test_an_application_without_any_right_on_rowcast_is_captured(app: Application, any_dsn: str) -> None:
    await install(any_dsn, ORDERS)
    app.run(
        "do $$ begin create role capture_app nologin; exception when duplicate_object or unique_violation then null; end $$"
    )
    app.run("grant insert on orders to capture_app")

    with app.connection.transaction():
        app.run("set local role capture_app")
        app.run("insert into orders (id, org_id) values (1, 'acme')")

    assert len(app.told()) == 1


async def test_only_the_owner_of_the_schema_may_install_a_watch(app: Application, any_dsn: str) -> None:
    app.run(
        "do $$ begin create role capture_stranger nologin; exception when duplicate_object or unique_violation then null; end $$"
    )
    script = await install(any_dsn, ORDERS)

    with pytest.raises(psycopg.Error, match=r"auth\.denied"), app.connection.transaction():
        app.run("set local role capture_stranger")
        app.run(script)


async def test_a_bulk_update_after_a_small_one_is_not_paired_row_by_row(app: Application, any_dsn: str) -> None:
    await install(any_dsn, ORDERS)
    app.run("insert into orders (id, org_id, total) select n, 'acme', n from generate_series(1, 30000) n")
    for _ in range(8):
        app.run("update orders set total = total + 1 where id = 1")
    app.forget()

    # A kept plan of nested loops would need 900 million steps here.
    with app.connection.transaction():
        app.run("set local statement_timeout = '20s'")
        app.run("update orders set total = total + 1")

    assert app.run("select count(*), count(distinct aggregate_id) from rowcast.event") == [(30000, 30000)]


async def test_copy_is_captured_and_rolled_back_changes_are_not(app: Application, any_dsn: str) -> None:
    await install(any_dsn, ORDERS)

    with app.connection.cursor().copy("copy orders (id, org_id) from stdin") as copy:
        copy.write("1\tacme\n2\tacme\n")
    with app.connection.transaction(force_rollback=True):
        app.run("delete from orders")

    assert [each.event_type for each in app.told()] == ["orders.inserted"] * 2
