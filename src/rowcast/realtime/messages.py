"""What travels between sockets, sessions, the hub and the bus: values, nothing else."""

from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple

import msgspec

from rowcast.core.codec import encode_json

Ref = str | Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)] | None
"""A client's own number for a message; echoed as it came. A number that JSON's readers would round is refused."""

Form = Literal["user", "binary", "verbatim", "presence"]
"""How a broadcast was handed in, which decides how each serializer version shows it.

`user`: JSON payload of a named event. `binary`: bytes of a named event, seen by version 2.0.0 only.
`verbatim`: a whole broadcast payload that a client pushed as text, delivered as it was sent.
`presence`: no broadcast at all, but the joins and leaves of a topic (`presence_diff`), for whoever may see them.
"""

EMPTY_OBJECT = msgspec.Raw(b"{}")


class Frame(msgspec.Struct, frozen=True):
    """One message of the channel protocol, either way. `payload` is JSON text."""

    join_ref: Ref
    ref: Ref
    topic: str
    event: str
    payload: msgspec.Raw = EMPTY_OBJECT


class UserPush(msgspec.Struct, frozen=True):
    """A client's broadcast as a binary frame (kind 3): `payload` is JSON text or, unless `is_json`, any bytes."""

    join_ref: Ref
    ref: Ref
    topic: str
    event: str
    payload: bytes
    is_json: bool


class Malformed(msgspec.Struct, frozen=True):
    """Something that is no message; the connection stays and nobody answers."""

    reason: str


Incoming = Frame | UserPush | Malformed


class TopicKey(NamedTuple):
    """Where a broadcast goes: each tenant has two namespaces of its own, public and private topics."""

    tenant_id: str
    is_private: bool
    topic: str


class Broadcast(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One message for everybody who has joined a topic.

    `topic` stands without the prefix of the wire (`orders:acme`). `payload` and `meta` are JSON text, except the
    payload of form `binary`; empty `meta` means none. `sender` is the number of the socket that shall not get its
    own message back, 0 when all shall.
    """

    tenant_id: str
    is_private: bool
    topic: str
    event: str
    payload: bytes
    meta: bytes = b""
    form: Form = "user"
    sender: int = 0

    @property
    def key(self) -> TopicKey:
        """Give where it goes."""
        return TopicKey(self.tenant_id, self.is_private, self.topic)


def json_payload(value: object) -> msgspec.Raw:
    """Give `value` as the payload of a frame."""
    return msgspec.Raw(encode_json(value))


class _Told(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A message of the bus: a broadcast, and further topics on which the same is told."""

    broadcast: Broadcast
    more: tuple[str, ...] = ()


_PACKER = msgspec.msgpack.Encoder()
_UNPACKER = msgspec.msgpack.Decoder(_Told)


def pack_broadcast(broadcast: Broadcast) -> bytes:
    """Give a broadcast as one message of the bus."""
    return _PACKER.encode(_Told(broadcast))


def pack_broadcasts(broadcasts: Iterable[Broadcast]) -> list[bytes]:
    """Give broadcasts as messages of the bus, in order; neighbours that differ in nothing but their topic share one."""
    told: list[_Told] = []
    for broadcast in broadcasts:
        if told and _differ_in_topic_only(told[-1].broadcast, broadcast):
            told[-1] = _Told(told[-1].broadcast, (*told[-1].more, broadcast.topic))
        else:
            told.append(_Told(broadcast))
    return [_PACKER.encode(one) for one in told]


def unpack_broadcasts(message: bytes) -> tuple[Broadcast, ...] | Malformed:
    """Give the broadcasts of a message of the bus: the same for each topic that it names."""
    try:
        told = _UNPACKER.decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Malformed(f"The bus brought no broadcast: {error}")
    return told.broadcast, *(msgspec.structs.replace(told.broadcast, topic=topic) for topic in told.more)


def _differ_in_topic_only(one: Broadcast, other: Broadcast) -> bool:
    # The payload first, and by identity: it is the largest part, and whoever tells the same twice has it once.
    return one.payload is other.payload and msgspec.structs.replace(one, topic=other.topic) == other
