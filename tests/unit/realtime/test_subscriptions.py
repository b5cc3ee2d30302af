"""What a user may hear comes from his token; what he asks for is compared and never passed on."""

from typing import Any

import pytest

from rowcast.core.errors import InvalidInputError, NotFoundError, PermissionDeniedError
from rowcast.realtime.subscriptions import (
    DeclaredChannel,
    Grant,
    SubscribeRequest,
    claim_at,
    grants_for,
    parse_channels,
    user_of,
)

SUPPLIER = "11111111-1111-4111-8111-111111111111"
OTHER = "11111111-1111-4111-8111-111111111112"
COUPLE = "22222222-2222-4222-8222-222222222222"
WEDDING = "33333333-3333-4333-8333-333333333333"

WEDDINGS = parse_channels(
    [
        {
            "name": "form-responses", "table": "form_responses", "filter_field": "supplier_id",
            "needs": {"user_type": "supplier"}, "narrows": ["wedding_id"],
        },
        {
            "name": "journey-progress", "table": "public.journey_progress", "filter_field": "supplier_id",
            "needs": {"user_type": "supplier"},
        },
        {
            "name": "core-fields", "table": "core_fields", "filter_field": "couple_id", "event": "UPDATE",
            "needs": {"user_type": "couple"},
        },
        {
            "name": "orders", "table": "shop.orders", "filter_field": "customer_id", "value_type": "text",
            "claim": "app_metadata.customer",
        },
    ]
)  # fmt: skip
CHANNELS = {channel.name: channel for channel in WEDDINGS}
CLAIMS: dict[str, Any] = {"sub": "u1", "user_type": "supplier", "supplier_id": SUPPLIER}


def ask(*names: str, claims: dict[str, Any] = CLAIMS, connection: str = "", **filters: str) -> list[Grant]:
    request = SubscribeRequest(names, filters, connection)
    return list(grants_for(request, channels=CHANNELS, claims=claims))


def test_a_supplier_hears_his_own_form_responses() -> None:
    assert ask("form-responses", supplier_id=SUPPLIER) == [
        Grant(
            "form-responses",
            f"form-responses:{SUPPLIER}",
            "*",
            "public",
            "form_responses",
            f"supplier_id=eq.{SUPPLIER}",
        )
    ]


def test_a_couple_hears_its_core_fields_and_a_supplier_does_not() -> None:
    couple = {"sub": "u2", "user_type": "couple", "couple_id": COUPLE}

    assert ask("core-fields", claims=couple, couple_id=COUPLE)[0].filter == f"couple_id=eq.{COUPLE}"
    with pytest.raises(PermissionDeniedError):
        ask("core-fields", claims={**couple, "user_type": "supplier"}, couple_id=COUPLE)


def test_several_channels_are_granted_together_or_not_at_all() -> None:
    assert [grant.channel for grant in ask("form-responses", "journey-progress", supplier_id=SUPPLIER)] == [
        "form-responses",
        "journey-progress",
    ]
    with pytest.raises(InvalidInputError, match="couple_id"):
        ask("form-responses", "core-fields", supplier_id=SUPPLIER)


def test_a_caller_may_narrow_what_is_his() -> None:
    assert ask("form-responses", supplier_id=SUPPLIER, wedding_id=WEDDING)[0].filter == (
        f"supplier_id=eq.{SUPPLIER},wedding_id=eq.{WEDDING}"
    )


def test_another_suppliers_id_is_denied_however_alike() -> None:
    with pytest.raises(PermissionDeniedError):
        ask("form-responses", supplier_id=OTHER)


@pytest.mark.parametrize("asked", ["10", "1,customer_id=eq.2", "1 ", "1)", "", "eq.1", "x" * 129])
def test_a_value_that_only_begins_like_ones_own_opens_nothing(asked: str) -> None:
    claims = {"sub": "u1", "app_metadata": {"customer": 1}}

    assert ask("orders", claims=claims, customer_id="1")[0].filter == "customer_id=eq.1"
    with pytest.raises((InvalidInputError, PermissionDeniedError)):
        ask("orders", claims=claims, customer_id=asked)


@pytest.mark.parametrize("customer", [None, True, ["1"], {"1": "1"}, 1.0, ""])
def test_a_claim_that_is_no_plain_value_opens_nothing(customer: object) -> None:
    with pytest.raises((InvalidInputError, PermissionDeniedError)):
        ask("orders", claims={"app_metadata": {"customer": customer}}, customer_id=str(customer))


def test_who_the_caller_is_does_not_stand_in_for_what_he_owns() -> None:
    with pytest.raises(PermissionDeniedError):
        ask("form-responses", claims={"sub": SUPPLIER, "user_type": "supplier"}, supplier_id=SUPPLIER)


def test_an_unknown_channel_is_not_there() -> None:
    with pytest.raises(NotFoundError) as refusal:
        ask("guests", supplier_id=SUPPLIER)

    assert refusal.value.code == "input.no_channel"


def test_a_missing_filter_is_named() -> None:
    with pytest.raises(InvalidInputError, match="form-responses needs the filter supplier_id") as refusal:
        ask("form-responses")

    assert refusal.value.code == "input.filter"


def test_a_filter_that_no_channel_takes_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="couple_id"):
        ask("journey-progress", supplier_id=SUPPLIER, couple_id=COUPLE)


@pytest.mark.parametrize("value", ["1", SUPPLIER.replace("-", ""), SUPPLIER + "\n", f"{{{SUPPLIER}}}", "' or 1=1"])
def test_a_value_that_is_no_uuid_is_refused(value: str) -> None:
    with pytest.raises(InvalidInputError, match="UUID"):
        ask("form-responses", supplier_id=value)


@pytest.mark.parametrize("names", [(), ("form-responses",) * 2, tuple(f"c{number}" for number in range(11))])
def test_none_too_many_and_twice_the_same_are_refused(names: tuple[str, ...]) -> None:
    with pytest.raises(InvalidInputError, match="1 to 10"):
        ask(*names, supplier_id=SUPPLIER)


@pytest.mark.parametrize("connection", ["a\x00b", "x" * 129, "a\nb", "\ud800"])
def test_a_connection_id_that_cannot_be_kept_is_refused(connection: str) -> None:
    with pytest.raises(InvalidInputError, match="connectionId"):
        ask("form-responses", supplier_id=SUPPLIER, connection=connection)


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Form Responses"},
        {"name": "tenant"},
        {"table": "a.b.c"},
        {"filter_field": "id=eq.1,id"},
        {"narrows": ["a;b"]},
        {"table": "x; drop table y"},
        {"value_type": "json"},
        {"typo": 1},
    ],
)
def test_a_declaration_that_cannot_be_used_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError) as refusal:
        parse_channels([{"name": "a", "table": "t", "filter_field": "id", **wrong}])

    assert refusal.value.code == "input.channel"


def test_a_claim_is_found_by_its_whole_name_before_its_path() -> None:
    assert claim_at({"a.b": "whole", "a": {"b": "inside"}}, "a.b") == "whole"
    assert claim_at({"a": {"b": 7}}, "a.b") == "7"
    assert claim_at({"a": "text"}, "a.b") is None


@pytest.mark.parametrize("document", [b"{}", b'{"sub":7}', b'{"sub":""}', b'{"sub":"a\\u0000b"}', b"[]"])
def test_a_token_without_a_usable_subject_names_nobody(document: bytes) -> None:
    assert user_of(document) == ""


def test_the_subject_of_a_token_is_the_user() -> None:
    assert user_of(b'{"sub":"ada"}') == "ada"


def test_a_channel_of_a_table_without_a_schema_is_of_public() -> None:
    assert DeclaredChannel(name="a", table="t", filter_field="id").place == ("public", "t")
