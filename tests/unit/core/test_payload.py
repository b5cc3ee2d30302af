import math
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NotRequired, TypedDict

import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic.alias_generators import to_camel

from rowcast.core.errors import InvalidInputError, UsageError
from rowcast.core.payload import decode_payload, encode_payload, encode_raw_payload, field_names, unknown_fields


class Line(msgspec.Struct):
    sku: str
    count: int = 1


class OrderStruct(msgspec.Struct):
    order_id: str
    total: Decimal = Decimal(0)
    weight: float | None = None
    lines: list[Line] = []
    notes: dict[str, Any] = {}


@dataclass(slots=True)
class OrderDataclass:
    order_id: str
    total: Decimal = Decimal(0)
    weight: float | None = None


class OrderTypedDict(TypedDict):
    order_id: str
    total: NotRequired[Decimal]
    weight: NotRequired[float | None]


class OrderModel(pydantic.BaseModel):
    order_id: str
    total: Decimal = Decimal(0)
    weight: float | None = None


class RenamedStruct(msgspec.Struct, rename="camel", tag="renamed", omit_defaults=True):
    order_id: str
    line_count: int = 0


class AliasModel(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(alias_generator=to_camel, populate_by_name=True)
    order_id: str


TYPES = [OrderStruct, OrderDataclass, OrderTypedDict, OrderModel]
OF_ANY_TYPE = pytest.mark.parametrize("payload_type", TYPES, ids=lambda each: each.__name__)


@OF_ANY_TYPE
def test_a_payload_is_read_back_as_it_was_written(payload_type: Any) -> None:
    payload = payload_type(order_id="Ö ☃ 𝄞", total=Decimal("10.10"), weight=0.1)

    text = encode_payload(payload, payload_type, name="x")

    assert decode_payload(text, payload_type, name="x") == payload


@OF_ANY_TYPE
def test_an_instance_with_a_value_of_another_type_is_refused(payload_type: Any) -> None:
    build = getattr(payload_type, "model_construct", payload_type)

    with pytest.raises(InvalidInputError, match="order_id") as refused:
        encode_payload(build(order_id=5), payload_type, name="orders.confirmed version 2")

    assert refused.value.code == "input.payload"
    assert "orders.confirmed version 2" in str(refused.value)


@OF_ANY_TYPE
@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, Decimal("NaN"), Decimal("-Infinity")], ids=repr)
def test_a_number_that_is_not_finite_is_refused_with_its_place(payload_type: Any, number: Any) -> None:
    field = "weight" if isinstance(number, float) else "total"
    build = getattr(payload_type, "model_construct", payload_type)

    with pytest.raises(InvalidInputError, match=rf"(\$\.|not fit.*){field}"):
        encode_payload(build(**{"order_id": "o-1", field: number}), payload_type, name="x")


def test_the_words_nan_null_and_infinity_are_fine_as_texts() -> None:
    text = encode_payload(OrderStruct(order_id="null NaN Infinity"), OrderStruct, name="x")

    assert b"null NaN Infinity" in text


def test_a_number_deep_inside_that_is_not_finite_is_refused_with_its_place() -> None:
    payload = OrderStruct(order_id="o-1", notes={"a": [1.0, {"b": (math.nan,)}]})

    with pytest.raises(InvalidInputError, match=r"\$\.notes\.a\[1\]\.b\[0\]"):
        encode_payload(payload, OrderStruct, name="x")


@pytest.mark.parametrize("text", ["\x00", "a\x00b", "\\\x00", "\\\\\x00"], ids=repr)
def test_the_character_zero_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match=r"U\+0000"):
        encode_payload(OrderStruct(order_id=text), OrderStruct, name="x")


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", "u0000"], ids=repr)
def test_a_text_that_only_looks_like_the_character_zero_is_taken(text: str) -> None:
    encoded = encode_payload(OrderStruct(order_id=text), OrderStruct, name="x")

    assert decode_payload(encoded, OrderStruct, name="x").order_id == text


@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\x00")))
def test_any_other_text_is_taken_and_read_back(text: str) -> None:
    encoded = encode_payload(OrderStruct(order_id=text), OrderStruct, name="x")

    assert decode_payload(encoded, OrderStruct, name="x").order_id == text


@pytest.mark.parametrize(
    ("value", "payload_type"), [([1], list[int]), ("a", str), (msgspec.UNSET, Any), (None, None)], ids=repr
)
def test_a_payload_that_is_no_object_is_refused(value: Any, payload_type: Any) -> None:
    with pytest.raises(InvalidInputError):
        encode_payload(value, payload_type, name="x")


@OF_ANY_TYPE
def test_a_mapping_with_an_unknown_field_is_refused_with_its_name(payload_type: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"\$\.totl") as refused:
        encode_raw_payload({"order_id": "o-1", "totl": "5"}, payload_type, name="x")

    assert refused.value.code == "input.payload"


@OF_ANY_TYPE
def test_a_mapping_may_hold_python_values_or_their_json_texts(payload_type: Any) -> None:
    with_values = encode_raw_payload({"order_id": "o-1", "total": Decimal("5.00")}, payload_type, name="x")
    with_texts = encode_raw_payload({"order_id": "o-1", "total": "5.00"}, payload_type, name="x")

    assert with_values == with_texts
    assert b'"total":"5.00"' in with_values


@OF_ANY_TYPE
def test_a_mapping_without_a_required_field_is_refused(payload_type: Any) -> None:
    with pytest.raises(InvalidInputError, match="order_id"):
        encode_raw_payload({}, payload_type, name="x")


def test_an_unknown_field_deep_inside_is_refused_with_its_place() -> None:
    with pytest.raises(InvalidInputError, match=r"\$\.lines\[1\]\.skuu"):
        encode_raw_payload({"order_id": "o", "lines": [{"sku": "a"}, {"sku": "b", "skuu": "c"}]}, OrderStruct, name="x")


def test_a_free_mapping_inside_may_have_any_fields() -> None:
    assert encode_raw_payload({"order_id": "o", "notes": {"a": {"b": [1]}}}, OrderStruct, name="x")


@pytest.mark.parametrize("payload_type", [RenamedStruct, AliasModel])
def test_a_field_goes_by_its_name_in_json(payload_type: Any) -> None:
    text = encode_raw_payload({"orderId": "o-1"}, payload_type, name="x")

    assert b'"orderId":"o-1"' in text


def test_a_default_that_is_left_out_of_the_text_is_no_unknown_field() -> None:
    text = encode_raw_payload({"type": "renamed", "orderId": "o-1", "lineCount": 0}, RenamedStruct, name="x")

    assert text == b'{"type":"renamed","orderId":"o-1"}'


@OF_ANY_TYPE
def test_a_stored_payload_may_have_fields_of_a_later_release(payload_type: Any) -> None:
    assert decode_payload(b'{"order_id":"o-1","added_later":1}', payload_type, name="x")


@OF_ANY_TYPE
@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"order_id":1}', b'{"order_id":null}', b"\xff", b"[" * 10_000])
def test_a_stored_payload_that_does_not_fit_is_refused(payload_type: Any, text: bytes) -> None:
    with pytest.raises(InvalidInputError) as refused:
        decode_payload(text, payload_type, name="x")

    assert refused.value.code == "input.payload"


def test_a_refusal_never_repeats_the_value() -> None:
    with pytest.raises(InvalidInputError) as refused:
        encode_raw_payload({"order_id": "o", "weight": "secret"}, OrderModel, name="x")

    assert "secret" not in str(refused.value)


@OF_ANY_TYPE
def test_the_fields_of_each_kind_of_class_are_known(payload_type: Any) -> None:
    assert field_names(payload_type)[:3] == ("order_id", "total", "weight")


def test_a_class_that_no_json_can_fill_is_the_programmers_fault() -> None:
    shape = msgspec.defstruct("Shape", [("either", dict[str, int] | Line)])

    with pytest.raises(UsageError) as refused:
        decode_payload(b"{}", shape, name="x")

    assert refused.value.code == "usage.event_type"


def test_lists_of_another_length_say_nothing_about_unknown_fields() -> None:
    assert list(unknown_fields([{"a": 1}], [])) == []


def test_a_time_is_read_back_as_it_was_written() -> None:
    moment = datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=UTC)
    shape = msgspec.defstruct("Shape", [("at", datetime)])

    assert decode_payload(encode_payload(shape(moment), shape, name="x"), shape, name="x").at == moment


@pytest.mark.parametrize("depth", [1_200, 5_000, 50_000])
@pytest.mark.parametrize("innermost", [1, math.nan])
def test_a_payload_is_either_written_or_refused_however_deeply_it_is_nested(depth: int, innermost: float) -> None:
    notes: dict[str, Any] = {"a": innermost}
    for _ in range(depth):
        notes = {"a": notes}

    for write in (
        lambda: encode_payload(OrderStruct("o1", notes=notes), OrderStruct, name="order"),
        lambda: encode_raw_payload({"order_id": "o1", "notes": notes}, OrderStruct, name="order"),
    ):
        try:
            text = write()
        except InvalidInputError as error:
            assert error.code in ("input.payload", "input.not_json")
        else:
            assert text.count(b"{") == depth + 2
