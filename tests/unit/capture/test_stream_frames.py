"""Keepalives, our status, positions and times."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.capture.stream_frames import (
    Keepalive,
    Status,
    decode_keepalive,
    decode_status,
    encode_status,
    lsn_text,
    parse_lsn,
    read_wire_time,
    wire_time,
)
from rowcast.core.errors import StoreError

lsns = st.integers(0, 2**64 - 1)
moments = st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - aware by UTC


@given(lsns, lsns, st.integers(0, 2**62), st.booleans())
def test_a_status_is_read_back_and_never_claims_to_have_settled_more_than_it_received(
    received: int, settled: int, sent_at_us: int, wanted: bool
) -> None:
    status = decode_status(encode_status(Status(received, settled, sent_at_us, wanted)))

    assert status == Status(max(received, settled), settled, sent_at_us, wanted)


def test_a_status_has_the_bytes_of_the_protocols_page() -> None:
    frame = encode_status(Status(0x0102, 0x0101, 5, True))

    assert frame.hex() == "72" + "0000000000000102" + "0000000000000101" * 2 + "0000000000000005" + "01"


@pytest.mark.parametrize("frame", [b"", b"k", b"k" + b"\0" * 16, b"k" + b"\0" * 18, b"w" + b"\0" * 17])
def test_a_keepalive_of_another_shape_is_refused(frame: bytes) -> None:
    with pytest.raises(StoreError):
        decode_keepalive(frame)


def test_a_keepalive_says_how_far_the_server_is_and_whether_it_waits() -> None:
    frame = b"k" + bytes.fromhex("0000000100000002" + "0000000000000003" + "01")

    assert decode_keepalive(frame) == Keepalive(0x1_0000_0002, 3, True)


@pytest.mark.parametrize("frame", [b"", b"x" + b"\0" * 33, b"r" * 33])
def test_what_is_no_status_is_refused(frame: bytes) -> None:
    with pytest.raises(StoreError):
        decode_status(frame)


@given(lsns)
def test_a_position_is_read_back_from_its_text(lsn: int) -> None:
    assert parse_lsn(lsn_text(lsn)) == lsn


def test_a_position_is_written_as_postgresql_writes_it() -> None:
    assert lsn_text(0x16_B374_D848) == "16/B374D848"


@pytest.mark.parametrize("text", ["", "1", "1/", "/1", "1/123456789", "g/1", "1/1 ", "-1/1"])
def test_what_is_no_position_is_refused(text: str) -> None:
    with pytest.raises(StoreError):
        parse_lsn(text)


@given(moments)
def test_a_moment_is_read_back_from_wire_time(at: datetime) -> None:
    assert read_wire_time(wire_time(at)) == at
