"""What nodes tell each other about who is on a topic, and what clients see of it. Values and their text forms. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

import msgspec

from rowcast.core.codec import encode_json
from rowcast.realtime.messages import Malformed, TopicKey

PART_PRESENCES = 200
PART_BYTES = 256 * 1024


class Presence(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One channel that is seen on a topic under `name`. `payload` is a JSON object; `before` the ref it had before."""

    ref: str
    name: str
    payload: bytes
    before: str = ""


class Change(msgspec.Struct, frozen=True, array_like=True):
    """What has changed on a topic: who came, and the refs of who went."""

    key: TopicKey
    joins: tuple[Presence, ...] = ()
    leaves: tuple[str, ...] = ()


class Changed(msgspec.Struct, frozen=True, array_like=True, tag="changed"):
    """One change among a node's own presences; `number` counts them from 1."""

    node: str
    number: int
    change: Change


class Announced(msgspec.Struct, frozen=True, array_like=True, tag="announced"):
    """A node lives, and has told `number` changes; when it `is_leaving`, this was its last word."""

    node: str
    number: int
    is_leaving: bool = False


class Wanted(msgspec.Struct, frozen=True, array_like=True, tag="wanted"):
    """Somebody wants to know all presences of a node; of every node when `node` is empty."""

    node: str


class Whole(msgspec.Struct, frozen=True, array_like=True, tag="whole"):
    """One part of all presences of a node, as they were after `number` changes."""

    node: str
    number: int
    part: int
    parts: int
    presences: tuple[tuple[TopicKey, Presence], ...]


Message = Changed | Announced | Wanted | Whole
_PACKER = msgspec.msgpack.Encoder()
_UNPACKER: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def pack_message(message: Message) -> bytes:
    """Give a message of the bus."""
    return _PACKER.encode(message)


def unpack_message(data: bytes) -> Message | Malformed:
    """Give what a message of the bus says."""
    try:
        return _UNPACKER.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        return Malformed(f"The bus brought no presences: {error}")


def in_parts(node: str, number: int, presences: Iterable[tuple[TopicKey, Presence]]) -> list[Whole]:
    """Give all presences of a node in parts of a bounded size; one empty part when there are none."""
    groups = [tuple(group) for group in _groups(presences)] or [()]
    return [Whole(node, number, part, len(groups), group) for part, group in enumerate(groups)]


def _groups(presences: Iterable[tuple[TopicKey, Presence]]) -> Iterator[list[tuple[TopicKey, Presence]]]:
    group: list[tuple[TopicKey, Presence]] = []
    size_bytes = 0
    for found in presences:
        if group and (len(group) >= PART_PRESENCES or size_bytes > PART_BYTES):
            yield group
            group, size_bytes = [], 0
        group.append(found)
        size_bytes += len(found[1].payload)
    if group:
        yield group


class Diff(msgspec.Struct, frozen=True):
    """What the clients on a topic are told: who came and who went. A new payload is both at once."""

    key: TopicKey
    joins: tuple[Presence, ...] = ()
    leaves: tuple[Presence, ...] = ()


def state_text(presences: Iterable[Presence]) -> bytes:
    """Give the payload of `presence_state`: every name with all that is seen under it."""
    names: dict[str, list[bytes]] = {}
    for presence in presences:
        names.setdefault(presence.name, []).append(_meta(presence))
    return _object(names)


def diff_text(joins: Sequence[Presence], leaves: Sequence[Presence]) -> bytes:
    """Give the payload of `presence_diff`."""
    return b'{"joins":%b,"leaves":%b}' % (state_text(joins), state_text(leaves))


def _object(names: Mapping[str, list[bytes]]) -> bytes:
    return b"{%b}" % b",".join(
        b'%b:{"metas":[%b]}' % (encode_json(name), b",".join(metas)) for name, metas in names.items()
    )


def _meta(presence: Presence) -> bytes:
    """Clients tell presences apart by `phx_ref`; `payload` has none of its own."""
    before = b',"phx_ref_prev":%b' % encode_json(presence.before) if presence.before else b""
    rest = presence.payload[1:]
    return b'{"phx_ref":%b%b%b%b' % (encode_json(presence.ref), before, b"" if rest == b"}" else b",", rest)
