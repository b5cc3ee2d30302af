"""The generated text where it differs by declaration; what it does is shown on real servers in the integration tests."""

import pytest

from rowcast.capture.table_description import TableDescription
from rowcast.capture.trigger_body import event_module, event_types, function_body
from rowcast.capture.watch import Watch

TABLE = TableDescription("public", "orders", "r", ("id", "org_id", "status", "doc"), ("id",), risky=("doc",))


def body(**changed: object) -> str:
    given = {"table": "orders", "topic": "orders:{org_id}", "columns": ("id", "status"), **changed}
    return function_body(Watch(**given), TABLE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("table", "module"),
    [
        ("orders", "orders"),
        ("Order Lines", "order_lines"),
        ("2024", "t_2024"),
        ("_a", "t__a"),
        ("größe", "gr__e"),
        ("日本", "t___"),
    ],
)
def test_a_tables_name_becomes_a_word_of_an_event_type(table: str, module: str) -> None:
    assert event_module(table) == module


def test_a_topic_of_the_tenant_alone_costs_no_second_check() -> None:
    assert "octet_length(p.topic)" not in body()
    assert "octet_length(p.topic)" in body(topic="orders:{org_id}:{status}")
    assert "octet_length(p.topic)" in body(topic="x" * 200 + "{org_id}")


def test_json_is_looked_through_only_where_a_listed_column_may_hold_what_cannot_be_read_again() -> None:
    assert "strpos" not in body()
    assert "strpos" in body(columns=("id", "doc"))


def test_only_the_operations_that_were_asked_for_are_there() -> None:
    assert "tg_op = 'DELETE'" not in body(events=("insert", "update"))
    assert "'orders.deleted'" not in body(events=("insert", "update"))
    assert body(events=("update",)).count("tg_op") == 1


def test_the_same_declaration_gives_the_same_text() -> None:
    assert body() == body()
    assert body() != body(columns=("id",))


def test_a_declared_key_takes_the_place_of_the_primary_key() -> None:
    assert "coalesce(n.\"status\"::text, '') as key" in body(key=("status",))


def test_a_watch_with_a_name_begins_its_events_with_it() -> None:
    plain, named = (Watch(table='"Orders"', topic="a:{b}", columns=("x",), name=name) for name in ("", "order_status"))

    assert event_types(plain, ("insert", "update")) == ("orders.inserted", "orders.updated")
    assert event_types(named, ("delete",)) == ("order_status.deleted",)
    assert "'order_status.updated'" in body(name="order_status")


def test_rows_of_one_tenant_have_it_as_a_constant_and_no_topic_where_none_is_asked_for() -> None:
    made = body(topic="", tenant_id="its")

    assert "'its'::text as tenant" in made
    assert "null::text as topic" in made
