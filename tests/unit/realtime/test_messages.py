"""Broadcasts on the bus."""

from hypothesis import given
from hypothesis import strategies as st

from rowcast.realtime.messages import (
    Broadcast,
    Malformed,
    TopicKey,
    json_payload,
    pack_broadcast,
    pack_broadcasts,
    unpack_broadcasts,
)


@given(st.binary(max_size=300), st.binary(max_size=60), st.booleans(), st.integers(0, 2**63 - 1))
def test_a_broadcast_comes_back_from_the_bus_as_it_was(
    payload: bytes, meta: bytes, is_private: bool, sender: int
) -> None:
    broadcast = Broadcast("acme", is_private, "orders:acme", "e", payload, meta, "binary", sender)

    assert unpack_broadcasts(pack_broadcast(broadcast)) == (broadcast,)


@given(st.binary(max_size=100))
def test_bytes_that_are_no_broadcast_are_a_value_and_no_exception(message: bytes) -> None:
    assert isinstance(unpack_broadcasts(message), Malformed | tuple)


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

    assert isinstance(unpack_broadcasts(deep), Malformed)


PAYLOADS = (b'{"a":1}', b'{"a":2}')
TOLD = st.lists(
    st.builds(
        Broadcast,
        st.sampled_from(("acme", "globex")),
        st.booleans(),
        st.sampled_from(("r", "s", "t")),
        st.sampled_from(("e", "f")),
        st.sampled_from(PAYLOADS),
    ),
    max_size=8,
)


@given(TOLD)
def test_what_is_packed_together_comes_out_one_by_one_and_in_order(told: list[Broadcast]) -> None:
    found = [one for message in pack_broadcasts(told) for one in unpack_broadcasts(message)]

    assert found == told


def test_only_neighbours_that_differ_in_nothing_but_their_topic_share_a_message() -> None:
    payload = b"x" * 1000
    first, second, third = (Broadcast("acme", True, topic, "e", payload) for topic in "abc")
    other = Broadcast("globex", True, "a", "e", payload)

    assert len(pack_broadcasts([first, second, third])) == 1
    assert len(pack_broadcasts([first, other, second])) == 3
    assert len(pack_broadcasts([first, second])[0]) < 1100
