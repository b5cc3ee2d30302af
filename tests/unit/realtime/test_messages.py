"""Broadcasts on the bus."""

from hypothesis import given
from hypothesis import strategies as st

from rowcast.realtime.messages import Broadcast, Malformed, TopicKey, json_payload, pack_broadcast, unpack_broadcast


@given(st.binary(max_size=300), st.binary(max_size=60), st.booleans(), st.integers(0, 2**63 - 1))
def test_a_broadcast_comes_back_from_the_bus_as_it_was(
    payload: bytes, meta: bytes, is_private: bool, sender: int
) -> None:
    broadcast = Broadcast("acme", is_private, "orders:acme", "e", payload, meta, "binary", sender)

    assert unpack_broadcast(pack_broadcast(broadcast)) == broadcast


@given(st.binary(max_size=100))
def test_bytes_that_are_no_broadcast_are_a_value_and_no_exception(message: bytes) -> None:
    assert isinstance(unpack_broadcast(message), Malformed | Broadcast)


def test_the_key_tells_public_from_private_and_tenant_from_tenant() -> None:
    keys = {
        Broadcast("acme", False, "r", "e", b"").key,
        Broadcast("acme", True, "r", "e", b"").key,
        Broadcast("globex", True, "r", "e", b"").key,
    }

    assert keys == {TopicKey("acme", False, "r"), TopicKey("acme", True, "r"), TopicKey("globex", True, "r")}


def test_a_payload_is_json_text() -> None:
    assert bytes(json_payload({"a": [1, None]})) == b'{"a":[1,null]}'


def test_a_broadcast_with_a_deep_nest_behind_it_is_a_value_and_no_exception() -> None:
    # An array of more parts than a broadcast has; what comes on top is skipped, level by level.
    packed = pack_broadcast(Broadcast("acme", True, "r", "e", b"{}"))
    deep = bytes((packed[0] + 1,)) + packed[1:] + b"\x91" * 100_000 + b"\xc0"

    assert isinstance(unpack_broadcast(deep), Malformed)
