"""Declaring a watch: from Python, from TOML, and what is refused."""

import tomllib

import pytest

from rowcast.capture.watch import EVERY_KIND, Watch, parse_watches, split_table, topic_columns, topic_parts
from rowcast.core.errors import InvalidInputError


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("orders", ("public", "orders")),
        ("Orders", ("public", "orders")),
        ("shop.orders", ("shop", "orders")),
        ('"Shop"."Order Lines"', ("Shop", "Order Lines")),
        ('"a""b"', ("public", 'a"b')),
        ('"a.b".c', ("a.b", "c")),
        ("größe", ("public", "größe")),
        ("ü" * 31, ("public", "ü" * 31)),
    ],
)
def test_a_table_is_named_as_in_sql(written: str, meant: tuple[str, str]) -> None:
    assert split_table(written) == meant


@pytest.mark.parametrize(
    "written",
    ["", ".", "a.", ".a", "a.b.c", "a..b", '"a', 'a"b"', '""', "a b", "a.b ", "x" * 64, "ü" * 32, "a\0b", '"a\0b"'],
)
def test_what_names_no_table_is_refused(written: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        split_table(written)

    assert refused.value.code == "input.watch"


def test_the_tenant_is_the_first_column_of_the_topic_unless_it_is_named() -> None:
    assert Watch(table="t", topic="a:{org_id}:{store}", columns=("x",)).tenant_column == "org_id"
    assert Watch(table="t", topic="a:{store}", columns=("x",), tenant="org_id").tenant_column == "org_id"


def test_a_watch_whose_rows_are_one_tenants_needs_neither_column_nor_topic() -> None:
    watch = Watch(table="t", columns=("x",), tenant_id="database")

    assert (watch.tenant_column, watch.named_columns, watch.part) == ("", ("x",), "database/")
    assert Watch(table="t", tenant="org_id", columns=("x",)).named_columns == ("x", "org_id")


def test_a_watch_looks_at_every_column_that_it_names_once() -> None:
    watch = Watch(table="t", topic="a:{org_id}:{id}", columns=("id", "x"), key=("k", "id"))

    assert watch.named_columns == ("id", "x", "org_id", "k")


def test_a_topic_is_cut_into_words_and_columns() -> None:
    assert topic_columns("a:{b c}:{d}") == ("b c", "d")
    assert topic_parts("{a}x{b}{c}") == (("a", True), ("x", False), ("b", True), ("c", True))


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"topic": "orders"}, "names no column"),
        ({"topic": ""}, "no template"),
        ({"topic": "orders", "tenant": "", "tenant_id": ""}, "names no column"),
        ({"tenant": "b", "tenant_id": "acme"}, "the tenant itself"),
        ({"name": "Order status"}, "its name"),
        ({"topic": "a:{}"}, "no template"),
        ({"topic": "a:{b}}"}, "no template"),
        ({"topic": "a\n:{b}"}, "control character"),
        ({"topic": "x" * 246 + "{b}"}, "246|245"),
        ({"columns": ()}, "columns are missing"),
        ({"columns": ("a", "a")}, "named twice"),
        ({"key": ("a", "a")}, "key names a column twice"),
        ({"events": ()}, "events are missing"),
        ({"events": ("insert", "insert")}, "named twice"),
        ({"events": ("truncate",)}, "unknown"),
        ({"table": "a b"}, "no table name"),
    ],
)
def test_a_watch_that_cannot_work_is_refused_with_the_reason(changed: dict[str, object], why: str) -> None:
    with pytest.raises(InvalidInputError, match=why) as refused:
        Watch(**{"table": "t", "topic": "a:{b}", "columns": ("x",), **changed})  # type: ignore[arg-type]

    assert refused.value.code == "input.watch"


def test_watches_are_read_from_toml() -> None:
    text = """
        [[watch]]
        table = "orders"
        topic = "orders:{org_id}"
        columns = ["id", "status"]

        [[watch]]
        table = "shop.stock"
        topic = "stock:{store}"
        columns = ["sku"]
        events = ["update"]
        tenant = "org_id"
        key = ["sku"]
    """

    assert parse_watches(tomllib.loads(text)["watch"]) == (
        Watch(table="orders", topic="orders:{org_id}", columns=("id", "status"), events=EVERY_KIND),
        Watch(
            table="shop.stock",
            topic="stock:{store}",
            columns=("sku",),
            events=("update",),
            tenant="org_id",
            key=("sku",),
        ),
    )


@pytest.mark.parametrize(
    "table",
    [
        {"table": "orders", "topic": "a:{b}"},
        {"table": "orders", "topic": "a:{b}", "columns": "id"},
        {"table": "orders", "topic": "a:{b}", "columns": ["id"], "evnets": ["insert"]},
        {"table": "orders", "topic": "a:{b}", "columns": ["id"], "events": ["upsert"]},
        {"table": "orders", "topic": "a", "columns": ["id"]},
        {},
    ],
)
def test_a_table_of_toml_that_is_no_watch_is_refused_by_name(table: dict[str, object]) -> None:
    with pytest.raises(InvalidInputError, match=str(table.get("table", r"\?"))) as refused:
        parse_watches([table])

    assert refused.value.code == "input.watch"


def test_a_table_is_declared_once() -> None:
    watch = {"table": "orders", "topic": "a:{b}", "columns": ["id"]}

    with pytest.raises(InvalidInputError, match="declared twice"):
        parse_watches([watch, {**watch, "table": "public.Orders"}])


def test_a_table_has_several_watches_that_differ_in_name_or_tenant() -> None:
    watch = {"table": "orders", "topic": "a:{b}", "columns": ["id"]}

    found = parse_watches([watch, {**watch, "name": "order_status"}, {**watch, "tenant_id": "database"}])

    assert len({each.part for each in found}) == 3
    with pytest.raises(InvalidInputError, match="declared twice"):
        parse_watches([{**watch, "name": "order_status"}, {**watch, "name": "order_status"}])


def test_a_tenant_that_is_no_word_is_refused() -> None:
    with pytest.raises(InvalidInputError) as refused:
        Watch(table="t", columns=("x",), tenant_id="a b")

    assert refused.value.code == "input.tenant"
