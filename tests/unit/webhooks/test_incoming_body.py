"""Bodies become JSON objects, names become types, ids become what can be kept."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.errors import InvalidInputError
from rowcast.core.topic import checked_event_type
from rowcast.webhooks.incoming_body import (
    delivery_id,
    event_type,
    form_pairs,
    json_body,
    merged,
    read_body,
    with_headers,
)
from tests.unit.webhooks.senders import FORM, request_of


@pytest.mark.parametrize("text", [b"{}", b'{"n":1.50,"n":2}', b' {"a": 12345678901234567890}\n'])
def test_a_json_object_stays_as_it_was_written(text: bytes) -> None:
    assert read_body(request_of(text, {})).text == text


@pytest.mark.parametrize(("text", "payload"), [(b"[1]", b'{"data":[1]}'), (b'"x"', b'{"data":"x"}'), (b"", b"{}")])
def test_another_json_value_stands_under_data(text: bytes, payload: bytes) -> None:
    assert read_body(request_of(text, {})).text == payload


def test_a_form_becomes_an_object_of_texts() -> None:
    body = read_body(request_of(b"a=1&b=x%20y&a=2&c=&d=%ff", {}, FORM))

    assert msgspec.json.decode(body.text) == {"a": ["1", "2"], "b": "x y", "c": "", "d": "\ufffd"}


def test_a_form_may_carry_the_json_that_stands_for_it() -> None:
    form = b"payload=%7B%22type%22%3A%22block_actions%22%7D&x=1"

    assert read_body(request_of(form, {}, FORM), inner="payload").text == b'{"type":"block_actions"}'
    assert read_body(request_of(b"payload=text", {}, FORM), inner="payload").text == b'{"payload":"text"}'


def test_json_that_is_called_a_form_is_json() -> None:
    assert read_body(request_of(b'{"a":1}', {}, FORM)).text == b'{"a":1}'


def test_a_form_of_too_many_fields_is_refused() -> None:
    with pytest.raises(InvalidInputError) as refusal:
        form_pairs(b"a=1&" * 1001, errors="replace")

    assert refusal.value.code == "input.not_json"


@given(st.lists(st.tuples(st.sampled_from("abc"), st.text(max_size=3)), max_size=6))
def test_no_value_of_a_form_is_lost(pairs: list[tuple[str, str]]) -> None:
    found = merged(pairs)

    values = [value for each in found.values() for value in (each if isinstance(each, list) else [each])]
    assert sorted(values) == sorted(value for _, value in pairs)


def test_items_keep_the_text_of_each() -> None:
    items = json_body(b'{"items":[ {"n":1.50} ,{"n":2}]}').items("items")

    assert [item.text for item in items] == [b'{"n":1.50}', b'{"n":2}']


@pytest.mark.parametrize(
    "text", [b'{"items":[' + b"{}," * 10_000 + b"{}]}", b"{}", b'{"items":1}', b'{"items":[1]}', b'{"items":[{},null]}']
)
def test_what_is_no_list_of_objects_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInputError):
        json_body(text).items("items")


@pytest.mark.parametrize(
    ("path", "found"),
    [(("a", "b"), "x"), (("n",), "7"), (("a",), ""), (("a", "b", "c"), ""), (("t",), ""), (("no",), "")],
)
def test_a_text_is_found_at_its_path_and_nothing_else_is_a_text(path: tuple[str, ...], found: str) -> None:
    assert json_body(b'{"a":{"b":"x"},"n":7,"t":true}').text_of(*path) == found


def test_kept_headers_are_added_and_absent_ones_are_not() -> None:
    request = request_of(b"", {"X-Shop": "a"})

    assert with_headers(b'{"n":1.50}', request, ("X-Shop", "X-No")) == b'{"n":1.50,"webhookHeaders":{"x-shop":"a"}}'
    assert with_headers(b'{"n":1.50}', request, ("X-No",)) == b'{"n":1.50}'


@pytest.mark.parametrize("said", ["", "x" * 201, "a b", "é", "\x00"])
def test_an_id_that_cannot_be_kept_is_a_hash_of_what_was_signed(said: str) -> None:
    made = delivery_id(said, b"body")

    assert made.startswith("sha256:")
    assert made == delivery_id("", b"body") != delivery_id("", b"other")
    assert delivery_id("evt_1", b"body") == "evt_1"


@pytest.mark.parametrize(
    ("called", "made"),
    [
        ("payment_intent.succeeded", "shop.payment_intent.succeeded"),
        ("orders/create", "shop.orders.create"),
        ("INVOICE.UPDATE", "shop.invoice.update"),
        ("message:sent-now", "shop.message.sent_now"),
        ("issues.", "shop.issues"),
        ("", "shop.received"),
        ("...", "shop.received"),
        ("日本", "shop.received"),
    ],
)
def test_the_type_is_what_the_sender_calls_it_below_the_name_of_the_source(called: str, made: str) -> None:
    assert event_type("shop", called) == made


@given(st.text(max_size=300))
def test_whatever_a_sender_calls_it_is_an_event_type(called: Any) -> None:
    assert checked_event_type(event_type("shop", called)).startswith("shop.")
