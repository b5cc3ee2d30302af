"""What travels between sockets, sessions, the hub and the bus: values, nothing else."""

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


_PACKER = msgspec.msgpack.Encoder()
_UNPACKER = msgspec.msgpack.Decoder(Broadcast)


def pack_broadcast(broadcast: Broadcast) -> bytes:
    """Give a broadcast as one message of the bus."""
    return _PACKER.encode(broadcast)


def unpack_broadcast(message: bytes) -> Broadcast | Malformed:
    """Give the broadcast of a message of the bus."""
    try:
        return _UNPACKER.decode(message)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Malformed(f"The bus brought no broadcast: {error}")
