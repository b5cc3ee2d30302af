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


@pytest.mark.parametrize(
    ("presence", "is_wanted"),
    [
        (None, False),
        ({}, False),
        ({"key": ""}, True),
        ({"key": "ann", "enabled": False}, False),
        ({"enabled": 1}, False),
    ],
)
def test_clients_from_before_the_switch_have_presences(presence: object, is_wanted: bool) -> None:
    assert read({"config": {"presence": presence}}).wants_presence is is_wanted


@pytest.mark.parametrize(
    ("options", "wait_ms"),
    [
        ({"wait": True}, 15_000),
        ({"wait": "true", "timeout": 700}, 700),
        ({"wait": True, "timeout": 99_000}, 20_000),
        ({"wait": True, "timeout": "soon"}, 15_000),
        ({"wait": True, "timeout": -1}, 15_000),
        ({"wait": False, "timeout": 700}, None),
        ({"timeout": 700}, None),
        (True, None),
    ],
)
def test_a_join_may_name_how_long_it_waits_for_its_changes(options: object, wait_ms: int | None) -> None:
    assert read({"config": {"postgres_changes_options": options}}).changes_wait_ms == wait_ms


@pytest.mark.parametrize(
    ("name", "binding"),
    [
        ("*", {"schema": "*"}),
        ("public", {"schema": "public"}),
        ("public:users", {"schema": "public", "table": "users"}),
        ("public:users:id=eq.a:b", {"schema": "public", "table": "users", "filter": "id=eq.a:b"}),
    ],
)
def test_a_join_without_a_config_names_its_changes_in_the_topic(name: str, binding: dict[str, object]) -> None:
    found = read_join(msgspec.Raw(b'{"user_token":"a.b.c"}'), name=name)

    assert found == JoinRequest(access_token="a.b.c", postgres_changes=(binding,), is_legacy=True)
    assert read_join(msgspec.Raw(b'{"config":{}}'), name=name) == JoinRequest()


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
