import uuid
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.codec import decode_json, encode_json
from rowcast.core.errors import InvalidInputError

TEXTS = st.text(st.characters(exclude_categories=("Cs",)))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


class Line(msgspec.Struct):
    sku: str
    count: int


@given(VALUES)
def test_what_is_written_is_read_back_as_it_was(value: Any) -> None:
    assert decode_json(encode_json(value)) == value


def test_decimals_are_texts_and_times_and_ids_have_their_usual_form() -> None:
    value = [Decimal("10.10"), datetime(2026, 1, 1, tzinfo=UTC), uuid.UUID(int=1)]

    assert encode_json(value) == b'["10.10","2026-01-01T00:00:00Z","00000000-0000-0000-0000-000000000001"]'


def test_text_is_utf_8_and_compact() -> None:
    assert encode_json({"a": ["☃", 1]}) == '{"a":["☃",1]}'.encode()


@pytest.mark.parametrize(
    "value", [object(), "\ud800", {"a": object()}], ids=["an object", "a surrogate", "an object inside"]
)
def test_a_value_without_a_json_form_is_refused(value: object) -> None:
    with pytest.raises(InvalidInputError) as refused:
        encode_json(value)

    assert refused.value.code == "input.not_json"


def test_a_value_that_holds_itself_is_refused() -> None:
    value: list[Any] = []
    value.append(value)

    with pytest.raises(InvalidInputError):
        encode_json(value)


@pytest.mark.parametrize("text", ["", "{", '{"a":}', "[1,]", "nan", '"\\ud800"', b'"\xff"', "[" * 5000])
def test_text_that_is_not_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(InvalidInputError) as refused:
        decode_json(text)

    assert refused.value.code in ("input.not_json", "input.shape")


def test_json_is_read_into_the_type_that_is_asked_for() -> None:
    assert decode_json('{"sku":"a","count":2}', Line) == Line("a", 2)


def test_json_of_another_shape_is_refused_with_the_place() -> None:
    with pytest.raises(InvalidInputError, match=r"\$\.count") as refused:
        decode_json('{"sku":"a","count":"2"}', Line)

    assert refused.value.code == "input.shape"
