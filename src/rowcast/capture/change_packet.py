"""What nodes say to each other about row changes: who wants them, who reads them, and the changes themselves. Pure."""

import msgspec

from rowcast.core.row_change import RowChanges

SUBJECT = "changes"
"""The subject of the bus on which all of it is said."""


class Wish(msgspec.Struct, frozen=True, array_like=True, tag=1):
    """A node has subscriptions and no slot; it says so again and again."""

    node: str


class Lead(msgspec.Struct, frozen=True, array_like=True, tag=2):
    """Who reads the slot says so again and again, and to whom it tells changes.

    `epoch` is another one for every new slot; `number` is that of the next piece that it will tell.
    """

    epoch: str
    number: int
    listeners: tuple[str, ...]


class Piece(msgspec.Struct, frozen=True, array_like=True, tag=3):
    """Changed rows, numbered without a gap."""

    epoch: str
    number: int
    changes: RowChanges


Packet = Wish | Lead | Piece
_DECODER: msgspec.msgpack.Decoder[Packet] = msgspec.msgpack.Decoder(Packet)


def pack_packet(packet: Packet) -> bytes:
    """Give the bytes of a packet."""
    return msgspec.msgpack.encode(packet)


def read_packet(message: bytes) -> Packet | None:
    """Give the packet that some bytes are, or None when they are none: a node of another version runs beside us."""
    try:
        return _DECODER.decode(message)
    except msgspec.MsgspecError:
        return None
