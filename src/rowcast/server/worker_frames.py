"""What a server and its workers say to each other: frames behind a length, and which topic a message is for."""

import struct
from collections.abc import Iterator

import msgspec

from rowcast.core.errors import RowcastError
from rowcast.realtime.hub import SUBJECT
from rowcast.realtime.messages import TopicKey

_LENGTH = struct.Struct(">I")
FRAME_LIMIT_BYTES = 128 * 1024 * 1024


class Begin(msgspec.Struct, frozen=True, array_like=True, tag=0):
    """To a new worker: which one it is, its settings as JSON, and the port to share."""

    number: int
    settings: bytes
    port: int


class Ready(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """From a worker: it listens."""


class Wants(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """From a worker: whether somebody there listens to a subject of the bus."""

    subject: str
    is_wanted: bool


class Interest(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """From a worker: whether somebody there has joined a topic."""

    key: TopicKey
    is_wanted: bool


class Publish(msgspec.Struct, frozen=True, array_like=True, tag=4):
    """From a worker: tell everybody else; answered by `Published` with the same number."""

    number: int
    subject: str
    messages: list[bytes]


class Published(msgspec.Struct, frozen=True, array_like=True, tag=5):
    """To a worker: whether the other nodes were told."""

    number: int
    is_told: bool


class Told(msgspec.Struct, frozen=True, array_like=True, tag=6):
    """To a worker: what somebody else has published."""

    subject: str
    messages: list[bytes]


class Report(msgspec.Struct, frozen=True, array_like=True, tag=7):
    """How one process is, or all together: its readiness as JSON and its metrics as text."""

    readiness: bytes
    metrics: bytes


Frame = Begin | Ready | Wants | Interest | Publish | Published | Told | Report

_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Frame] = msgspec.msgpack.Decoder(Frame)


def encode_frame(frame: Frame) -> bytes:
    """Give a frame as it is written."""
    body = _ENCODER.encode(frame)
    return _LENGTH.pack(len(body)) + body


class FrameReader:
    """Takes bytes as they come and gives the frames that are whole."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        """Start without any."""
        self._rest = bytearray()

    def take(self, data: bytes) -> Iterator[Frame]:
        """Give the frames that end in `data`.

        Raises:
            RowcastError: What came is no frame; the other end is not ours.
        """
        self._rest += data
        start = 0
        while len(self._rest) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._rest, start)
            if length > FRAME_LIMIT_BYTES:
                raise RowcastError("The other end of a worker's link sends no frames.")
            end = start + _LENGTH.size + length
            if end > len(self._rest):
                break
            yield _decoded(bytes(self._rest[start + _LENGTH.size : end]))
            start = end
        del self._rest[:start]


class _Head(msgspec.Struct, frozen=True, array_like=True):
    tenant_id: str
    is_private: bool
    topic: str


class _Address(msgspec.Struct, frozen=True, array_like=True):
    head: _Head
    more: tuple[str, ...] = ()


_ADDRESS = msgspec.msgpack.Decoder(_Address)


def topics_of(subject: str, message: bytes) -> tuple[TopicKey, ...] | None:
    """Give the topics that a message of the bus is for; None when it is for everybody who hears the subject."""
    if subject != SUBJECT:
        return None
    try:
        address = _ADDRESS.decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    head = address.head
    return tuple(TopicKey(head.tenant_id, head.is_private, topic) for topic in (head.topic, *address.more))


def _decoded(body: bytes) -> Frame:
    try:
        return _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise RowcastError("The other end of a worker's link sends no frames.") from error
