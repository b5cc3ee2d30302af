"""What a join asks for, however oddly."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.codec import encode_json
from rowcast.realtime.join import JoinRequest, echoed_bindings, own_token, read_join

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def read(payload: object) -> JoinRequest:
    return read_join(msgspec.Raw(encode_json(payload)))


def test_the_payload_of_the_stock_client_is_read() -> None:
    change = {"event": "*", "schema": "public", "table": "x", "filter": "id=eq.1"}
    config = {
        "broadcast": {"ack": True, "self": True},
        "presence": {"key": "", "enabled": False},
        "postgres_changes": [change, None],
        "private": True,
    }

    assert read({"config": config, "access_token": "a.b.c"}) == JoinRequest(True, True, True, "a.b.c", (change,))


@pytest.mark.parametrize("payload", [{}, [], None, 1, {"config": None}, {"config": {"broadcast": 1, "private": "yes"}}])
def test_wrong_types_give_the_defaults(payload: object) -> None:
    assert read(payload) == JoinRequest()


@given(JSON)
def test_no_payload_raises(payload: object) -> None:
    assert isinstance(read(payload), JoinRequest)
    assert isinstance(read({"config": payload, "access_token": payload}), JoinRequest)


@pytest.mark.parametrize(
    ("value", "is_private"), [("true", True), ("True", True), ("false", False), ("TRUE", False), (1, False)]
)
def test_booleans_may_come_as_words(value: object, is_private: bool) -> None:
    assert read({"config": {"private": value}}).is_private is is_private


@pytest.mark.parametrize(
    ("value", "token"),
    [(None, None), ("", None), ("  ", None), ("sb_publishable_x", None), (3, None), (" a.b.c ", "a.b.c")],
)
def test_a_publishable_key_is_no_token(value: object, token: str | None) -> None:
    assert own_token(value) == token


def test_the_older_name_of_the_token_is_known() -> None:
    assert read({"user_token": "a.b.c"}).access_token == "a.b.c"


@given(st.lists(st.dictionaries(st.text(), st.text() | st.none()), max_size=5))
def test_bindings_come_back_with_ids_that_depend_on_their_parameters_alone(bindings: list[dict[str, object]]) -> None:
    echoed = echoed_bindings(tuple(bindings))

    assert [
        {key: value for key, value in one.items() if key in asked} for one, asked in zip(echoed, bindings, strict=True)
    ] == [
        {**asked, **({"id": one["id"]} if "id" in asked else {})} for one, asked in zip(echoed, bindings, strict=True)
    ]
    assert all(isinstance(one["id"], int) and 0 < one["id"] < 2**27 for one in echoed)
    assert echoed == echoed_bindings(tuple(bindings))
