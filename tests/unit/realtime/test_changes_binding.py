import pytest

from rowcast.realtime.change_filter import Condition, FilterFault
from rowcast.realtime.change_source import Binding
from rowcast.realtime.changes_binding import Wanted, gap_text, not_published, read_binding, refused, rest_text


def binding(
    schema: str = "public", table: str | None = "orders", filter_: str | None = None, **values: object
) -> Binding:
    asked = {"event": "*", "select": None, **values}
    return Binding(1, str(asked["event"]), schema, table, filter_, asked["select"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("asked", "schema", "table"),
    [
        (binding(), "public", "orders"),
        (binding("", "orders"), "public", "orders"),
        (binding("shop", None), "shop", None),
        (binding("shop", "*"), "shop", None),
        (binding("*", "*"), None, None),
    ],
)
def test_what_is_left_out_stands_for_any_table_and_the_schema_public(
    asked: Binding, schema: str | None, table: str | None
) -> None:
    wanted = read_binding(asked)

    assert isinstance(wanted, Wanted)
    assert (wanted.schema, wanted.table) == (schema, table)


def test_nothing_to_subscribe_to_is_refused() -> None:
    found = read_binding(binding("", None))

    assert isinstance(found, FilterFault)
    assert found.text.startswith(
        "No subscription params provided. Please provide at least a `schema` or `table` to subscribe to: "
    )


def test_columns_cannot_be_chosen_of_a_wildcard() -> None:
    assert read_binding(binding("public", "*", select=("id",))) == FilterFault(
        "Column selection is not supported for wildcard subscriptions. Provide an explicit schema and table name."
    )


def test_a_refusal_names_what_was_asked_for() -> None:
    asked = binding(filter_="a=not.eq.1,b=in.(x,y)", event="INSERT", select=("id",))
    wanted = read_binding(asked)

    assert isinstance(wanted, Wanted)
    assert wanted.conditions[0] == Condition("a", "eq", ("1",), True)
    listed = '[event: INSERT, schema: public, table: orders, filters: [{"a", "not.eq", "1"}, {"b", "in", "x,y"}], select: ["id"]]'
    assert not_published(asked, wanted).endswith(
        f"Please check Realtime is enabled for the given connect parameters: {listed}"
    )
    assert refused(asked, wanted, "no").endswith(
        f"An exception happened so please check your connect parameters: {listed}. Exception: no"
    )


def test_a_gap_and_a_rest_say_what_to_do() -> None:
    assert gap_text("the stream ended") == "Changes may be missing: the stream ended. Load again what you show."
    assert "public.orders" in rest_text("public.orders", "why")
