"""The two serializers, byte by byte, and whatever else may come in."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.realtime.messages import Broadcast, Form, Frame, Malformed, UserPush, json_payload
from rowcast.realtime.protocol import (
    Version,
    decode_binary,
    decode_text,
    encode_broadcast,
    encode_frame,
    encode_replayed,
    is_json_text,
)

BOTH = pytest.mark.parametrize("version", [1, 2])
# Deeper than any Python reads: 3.11 stops at 1000, 3.13 at 10 000.
DEEP = b"[" * 50_000 + b"]" * 50_000
# Captured from the stock client.
CAPTURED_BYTES = bytes.fromhex("0302020c010000") + b"1516realtime:binb" + bytes.fromhex("7dff")
CAPTURED_JSON = bytes.fromhex("0302020c010001") + b'1011realtime:binb{"x":1}'


def as_text(frame: Frame, version: Version) -> Any:
    return json.loads(encode_frame(frame, version))


def test_version_2_is_an_array_of_five() -> None:
    decoded = decode_text(b'["1","2","realtime:r","phx_join",{"config":{}}]', 2)

    assert decoded == Frame("1", "2", "realtime:r", "phx_join", msgspec.Raw(b'{"config":{}}'))


def test_version_1_is_an_object_with_an_optional_join_ref() -> None:
    decoded = decode_text(b'{"topic":"t","event":"e","payload":{},"ref":"2","more":1}', 1)

    assert decoded == Frame(None, "2", "t", "e", msgspec.Raw(b"{}"))


@pytest.mark.parametrize("missing", ["topic", "event", "payload", "ref"])
def test_version_1_needs_all_four_keys(missing: str) -> None:
    whole = {"topic": "t", "event": "e", "payload": {}, "ref": None}
    del whole[missing]

    assert isinstance(decode_text(json.dumps(whole).encode(), 1), Malformed)


@BOTH
@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"x",
        b"1",
        b"null",
        b"[]",
        b"{}",
        DEEP,
        b'["1","2","t","e"]',
        b'["1","2","t","e",{},1]',
        b'["1","2",3,"e",{}]',
        b'["1","2","t","e",NaN]',
        b'["1","2","t","e",Infinity]',
        b'["1","2","\\ud800","e",{}]',
        b'["1","2","t","e",{"a":"\\udfff"}]',
        b'["1","2","t","e",' + DEEP + b"]",
        b'[true,"2","t","e",{}]',
        b'[{},"2","t","e",{}]',
        b"[" + b"9" * 4000 + b',"2","t","e",{}]',
        b'{"topic":1,"event":"e","payload":{},"ref":null}',
        b'{"topic":"t","event":"e","payload":{},"ref":{}}',
        b'{"topic":"t","event":"e","payload":NaN,"ref":null}',
    ],
)
def test_what_is_no_message_is_a_value_and_no_exception(version: Version, text: bytes) -> None:
    assert isinstance(decode_text(text, version), Malformed)


@BOTH
@given(data=st.binary(max_size=200))
def test_no_bytes_raise(version: Version, data: bytes) -> None:
    assert isinstance(decode_binary(data, version), UserPush | Malformed)
    assert isinstance(decode_text(data, version), Frame | Malformed)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@BOTH
@given(value=JSON)
def test_no_json_raises(version: Version, value: object) -> None:
    assert isinstance(decode_text(json.dumps(value).encode(), version), Frame | Malformed)


@given(st.lists(JSON, min_size=4, max_size=6))
def test_arrays_that_are_nearly_right_do_not_raise(value: list[object]) -> None:
    assert isinstance(decode_text(json.dumps(value).encode(), 2), Frame | Malformed)


def test_the_stock_clients_binary_push_is_read() -> None:
    assert decode_binary(CAPTURED_BYTES, 2) == UserPush("15", "16", "realtime:bin", "b", b"\x7d\xff", is_json=False)
    assert decode_binary(CAPTURED_JSON, 2) == UserPush("10", "11", "realtime:bin", "b", b'{"x":1}', is_json=True)


def test_version_1_has_no_binary_frames() -> None:
    assert isinstance(decode_binary(CAPTURED_BYTES, 1), Malformed)


@pytest.mark.parametrize("cut", range(24))
def test_a_binary_push_that_ends_too_early_is_malformed(cut: int) -> None:
    assert isinstance(decode_binary(CAPTURED_BYTES[:cut], 2), Malformed)


@pytest.mark.parametrize("payload", [b"", b"{", b'{},"a":1', b'{}"', b"\xff", b'"\xff"', b"NaN", DEEP])
def test_a_payload_that_is_not_the_json_it_claims_to_be_is_malformed(payload: bytes) -> None:
    push = bytes.fromhex("0302020c010001") + b"1011realtime:binb" + payload

    assert isinstance(decode_binary(push, 2), Malformed)
    assert not is_json_text(payload)


@BOTH
@given(ref=st.none() | st.text(max_size=9) | st.integers(0, 2**53), topic=st.text(max_size=20))
def test_a_reply_carries_the_refs_as_each_version_wants_them(version: Version, ref: Any, topic: str) -> None:
    frame = Frame("j", ref, topic, "phx_reply", json_payload({"status": "ok", "response": {}}))
    shown = as_text(frame, version)

    if version == 1:
        assert shown == {"ref": ref, "topic": topic, "event": "phx_reply", "payload": {"status": "ok", "response": {}}}
    else:
        assert shown == ["j", ref, topic, "phx_reply", {"status": "ok", "response": {}}]


def broadcast(
    form: Form, payload: bytes = b'{"x":1}', *, meta: bytes = b"", event: str = "b", topic: str = "bin"
) -> Broadcast:
    return Broadcast("acme", False, topic, event, payload, meta, form)


def test_a_users_broadcast_is_the_captured_binary_frame_in_version_2() -> None:
    assert encode_broadcast(broadcast("binary", b"\x7d\xff"), 2) == (
        True,
        bytes.fromhex("040c010000") + b"realtime:binb\x7d\xff",
    )
    assert encode_broadcast(broadcast("user"), 2) == (True, bytes.fromhex("040c010001") + b'realtime:binb{"x":1}')


def test_the_metadata_stands_before_the_payload() -> None:
    found = encode_broadcast(broadcast("user", meta=b'{"id":"1"}'), 2)

    assert found == (True, bytes.fromhex("040c010a01") + b'realtime:binb{"id":"1"}{"x":1}')


def test_a_users_broadcast_is_an_object_in_version_1() -> None:
    found = encode_broadcast(broadcast("user", meta=b'{"id":"1"}', event='"q"'), 1)

    assert found is not None
    assert json.loads(found[1]) == {
        "ref": None,
        "event": "broadcast",
        "topic": "realtime:bin",
        "payload": {"event": '"q"', "payload": {"x": 1}, "type": "broadcast", "meta": {"id": "1"}},
    }


def test_version_1_gets_nothing_of_bytes() -> None:
    assert encode_broadcast(broadcast("binary", b"\xff"), 1) is None


@BOTH
def test_a_text_push_is_shown_as_it_was_sent(version: Version) -> None:
    sent = b'{"type":"broadcast","event":"e","payload":{},"own":1}'
    found = encode_broadcast(broadcast("verbatim", sent), version)

    assert found is not None
    assert found[0] is False
    shown = json.loads(found[1])
    assert (shown["payload"] if version == 1 else shown[4]) == json.loads(sent)
    assert version == 1 or shown[:4] == [None, None, "realtime:bin", "broadcast"]


@pytest.mark.parametrize("long", [{"event": "e" * 256}, {"topic": "t" * 250}, {"meta": b'"' + b"m" * 300 + b'"'}])
def test_what_does_not_fit_a_binary_frame_goes_out_as_text(long: dict[str, Any]) -> None:
    found = encode_broadcast(broadcast("user", **long), 2)

    assert found is not None
    assert found[0] is False
    assert json.loads(found[1])[4]["payload"] == {"x": 1}


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (b"{}", {"meta": {"id": "1"}}),
        (b' { "a" : 1 } ', {"a": 1, "meta": {"id": "1"}}),
        (b'{"meta":{"id":"forged"}}', {"meta": {"id": "1"}}),
    ],
)
def test_the_meta_of_a_broadcast_that_is_shown_as_it_was_sent_is_the_servers(payload: bytes, shown: object) -> None:
    told = Broadcast("acme", True, "r", "", payload, b'{"id":"1"}', "verbatim")
    found, again = encode_broadcast(told, 2), encode_replayed(told, "9", 2)

    assert found is not None
    assert json.loads(found[1]) == [None, None, "realtime:r", "broadcast", shown]
    assert again is not None
    assert json.loads(again[1]) == ["9", None, "realtime:r", "broadcast", shown]


def test_a_diff_of_presences_is_one_text_for_each_version() -> None:
    told = Broadcast("acme", True, "r", "", b'{"joins":{},"leaves":{}}', form="presence")
    old, new = encode_broadcast(told, 1), encode_broadcast(told, 2)
    diff: dict[str, object] = {"joins": {}, "leaves": {}}

    assert old is not None
    assert json.loads(old[1]) == {"ref": None, "event": "presence_diff", "topic": "realtime:r", "payload": diff}
    assert new is not None
    assert json.loads(new[1]) == [None, None, "realtime:r", "presence_diff", diff]
