"""Packets: what fits, what is stored, and that nobody else can read or write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.bus.packet import NOTIFY_LIMIT_BYTES, Packet, Seal, pack

NODE = b"n" * 16
KEY = bytes(range(32))


@given(st.lists(st.binary(max_size=9_000), max_size=20))
def test_packing_loses_nothing_and_keeps_the_order(messages: list[bytes]) -> None:
    packets = pack(NODE, "realtime", messages)

    assert [message for packet in packets for message in packet.messages] == messages


@given(st.lists(st.binary(max_size=9_000), min_size=1, max_size=20))
def test_every_notification_is_short_enough_for_the_database(messages: list[bytes]) -> None:
    seal = Seal(KEY)

    assert all(len(seal.close(packet)) <= NOTIFY_LIMIT_BYTES for packet in pack(NODE, "delivery.due", messages))


def test_thousands_of_tiny_messages_share_packets_that_still_fit() -> None:
    packets = pack(NODE, "s" * 100, [b"x"] * 5_000)

    assert len(packets) < 10
    assert max(len(Seal(KEY).close(packet)) for packet in packets) <= NOTIFY_LIMIT_BYTES


def test_only_a_message_that_fits_no_packet_is_stored_and_it_is_alone() -> None:
    packets = pack(NODE, "realtime", [b"a", b"x" * 8_000, b"b"])

    assert [(packet.is_stored, len(packet.messages)) for packet in packets] == [(False, 1), (True, 1), (False, 1)]


def test_a_sealed_packet_is_opened_with_the_same_key() -> None:
    packet = Packet(NODE, 3, "realtime", [b"\x00\xff", b""])

    assert Seal(KEY).open(Seal(KEY).close(packet)) == packet


def test_a_stored_packet_travels_without_its_message() -> None:
    opened = Seal(KEY).open(Seal(KEY).close(Packet(NODE, 3, "realtime", [b"x" * 9_000], is_stored=True)))

    assert opened == Packet(NODE, 3, "realtime", [], is_stored=True)


@given(st.text(max_size=200))
def test_any_other_text_is_no_packet(text: str) -> None:
    assert Seal(KEY).open(text) is None


@pytest.mark.parametrize("place", [0, 15, 20, -3])
def test_a_packet_that_was_changed_is_no_packet(place: int) -> None:
    text = Seal(KEY).close(Packet(NODE, 3, "realtime", [b"m"]))
    changed = list(text)
    changed[place] = "A" if changed[place] != "A" else "B"

    assert Seal(KEY).open("".join(changed)) is None


def test_another_key_opens_nothing() -> None:
    assert Seal(bytes(32)).open(Seal(KEY).close(Packet(NODE, 3, "realtime", [b"m"]))) is None
