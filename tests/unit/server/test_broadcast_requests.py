"""Bodies of broadcasts, and the exact words for what is wrong with them."""

import pytest

from rowcast.core.codec import encode_json
from rowcast.core.errors import InvalidInputError
from rowcast.server.broadcast_requests import Message, read_batch, read_single, single_target

GOOD = {"topic": "room-1", "event": "e", "payload": {"x": 1}}


def batch(*messages: object) -> bytes:
    return encode_json({"messages": messages})


def test_a_batch_gives_its_messages_in_order() -> None:
    found = read_batch(batch(GOOD, {**GOOD, "private": True, "payload": {}}))

    assert found == [Message("room-1", "e", b'{"x":1}'), Message("room-1", "e", b"{}", is_private=True)]


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        ({"topic": "a", "event": "e"}, {"payload": ["can't be blank"]}),
        ({"topic": "a", "payload": {}}, {"event": ["can't be blank"]}),
        ({"topic": " ", "event": "e", "payload": {}}, {"topic": ["can't be blank"]}),
        ({"topic": 7, "event": "e", "payload": {}}, {"topic": ["is invalid"]}),
        ({"topic": "a" * 300, "event": "e", "payload": {}}, {"topic": ["is invalid"]}),
        ({"topic": "a", "event": "e" * 256, "payload": {}}, {"event": ["is invalid"]}),
        ({"topic": "a\x00", "event": "e", "payload": {}}, {"topic": ["is invalid"]}),
        ({"topic": "a", "event": "e", "payload": "text"}, {"payload": ["is invalid"]}),
        ({"topic": "a", "event": "e", "payload": {"x": "y" * 3_000_500}}, {"payload": ["Payload size exceeds tenant limit"]}),
        ("text", {"topic": ["can't be blank"], "event": ["can't be blank"], "payload": ["can't be blank"]}),
    ],
)  # fmt: skip
def test_each_message_has_its_own_faults(wrong: object, fault: object) -> None:
    assert read_batch(batch(wrong, GOOD)) == {"messages": [fault, {}]}


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        (b"{}", "can't be blank"),
        (b'{"messages":[]}', "can't be blank"),
        (b'{"messages":null}', "can't be blank"),
        (b'{"messages":{"a":1}}', "is invalid"),
    ],
)
def test_a_batch_without_messages_says_so(body: bytes, fault: str) -> None:
    assert read_batch(body) == {"messages": [fault]}


@pytest.mark.parametrize("body", [b"", b"[]", b"nonsense", b'{"messages":[NaN]}', b"\xff", b"[" * 5000])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInputError):
        read_batch(body)


@pytest.mark.parametrize(
    ("body", "payload"),
    [(b'{"x": 1}', b'{"x":1}'), (b"[1,2]", b'{"_json":[1,2]}'), (b'"a"', b'{"_json":"a"}'), (b"", b"{}")],
)
def test_json_that_is_no_object_is_wrapped(body: bytes, payload: bytes) -> None:
    assert read_single("room", "e", body, is_private=False, is_binary=False) == Message("room", "e", payload)


def test_bytes_stay_as_they_are() -> None:
    found = read_single("room", "e", b"\x00\xff", is_private=True, is_binary=True)

    assert found == Message("room", "e", b"\x00\xff", is_private=True, is_binary=True)


def test_a_single_message_that_is_too_big_is_refused() -> None:
    found = read_single("room", "e", b"x" * 3_000_501, is_private=False, is_binary=True)

    assert found == {"payload": ["Payload size exceeds tenant limit"]}


@pytest.mark.parametrize(
    ("path", "target"),
    [
        (b"/api/broadcast/room-1/events/e", ("room-1", "e")),
        (b"/realtime/v1/api/broadcast/t%3Aa%2Fb/events/e%20f?apikey=x&vsn=2.0.0", ("t:a/b", "e f")),
        (b"/api/broadcast/h%C3%A9/events/%F0%9F%8E%89", ("hé", "🎉")),
        (b"/api/broadcast/a/b/events/e", None),
        (b"/api/broadcast/a/events/", None),
        (b"/api/broadcast/%ff/events/e", None),
        (b"/api/broadcast/a/other/e", None),
    ],
)
def test_topic_and_event_are_read_from_the_path(path: bytes, target: tuple[str, str] | None) -> None:
    assert single_target(path) == target


def test_the_whole_payload_is_what_text_frames_show() -> None:
    assert Message("room", "e", b'{"x":1}').verbatim == b'{"event":"e","type":"broadcast","payload":{"x":1}}'
