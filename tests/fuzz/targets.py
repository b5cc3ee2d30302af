"""What the fuzzer feeds and what must hold for any bytes: one function for each reader of what strangers send.

A target takes bytes and raises AssertionError when a promise is broken; any other exception is as bad. What it may
hold is bounded by what came in: the readers keep no more than they were given.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime

from rowcast.core.codec import decode_json
from rowcast.core.errors import InvalidInputError, InvalidTopicError
from rowcast.core.topic import TOPIC_LIMIT_BYTES, checked_event_type, checked_topic, parse_topic, topic_name
from rowcast.realtime.change_filter import OPERATORS, Condition, FilterFault, check_condition, parse_filter
from rowcast.realtime.frames import BINARY, CLOSE, PING, PONG, TEXT, FrameReader, Message, Violation, close_answer
from rowcast.realtime.messages import Broadcast, Frame, Malformed, UserPush, pack_broadcasts, unpack_broadcasts
from rowcast.realtime.protocol import decode_binary, decode_text, encode_broadcast, encode_frame
from rowcast.realtime.topic_template import parse_template
from rowcast.webhooks.incoming import Accepted, IncomingRequest, Question, Refused, SourceOptions
from rowcast.webhooks.incoming_body import FORM, event_type
from rowcast.webhooks.incoming_schemes import SCHEMES
from tests.protocol.raw_socket import frame

LIMIT_BYTES = 1024
VERSIONS = (1, 2)


def frames(data: bytes) -> None:
    """Bytes of a socket are the same messages in any slices, each of which can be said again."""
    step, stream = (data[0] + 1, data[1:]) if data else (1, b"")
    whole = list(_read(stream, len(stream) or 1))

    assert list(_read(stream, step)) == whole
    assert all(isinstance(found, Message) for found in whole[:-1])
    for found in whole:
        if isinstance(found, Violation):
            assert found.code in (1002, 1007, 1009)
        else:
            assert found.opcode in (TEXT, BINARY, CLOSE, PING, PONG)
            assert list(_read(frame(found.opcode, found.payload), LIMIT_BYTES)) == [found]
            assert close_answer(found.payload) in (1000, 1002, 1007) or len(found.payload) >= 2


def _read(stream: bytes, step: int) -> Iterator[Message | Violation]:
    """Give what a reader makes of `stream` in slices, up to the first violation."""
    reader, given = FrameReader(LIMIT_BYTES), 0
    for start in range(0, len(stream), step):
        reader.feed(stream[start : start + step])
        while (found := reader.next()) is not None:
            given += len(found.payload) if isinstance(found, Message) else 0
            yield found
            if isinstance(found, Violation):
                return
        held = len(reader._buffer) - reader._position + len(reader._parts)
        assert given + held <= start + step
        # One message in pieces, the frame that comes next, and the control frame in between.
        assert held <= 2 * LIMIT_BYTES + 14


def messages(data: bytes) -> None:
    """What stands in a frame is a message or malformed, in both versions, and a message that was read is said again."""
    # A reader of frames has seen to it that text is UTF-8.
    text = data.decode(errors="replace").encode()
    for version in VERSIONS:
        found = decode_text(text, version)
        assert isinstance(found, Frame | Malformed)
        if isinstance(found, Frame):
            again = decode_text(encode_frame(found, version), version)
            assert again == (found if version == 2 else Frame(None, *_without_join_ref(found)))
            json.loads(bytes(found.payload))
    assert isinstance(decode_binary(data, 1), Malformed)
    push = decode_binary(data, 2)
    if isinstance(push, UserPush):
        _check_push(push, data)
    told = unpack_broadcasts(data)
    assert isinstance(told, Malformed) or _again(told) == told


def _again(told: tuple[Broadcast, ...]) -> tuple[Broadcast, ...]:
    return tuple(one for message in pack_broadcasts(told) for one in unpack_broadcasts(message))


def _without_join_ref(found: Frame) -> tuple[object, str, str, object]:
    return found.ref, found.topic, found.event, found.payload


def _check_push(push: UserPush, data: bytes) -> None:
    """A push holds nothing but its frame's bytes, and everybody who hears it can read it."""
    parts = [(part or "").encode() for part in (push.join_ref, push.ref, push.topic, push.event)]
    assert sum(map(len, parts)) + len(push.payload) + 7 <= len(data)
    header = bytes((3, *map(len, parts), 0, push.is_json))
    assert decode_binary(header + b"".join(parts) + push.payload, 2) == push
    told = Broadcast("acme", False, push.topic, push.event, push.payload, form="user" if push.is_json else "binary")
    shown = encode_broadcast(told, 1)
    assert (shown is None) == (not push.is_json)
    if shown is not None:
        assert json.loads(shown[1])["payload"]["payload"] == json.loads(push.payload)


def filters(data: bytes) -> None:
    """A filter is conditions that can be written down and read again, or a fault in words; never more than its text."""
    text = data.decode(errors="replace")
    found = parse_filter(text)
    if isinstance(found, FilterFault):
        # Every sign may be shown as six: backslash, u and four digits.
        assert len(found.text) <= 200 + 6 * len(text)
        return
    # One sign has two as its lower case.
    assert sum(len(condition.column) + sum(map(len, condition.operands)) for condition in found) <= 2 * len(text)
    for condition in found:
        assert condition.operator in OPERATORS
        assert condition.operator == "in" or len(condition.operands) == 1
        for type_name in ("text", "boolean", "integer"):
            fault = check_condition(
                condition, type_name=type_name, is_boolean=type_name == "boolean", is_text=type_name == "text"
            )
            assert fault is None or fault.text
    if not any(sign in condition.column for condition in found for sign in '"()'):
        assert parse_filter(",".join(map(_written, found))) == found


def _written(condition: Condition) -> str:
    """Give the text of a condition, each value in quotes so that it can hold anything."""
    values = ['"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"' for value in condition.operands]
    negation = "not." if condition.is_negated else ""
    value = f"({','.join(values)})" if condition.operator == "in" else values[0]
    if condition.operator == "is":
        value = condition.operands[0]
    return f"{condition.column}={negation}{condition.operator}.{value}"


def topics(data: bytes) -> None:
    """A topic names one tenant, and a template fits what it was filled to, or each is refused by its code."""
    text = data.decode(errors="replace")
    if _is_accepted(checked_topic, text, "input.topic"):
        assert 0 < len(text.encode()) <= TOPIC_LIMIT_BYTES
        assert text.isprintable() or not any(sign < " " or sign == "\x7f" for sign in text)
    if _is_accepted(parse_topic, text, "input.topic"):
        assert topic_name(*parse_topic(text)) == text
    if _is_accepted(parse_template, text, "input.topic_template"):
        _check_template(text)


def _is_accepted(read: Callable[[str], object], text: str, code: str) -> bool:
    try:
        read(text)
    except (InvalidTopicError, InvalidInputError) as refused:
        assert refused.code == code
        assert len(str(refused)) < 1000
        return False
    return True


def _check_template(text: str) -> None:
    template = parse_template(text)
    values = {name: f"v{place}" for place, name in enumerate(template.parameters)}
    filled = [values[part[1:-1]] if part.startswith("{") else part for part in template.parts]
    assert template.match(":".join(filled)) == values
    assert template.match(":".join([*filled, "more"])) is None
    if not values:
        assert template.match(text) == {}
    else:
        assert template.match(":".join("" if part.startswith("{") else part for part in template.parts)) is None


_SIGNED = """
    authorization stripe-signature webhook-id webhook-timestamp webhook-signature x-ably-signature x-hub-signature-256
    x-mailchimp-signature x-shopify-hmac-sha256 x-slack-request-timestamp x-slack-signature x-twilio-signature
    x-twilio-webhooks-signature-settings x-xero-signature
""".split()
_FUZZED_SECRET = "whsec_" + "c2VjcmV0" * 4


def webhooks(data: bytes) -> None:
    """What is not signed is refused, and a body that is read is events that can be kept, or refused by its code."""
    scheme = SCHEMES[sorted(SCHEMES)[data[0] % len(SCHEMES)] if data else "standard"]
    junk, _, body = data[2:].partition(b"\n")
    media_type = FORM.encode() if data[1:2] == b"f" else b"application/json"
    headers = {"content-type": media_type, **dict.fromkeys(_SIGNED, junk)}
    question = Question(
        request=IncomingRequest(body=body, headers=headers, query=junk),
        secrets=(_FUZZED_SECRET,),
        options=SourceOptions(header="authorization", public_url="https://hooks.example.com"),
        now=datetime(2026, 1, 1, tzinfo=UTC),
    )
    assert isinstance(scheme.verify(question), Refused) or _FUZZED_SECRET.encode() in junk
    try:
        answer = scheme.read(question)
    except InvalidInputError as refused:
        assert refused.code == "input.not_json"
        return
    for read in answer.reads if isinstance(answer, Accepted) else ():
        assert isinstance(decode_json(read.payload), dict)
        assert checked_event_type(event_type("source", read.called)).startswith("source.")
        assert 0 < len(read.delivery_id) <= 200
        assert read.delivery_id.isascii()


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    "frames": frames,
    "messages": messages,
    "filters": filters,
    "topics": topics,
    "webhooks": webhooks,
}
