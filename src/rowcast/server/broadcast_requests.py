"""What an application says over HTTP, read as the stock server reads it: messages, or what is wrong with each."""

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote_to_bytes

import msgspec

from rowcast.core.codec import decode_json, encode_json
from rowcast.core.errors import InvalidInputError
from rowcast.core.topic import checked_topic

PAYLOAD_LIMIT_BYTES = 3_000_500
_BLANK = "can't be blank"
_INVALID = "is invalid"
_TOO_BIG = "Payload size exceeds tenant limit"
_EVENT_LIMIT_BYTES = 255
_SINGLE = re.compile(rb".*?/api/broadcast/([^/?]+)/events/([^/?]+)/?(?:\?.*)?\Z", re.DOTALL)

Faults = Mapping[str, object]
"""What is wrong, by field, in the form of the stock server's answer 422."""


class Message(msgspec.Struct, frozen=True):
    """One broadcast to send. `payload` is JSON text, or any bytes when it `is_binary`."""

    topic: str
    event: str
    payload: bytes
    is_private: bool = False
    is_binary: bool = False

    @property
    def verbatim(self) -> bytes:
        """Give the whole payload of the frame, as version 1.0.0 and text frames show it."""
        head = encode_json({"event": self.event, "type": "broadcast"})[:-1]
        return head + b',"payload":' + self.payload + b"}"


def read_batch(body: bytes) -> Sequence[Message] | Faults:
    """Give the messages of a batch, or what is wrong with each of them.

    Raises:
        InvalidInputError: `input.not_json`, for a body that is no JSON object.
    """
    found = decode_json(body)
    if not isinstance(found, dict):
        raise InvalidInputError("The body must be an object with `messages`.", code="input.not_json")
    given = found.get("messages")
    if not isinstance(given, list) or not given:
        return {"messages": [_BLANK if not given else _INVALID]}
    faults = [_faults(each) for each in given]
    if any(faults):
        return {"messages": faults}
    return [_message(each) for each in given]


def read_single(topic: str, event: str, body: bytes, *, is_private: bool, is_binary: bool) -> Message | Faults:
    """Give one message, or what is wrong with it. JSON that is no object is wrapped, as the stock server does.

    Raises:
        InvalidInputError: `input.not_json`.
    """
    payload = body
    if not is_binary:
        value = decode_json(body) if body.strip() else {}
        payload = encode_json(value if isinstance(value, dict) else {"_json": value})
    faults = {**_name_faults("topic", topic), **_name_faults("event", event), **_size_faults(payload)}
    return faults or Message(topic, event, payload, is_private, is_binary)


def single_target(raw_path: bytes) -> tuple[str, str] | None:
    """Give topic and event of `/api/broadcast/<topic>/events/<event>`, each decoded; None for any other path."""
    found = _SINGLE.match(raw_path)
    if found is None:
        return None
    try:
        topic, event = (unquote_to_bytes(part).decode() for part in found.groups())
    except UnicodeDecodeError:
        return None
    return topic, event


def _message(given: Mapping[str, object]) -> Message:
    is_private = given.get("private") in (True, "true", "True")
    return Message(str(given["topic"]), str(given["event"]), encode_json(given["payload"]), is_private)


def _faults(given: object) -> dict[str, list[str]]:
    if not isinstance(given, dict):
        return {name: [_BLANK] for name in ("topic", "event", "payload")}
    payload = given.get("payload")
    faults = {**_name_faults("topic", given.get("topic")), **_name_faults("event", given.get("event"))}
    if payload is None:
        return {**faults, "payload": [_BLANK]}
    return {**faults, **(_size_faults(encode_json(payload)) if isinstance(payload, dict) else {"payload": [_INVALID]})}


def _name_faults(name: str, value: object) -> dict[str, list[str]]:
    if value is None or (isinstance(value, str) and not value.strip()):
        return {name: [_BLANK]}
    if not isinstance(value, str) or not _is_name(name, value):
        return {name: [_INVALID]}
    return {}


def _is_name(name: str, value: str) -> bool:
    """Tell whether a topic can be joined, or an event fits into a binary frame."""
    try:
        if name == "topic":
            checked_topic(value)
        return name == "topic" or len(value.encode()) <= _EVENT_LIMIT_BYTES
    except (UnicodeEncodeError, InvalidInputError):
        return False


def _size_faults(payload: bytes) -> dict[str, list[str]]:
    return {"payload": [_TOO_BIG]} if len(payload) > PAYLOAD_LIMIT_BYTES else {}
