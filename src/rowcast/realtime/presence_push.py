"""What a client says about its own presence, read leniently. Pure."""

import msgspec

from rowcast.core.codec import encode_json
from rowcast.realtime.messages import EMPTY_OBJECT

_OWN_WORDS = ("phx_ref", "phx_ref_prev")
_FAULTS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class PresencePush(msgspec.Struct, frozen=True):
    """`track` or `untrack` in lower case; `payload` is a JSON object without the words of the server, None for none."""

    event: str
    payload: bytes | None


class _Wire(msgspec.Struct):
    event: str = ""
    payload: msgspec.Raw = EMPTY_OBJECT


_WIRE = msgspec.json.Decoder(_Wire)
_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_presence(payload: msgspec.Raw) -> PresencePush:
    """Give what the payload of a `presence` message says; an empty event when it cannot be read."""
    try:
        found = _WIRE.decode(payload)
    except _FAULTS:
        return PresencePush("", None)
    return PresencePush(found.event.lower(), _own_object(found.payload))


def _own_object(text: msgspec.Raw) -> bytes | None:
    try:
        found = _OBJECT.decode(text)
    except _FAULTS:
        return None
    for word in _OWN_WORDS:
        found.pop(word, None)
    return encode_json(found)
