"""What one NATS message carries: messages of one subject in order, sealed; a long message goes in several pieces.

Whoever may connect to the NATS server could read and forge what it carries. So packets are encrypted and signed with
the key of the database, as those of the PostgreSQL bus are, and each deployment has subjects of its own.
"""

import hashlib
import os
import struct
from collections import OrderedDict
from collections.abc import Iterator, Sequence

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_HEADER = struct.Struct(">16sQ12s")
_OVERHEAD_BYTES = 128
_MESSAGE_OVERHEAD_BYTES = 5
_KEPT_PIECES = 1024


class NatsPacket(msgspec.Struct, frozen=True, gc=False):
    """Messages from one node. `number` counts that node's packets of the subject, so that a gap shows.

    `is_continued` means that its one message goes on in the next packet, `is_rest` that the first one began earlier.
    """

    node: bytes
    number: int
    messages: list[bytes]
    is_continued: bool = False
    is_rest: bool = False


class _Body(msgspec.Struct, frozen=True, array_like=True, gc=False):
    messages: list[bytes]
    is_continued: bool
    is_rest: bool


def pack_for_nats(
    messages: Sequence[bytes], *, node: bytes, first_number: int, limit_bytes: int
) -> Iterator[NatsPacket]:
    """Give the packets that carry `messages` in order, each at most `limit_bytes` when sealed."""
    room = max(1, limit_bytes - _OVERHEAD_BYTES)
    group: list[bytes] = []
    weight, number = 0, first_number
    for message in messages:
        if group and weight + len(message) + _MESSAGE_OVERHEAD_BYTES > room:
            yield NatsPacket(node, number, group)
            group, weight, number = [], 0, number + 1
        if len(message) + _MESSAGE_OVERHEAD_BYTES > room:
            for packet in _pieces(message, NatsPacket(node, number, []), room):
                yield packet
                number = packet.number + 1
        else:
            group.append(message)
            weight += len(message) + _MESSAGE_OVERHEAD_BYTES
    if group:
        yield NatsPacket(node, number, group)


def _pieces(message: bytes, first: NatsPacket, room: int) -> Iterator[NatsPacket]:
    step = max(1, room - _MESSAGE_OVERHEAD_BYTES)
    for place, start in enumerate(range(0, len(message), step)):
        yield NatsPacket(
            first.node,
            first.number + place,
            [message[start : start + step]],
            is_continued=start + step < len(message),
            is_rest=start > 0,
        )


class NatsSeal:
    """Turns packets into NATS messages and back, and names the subjects of this deployment."""

    __slots__ = ("_cipher", "prefix")

    def __init__(self, key: bytes) -> None:
        """Use the 32 bytes that all nodes of a database share."""
        self._cipher = AESGCM(key)
        self.prefix = f"rowcast.{hashlib.sha256(b'rowcast subject' + key).hexdigest()[:16]}"
        """What every subject of this deployment begins with; two databases may share one NATS server."""

    def close(self, subject: str, packet: NatsPacket) -> bytes:
        """Give the payload of the NATS message; it opens under the same subject only."""
        nonce = os.urandom(12)
        header = _HEADER.pack(packet.node, packet.number, nonce)
        body = msgspec.msgpack.encode(_Body(packet.messages, packet.is_continued, packet.is_rest))
        return header + self._cipher.encrypt(nonce, body, header + subject.encode())

    def open(self, subject: str, payload: bytes) -> NatsPacket | None:
        """Give the packet of a NATS message, or None when no node has sent it."""
        if len(payload) < _HEADER.size:
            return None
        header = payload[: _HEADER.size]
        node, number, nonce = _HEADER.unpack(header)
        try:
            opened = self._cipher.decrypt(nonce, payload[_HEADER.size :], header + subject.encode())
            body = msgspec.msgpack.decode(opened, type=_Body)
        except (InvalidTag, msgspec.MsgspecError):
            return None
        return NatsPacket(node, number, body.messages, body.is_continued, body.is_rest)


class Pieces:
    """Puts long messages together again: the pieces that each node has sent so far of one."""

    __slots__ = ("_begun", "_limit_bytes")

    def __init__(self, limit_bytes: int) -> None:
        """Keep at most `limit_bytes` of one message; a longer one is dropped."""
        self._limit_bytes = limit_bytes
        self._begun: OrderedDict[bytes, bytearray] = OrderedDict()

    def take(self, sender: bytes, packet: NatsPacket, *, is_after_gap: bool) -> Sequence[bytes]:
        """Give the messages that are whole with this packet.

        Args:
            sender: Node and subject.
            packet: What has come, in order.
            is_after_gap: Packets before it are missing, so what was begun will never be whole.
        """
        begun = self._begun.pop(sender, None)
        if is_after_gap:
            begun = None
        if not packet.is_rest:
            if packet.is_continued:
                self._keep(sender, bytearray(packet.messages[0]))
                return ()
            return packet.messages
        if begun is None:
            return packet.messages[1:]
        begun += packet.messages[0]
        if packet.is_continued:
            self._keep(sender, begun)
            return ()
        return [bytes(begun), *packet.messages[1:]]

    def _keep(self, sender: bytes, begun: bytearray) -> None:
        if len(begun) > self._limit_bytes:
            return
        self._begun[sender] = begun
        if len(self._begun) > _KEPT_PIECES:
            self._begun.popitem(last=False)
