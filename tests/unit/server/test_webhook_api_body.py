"""Bodies of the webhook API: what does not fit is named by its place."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.errors import InvalidFieldError
from rowcast.server.webhook_api_body import read_body


class Inner(msgspec.Struct, rename="camel"):
    deep_name: str


class Thing(msgspec.Struct, rename="camel"):
    thing_name: str
    limits: list[int] | None = None
    metadata: dict[str, str] = {}
    inner: Inner | None = None


def test_unknown_fields_are_passed_over_and_an_absent_body_is_empty() -> None:
    assert read_body(b'{"thingName": "a", "colour": "red"}', Thing) == Thing(thing_name="a")
    assert read_body(b"", dict[str, int]) == {}


@pytest.mark.parametrize(
    ("body", "place", "kind"),
    [
        (b"{}", ("body", "thingName"), "value_error.missing"),
        (b'{"thingName": 1}', ("body", "thingName"), "type_error"),
        (b'{"thingName": null}', ("body", "thingName"), "type_error"),
        (b'{"thingName": "a", "limits": [1, "x"]}', ("body", "limits", "1"), "type_error"),
        (b'{"thingName": "a", "metadata": {"k": 1}}', ("body", "metadata", "..."), "type_error"),
        (b'{"thingName": "a", "inner": {}}', ("body", "inner", "deepName"), "value_error.missing"),
        (b"[]", ("body",), "type_error"),
        (b"{", ("body",), "value_error.json"),
        (b"\xff", ("body",), "value_error.json"),
        (b'{"thingName": "\xff"}', ("body",), "value_error.json"),
        (b"[" * 100_000, ("body",), "type_error"),
        (b'{"thingName": "a", "x": ' + b"[" * 100_000, ("body",), "value_error.json"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named_by_its_place(body: bytes, place: tuple[str, ...], kind: str) -> None:
    with pytest.raises(InvalidFieldError) as refusal:
        read_body(body, Thing)

    assert (refusal.value.kind, str(refusal.value)[-1:]) == (kind, ".")
    assert refusal.value.place[: len(place)] == place or kind == "type_error"
    assert refusal.value.place[0] == "body"


@given(
    st.binary(max_size=200)
    | st.recursive(st.none() | st.text(), st.lists).map(lambda value: json.dumps(value).encode())
)
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        read_body(body, Thing)
    except InvalidFieldError as refusal:
        assert refusal.place[0] == "body"
