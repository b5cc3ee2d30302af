"""The frames around the messages of a replication stream: data, keepalive, and our standby status. Pure.

Source: PostgreSQL documentation, "Streaming Replication Protocol".
"""

import re
from datetime import UTC, datetime, timedelta
from struct import Struct
from struct import error as StructError  # noqa: N812 - its own name would hide every other error

import msgspec

from rowcast.capture.pgoutput import refuse

DATA_HEADER_BYTES = 25
"""Kind, start, end and send time go before the message in a frame of data."""
DATA = ord("w")
KEEPALIVE = ord("k")

_KEEPALIVE = Struct(">BQqB")
_STATUS = Struct(">BQQQqB")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LSN = re.compile(r"([0-9A-F]{1,8})/([0-9A-F]{1,8})\Z", re.ASCII | re.IGNORECASE)


class Keepalive(msgspec.Struct, frozen=True):
    """The server lives. Everything that it had to say before `end_lsn` has been sent."""

    end_lsn: int
    sent_at_us: int
    is_reply_wanted: bool


class Status(msgspec.Struct, frozen=True):
    """What a reader says of itself: how far it has read, and what the server need not keep for it any more."""

    received_lsn: int
    settled_lsn: int
    sent_at_us: int
    is_reply_wanted: bool = False


def decode_keepalive(frame: bytes) -> Keepalive:
    """Give the keepalive that a frame is.

    Raises:
        StoreError: `store.replication_message`.
    """
    if len(frame) != _KEEPALIVE.size or frame[0] != KEEPALIVE:
        raise refuse(f"a keepalive of {len(frame)} bytes")
    _, end_lsn, sent_at_us, wanted = _KEEPALIVE.unpack(frame)
    return Keepalive(end_lsn, sent_at_us, wanted == 1)


def encode_status(status: Status) -> bytes:
    """Give the frame by which a reader says that it lives."""
    settled = status.settled_lsn
    return _STATUS.pack(
        ord("r"), max(status.received_lsn, settled), settled, settled, status.sent_at_us, status.is_reply_wanted
    )


def decode_status(frame: bytes) -> Status:
    """Give the status that a frame is; the inverse of `encode_status`.

    Raises:
        StoreError: `store.replication_message`.
    """
    try:
        kind, received_lsn, settled_lsn, _, sent_at_us, wanted = _STATUS.unpack(frame)
    except StructError as error:
        raise refuse(f"a status of {len(frame)} bytes") from error
    if kind != ord("r"):
        raise refuse(f"kind {kind} in place of a status")
    return Status(received_lsn, settled_lsn, sent_at_us, wanted == 1)


def lsn_text(lsn: int) -> str:
    """Give a position as PostgreSQL writes it: `16/B374D848`."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def parse_lsn(text: str) -> int:
    """Give the number of a position; the inverse of `lsn_text`.

    Raises:
        StoreError: `store.replication_message`.
    """
    found = _LSN.match(text)
    if found is None:
        raise refuse(f"the position {text[:40]!r}")
    return int(found[1], 16) << 32 | int(found[2], 16)


def wire_time(at: datetime) -> int:
    """Give microseconds since 2000-01-01 UTC."""
    return (at - _EPOCH) // _MICROSECOND


def read_wire_time(microseconds: int) -> datetime:
    """Give the moment of a wire time, aware UTC; the inverse of `wire_time`."""
    return _EPOCH + timedelta(microseconds=microseconds)
