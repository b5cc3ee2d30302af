"""The two serializers of the channel protocol: bytes to values and back. Nothing that comes in raises.

Source: the stock clients `@supabase/realtime-js` (2.0.0 and 1.0.0) and `realtime` on PyPI (1.0.0).
"""

from typing import Literal

import msgspec

from rowcast.core.codec import encode_json
from rowcast.realtime.messages import Broadcast, Frame, Incoming, Malformed, Ref, UserPush

Version = Literal[1, 2]

VERSIONS: dict[str, Version] = {"1.0.0": 1, "2.0.0": 2}
WIRE_PREFIX = "realtime:"
_PUSH_KIND = 3
_BROADCAST_KIND = 4
_PUSH_HEADER_BYTES = 7
_PART_LIMIT_BYTES = 255


class _ObjectFrame(msgspec.Struct, gc=False):
    topic: str
    event: str
    payload: msgspec.Raw
    ref: Ref
    join_ref: Ref = None


class _Kind(msgspec.Struct, gc=False):
    type: str


_KIND = msgspec.json.Decoder(_Kind)
_OBJECT = msgspec.json.Decoder(_ObjectFrame)
_ARRAY = msgspec.json.Decoder(tuple[Ref, Ref, str, str, msgspec.Raw])
_ANY = msgspec.json.Decoder(msgspec.Raw)
_FAULTS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def decode_text(text: bytes, version: Version) -> Incoming:
    """Give the message of a text frame."""
    try:
        if version == 1:
            found = _OBJECT.decode(text)
            return Frame(found.join_ref, found.ref, found.topic, found.event, found.payload)
        return Frame(*_ARRAY.decode(text))
    except _FAULTS as error:
        return Malformed(str(error))


def decode_binary(data: bytes, version: Version) -> Incoming:
    """Give the message of a binary frame: version 2.0.0 has one kind of them, the user's broadcast."""
    if version == 1:
        return Malformed("Version 1.0.0 has no binary frames")
    if len(data) < _PUSH_HEADER_BYTES or data[0] != _PUSH_KIND or data[6] > 1:
        return Malformed("Not a user broadcast")
    *lengths, encoding = data[1:_PUSH_HEADER_BYTES]
    if _PUSH_HEADER_BYTES + sum(lengths) > len(data):
        return Malformed("The lengths reach past the end")
    return _user_push(data, lengths, is_json=encoding == 1)


def _user_push(data: bytes, lengths: list[int], *, is_json: bool) -> UserPush | Malformed:
    parts: list[bytes] = []
    start = _PUSH_HEADER_BYTES
    for length in lengths:
        parts.append(data[start : start + length])
        start += length
    payload = data[start:]
    if is_json and not is_json_text(payload):
        return Malformed("The payload says that it is JSON and is not")
    try:
        # The metadata asks the server for things that this one does not do; receivers never see a client's own.
        join_ref, ref, topic, event, _ = (part.decode() for part in parts)
    except UnicodeDecodeError as error:
        return Malformed(str(error))
    return UserPush(join_ref or None, ref or None, topic, event, payload, is_json)


def is_json_text(text: bytes) -> bool:
    """Tell whether `text` is exactly one JSON value: what is put into a frame must not be able to break out of it."""
    try:
        text.decode()
        _ANY.decode(text)
    except _FAULTS:
        return False
    return True


def encode_frame(frame: Frame, version: Version) -> bytes:
    """Give the text frame of a message to one client. Version 1.0.0 never shows `join_ref`."""
    if version == 1:
        return encode_json({"ref": frame.ref, "topic": frame.topic, "event": frame.event, "payload": frame.payload})
    return encode_json((frame.join_ref, frame.ref, frame.topic, frame.event, frame.payload))


def encode_broadcast(broadcast: Broadcast, version: Version) -> tuple[bool, bytes] | None:
    """Give the one frame that all receivers of a version share: whether it is binary, and its bytes; None for none."""
    if broadcast.form == "presence":
        return False, _text_broadcast(broadcast, broadcast.payload, version)
    if broadcast.form == "verbatim":
        return False, _text_broadcast(broadcast, _told_payload(broadcast), version)
    if version == 2 and _fits_binary(broadcast):
        return True, _binary_broadcast(broadcast)
    if broadcast.form == "binary":
        return None
    return False, _text_broadcast(broadcast, _user_payload(broadcast), version)


def encode_replayed(broadcast: Broadcast, join_ref: Ref, version: Version) -> tuple[bool, bytes] | None:
    """Give the frame of a broadcast that is told to one client again: as text it carries the client's `join_ref`."""
    if version == 1 or broadcast.form == "binary":
        return encode_broadcast(broadcast, version)
    payload = _told_payload(broadcast)
    topic = encode_json(WIRE_PREFIX + broadcast.topic)
    return False, b'[%b,null,%b,"broadcast",%b]' % (encode_json(join_ref), topic, payload)


def encode_changes(topic: str, ids: tuple[int, ...], data: bytes, version: Version) -> bytes:
    """Give the text frame of a changed row; `topic` as on the wire."""
    payload = b'{"ids":%b,"data":%b}' % (encode_json(ids), data)
    if version == 1:
        return b'{"ref":null,"event":"postgres_changes","topic":%b,"payload":%b}' % (encode_json(topic), payload)
    return b'[null,null,%b,"postgres_changes",%b]' % (encode_json(topic), payload)


def encode_legacy_change(topic: str, data: bytes, version: Version) -> bytes:
    """Give the text frame of a changed row for clients from before `postgres_changes`: its kind is the event."""
    kind = encode_json(_KIND.decode(data).type)
    if version == 1:
        return b'{"ref":null,"event":%b,"topic":%b,"payload":%b}' % (kind, encode_json(topic), data)
    return b"[null,null,%b,%b,%b]" % (encode_json(topic), kind, data)


def _told_payload(broadcast: Broadcast) -> bytes:
    if broadcast.form != "verbatim":
        return _user_payload(broadcast)
    return _with_meta(broadcast.payload, broadcast.meta) if broadcast.meta else broadcast.payload


def _with_meta(payload: bytes, meta: bytes) -> bytes:
    """Put the meta into an object that a client wrote; the client's own is out, because readers take the last."""
    inside = payload.strip()[1:-1].strip()
    return b'{%b%b"meta":%b}' % (inside, b"," if inside else b"", meta)


def _text_broadcast(broadcast: Broadcast, payload: bytes, version: Version) -> bytes:
    topic = encode_json(WIRE_PREFIX + broadcast.topic)
    event = b"presence_diff" if broadcast.form == "presence" else b"broadcast"
    if version == 1:
        return b'{"ref":null,"event":"%b","topic":%b,"payload":%b}' % (event, topic, payload)
    return b'[null,null,%b,"%b",%b]' % (topic, event, payload)


def _user_payload(broadcast: Broadcast) -> bytes:
    meta = b',"meta":' + broadcast.meta if broadcast.meta else b""
    event = encode_json(broadcast.event)
    return b'{"event":%b,"payload":%b,"type":"broadcast"%b}' % (event, broadcast.payload, meta)


def _fits_binary(broadcast: Broadcast) -> bool:
    """A part is counted in one byte; what is longer goes out as text."""
    parts = (WIRE_PREFIX + broadcast.topic, broadcast.event)
    longest = max(len(part.encode()) for part in parts)
    return max(longest, len(broadcast.meta)) <= _PART_LIMIT_BYTES


def _binary_broadcast(broadcast: Broadcast) -> bytes:
    topic, event = (WIRE_PREFIX + broadcast.topic).encode(), broadcast.event.encode()
    is_json = broadcast.form == "user"
    header = bytes((_BROADCAST_KIND, len(topic), len(event), len(broadcast.meta), is_json))
    return b"".join((header, topic, event, broadcast.meta, broadcast.payload))
