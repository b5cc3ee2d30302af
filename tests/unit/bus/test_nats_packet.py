"""Packets for NATS: whole and in order whatever their size, and nobody else reads or writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.bus.nats_packet import NatsPacket, NatsSeal, Pieces, pack_for_nats

NODE = b"n" * 16
KEY = bytes(range(32))
LIMIT_BYTES = 1_000


def packed(messages: list[bytes], *, first: int = 1, limit_bytes: int = LIMIT_BYTES) -> list[NatsPacket]:
    return list(pack_for_nats(messages, node=NODE, first_number=first, limit_bytes=limit_bytes))


def joined(packets: list[NatsPacket], pieces: Pieces | None = None) -> list[bytes]:
    pieces = pieces or Pieces(1_000_000)
    return [message for packet in packets for message in pieces.take(b"s", packet, is_after_gap=False)]


@given(st.lists(st.binary(max_size=4_000), max_size=20))
def test_what_is_packed_comes_out_whole_and_in_order(messages: list[bytes]) -> None:
    packets = packed(messages, first=7)

    assert joined(packets) == messages
    assert [packet.number for packet in packets] == list(range(7, 7 + len(packets)))


@given(st.lists(st.binary(max_size=4_000), min_size=1, max_size=20))
def test_every_sealed_packet_is_within_the_limit(messages: list[bytes]) -> None:
    seal = NatsSeal(KEY)

    assert all(len(seal.close("realtime", packet)) <= LIMIT_BYTES for packet in packed(messages))


def test_many_tiny_messages_share_packets() -> None:
    assert len(packed([b"x"] * 1_000, limit_bytes=100_000)) == 1


def test_a_message_whose_beginning_was_missed_is_dropped_and_the_next_is_not() -> None:
    packets = packed([b"a" * 2_500, b"next"])

    assert joined(packets[1:]) == [b"next"]


def test_a_message_with_a_gap_in_its_middle_is_dropped() -> None:
    first, _, last, *rest = packed([b"a" * 2_500, b"next"])
    pieces = Pieces(1_000_000)

    assert pieces.take(b"s", first, is_after_gap=False) == ()
    assert list(pieces.take(b"s", last, is_after_gap=True)) == []
    assert joined(rest, pieces) == [b"next"]


def test_a_message_over_the_bound_is_never_kept() -> None:
    assert joined(packed([b"a" * 5_000, b"next"]), Pieces(2_000)) == [b"next"]


def test_pieces_of_two_senders_do_not_mix() -> None:
    pieces = Pieces(1_000_000)
    left, right = packed([b"l" * 1_500]), packed([b"r" * 1_500])

    found = [
        message
        for pair in zip(left, right, strict=True)
        for sender, packet in zip((b"l", b"r"), pair, strict=True)
        for message in pieces.take(sender, packet, is_after_gap=False)
    ]

    assert found == [b"l" * 1_500, b"r" * 1_500]


def test_only_who_has_the_key_opens_a_packet() -> None:
    sealed = NatsSeal(KEY).close("realtime", NatsPacket(NODE, 3, [b"secret"]))

    assert b"secret" not in sealed
    assert NatsSeal(KEY).open("realtime", sealed) == NatsPacket(NODE, 3, [b"secret"])
    assert NatsSeal(b"x" * 32).open("realtime", sealed) is None


def test_a_packet_does_not_open_under_another_subject_or_number() -> None:
    seal = NatsSeal(KEY)
    sealed = seal.close("realtime", NatsPacket(NODE, 3, [b"one"]))
    renumbered = sealed[:16] + (4).to_bytes(8, "big") + sealed[24:]

    assert seal.open("delivery.due", sealed) is None
    assert seal.open("realtime", renumbered) is None


@pytest.mark.parametrize("payload", [b"", b"x" * 35, b"x" * 36, b"\0" * 200])
def test_what_is_no_packet_is_none(payload: bytes) -> None:
    assert NatsSeal(KEY).open("realtime", payload) is None


def test_two_databases_have_different_subjects() -> None:
    assert NatsSeal(KEY).prefix != NatsSeal(b"x" * 32).prefix
    assert KEY.hex()[:16] not in NatsSeal(KEY).prefix
