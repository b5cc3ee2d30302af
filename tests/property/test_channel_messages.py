"""Whatever a client says on its channels: nothing raises, both serializers mean the same, and bounds hold."""

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from rowcast.core.errors import InvalidTopicError
from rowcast.core.topic import Topic, checked_topic, parse_topic, topic_name
from rowcast.realtime.authorize import Authorizer, Claims
from rowcast.realtime.channel_policy import Access, Fault
from rowcast.realtime.effects import Ask, Effects, Followed, MayRead, MayWrite, Recall, Recalled, Send
from rowcast.realtime.join import JoinRequest, echoed_bindings, read_bindings, read_join
from rowcast.realtime.messages import Frame, Malformed, UserPush
from rowcast.realtime.protocol import decode_binary, decode_text, encode_frame
from rowcast.realtime.session import Session, SessionRules
from rowcast.testing.fake_clock import FakeClock

BOUNDED = settings(max_examples=200, deadline=None)
NOW = FakeClock().now()

words = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
refs = st.none() | words
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=12,
)
# Right in its outline and wrong in any place: what pure noise would never reach.
configs = st.fixed_dictionaries(
    {},
    optional={
        "private": st.booleans() | values,
        "broadcast": values
        | st.fixed_dictionaries(
            {},
            optional={
                "ack": st.booleans() | values,
                "self": st.booleans() | values,
                "replay": values
                | st.fixed_dictionaries({"since": values | st.integers(), "limit": values | st.integers()}),
                "recover": values | st.fixed_dictionaries({"session": words | values}),
            },
        ),
        "presence": values
        | st.fixed_dictionaries({}, optional={"key": words | values, "enabled": st.booleans() | values}),
        "postgres_changes": values
        | st.lists(
            values
            | st.fixed_dictionaries(
                {}, optional=dict.fromkeys(("event", "schema", "table", "filter", "select", "id"), values)
            ),
            max_size=4,
        ),
    },
)
joins = st.fixed_dictionaries({}, optional={"config": configs | values, "access_token": words | values})
topics = st.sampled_from(["realtime:a", "realtime:b", "realtime:tenant:acme", "realtime:", "phoenix", "other"]) | words
events = st.sampled_from(
    ["phx_join", "phx_leave", "broadcast", "presence", "access_token", "heartbeat", "phx_reply", "postgres_changes"]
)


def raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


@BOUNDED
@given(st.binary(max_size=300))
def test_any_bytes_are_a_message_or_malformed(data: bytes) -> None:
    for version in (1, 2):
        assert isinstance(decode_text(data, version), Frame | Malformed)  # type: ignore[arg-type]
        assert isinstance(decode_binary(data, version), UserPush | Malformed)  # type: ignore[arg-type]


@BOUNDED
@given(st.lists(st.integers(0, 255), min_size=6, max_size=6), st.binary(max_size=400))
def test_any_binary_header_is_read_within_its_frame(header: list[int], rest: bytes) -> None:
    found = decode_binary(bytes([3, *header]) + rest, 2)

    if isinstance(found, UserPush):
        assert len(found.payload) == len(rest) - sum(header[:5])


@BOUNDED
@given(refs, refs, words, words, values)
def test_both_serializers_mean_the_same(join_ref: Any, ref: Any, topic: str, event: str, payload: Any) -> None:
    as_object = {"topic": topic, "event": event, "payload": payload, "ref": ref, "join_ref": join_ref}
    one = decode_text(json.dumps(as_object).encode(), 1)
    two = decode_text(json.dumps([join_ref, ref, topic, event, payload]).encode(), 2)

    assert isinstance(one, Frame)
    assert one == two
    assert json.loads(encode_frame(one, 2)) == [join_ref, ref, topic, event, payload]
    assert json.loads(encode_frame(one, 1)) == {"topic": topic, "event": event, "payload": payload, "ref": ref}


@BOUNDED
@given(joins | values)
def test_any_join_is_read_and_its_bindings_come_back(payload: Any) -> None:
    request = read_join(raw(payload))
    echoed = echoed_bindings(request.postgres_changes)

    assert isinstance(request, JoinRequest)
    assert len(read_bindings(request.postgres_changes)) == len(echoed)
    assert all(isinstance(each["id"], int) and each["id"] > 0 for each in echoed)
    assert echoed == echoed_bindings(request.postgres_changes)


@BOUNDED
@given(st.text(max_size=300))
def test_any_text_is_a_topic_or_refused(text: str) -> None:
    try:
        topic = checked_topic(text)
    except InvalidTopicError:
        return
    assert 0 < len(topic.encode("utf-8", "surrogatepass")) <= 255 - len("realtime:")


@BOUNDED
@given(st.from_regex(r"(tenant:)?[a-zA-Z0-9:_.-]{0,40}", fullmatch=True) | st.text(max_size=40))
def test_a_topic_that_names_a_tenant_names_it_back(text: str) -> None:
    try:
        topic = parse_topic(text)
    except InvalidTopicError:
        return
    assert isinstance(topic, Topic)
    assert topic_name(topic.tenant_id, topic.module) == text


def answer_of(draw: st.DrawFn, ask: Ask) -> Any:
    fault = st.just(Fault("away"))
    match ask.question:
        case MayRead():
            return draw(st.builds(Access, reads_broadcast=st.booleans(), reads_presence=st.booleans()) | fault)
        case MayWrite():
            return draw(st.booleans() | fault)
        case Recall():
            return draw(st.just(Recalled()) | fault)
    return Followed()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_session_lives_through_whatever_is_said_and_answered(data: st.DataObject) -> None:
    rules = SessionRules(has_changes=data.draw(st.booleans()), has_log=data.draw(st.booleans()))
    claims = Claims("authenticated", int(NOW.timestamp()) + 600, "acme")
    session = Session(Authorizer(secret="x" * 32), claims, 7, rules)
    open_questions: list[Ask] = []

    def follow(effects: Effects) -> None:
        for effect in effects:
            if isinstance(effect, Ask):
                open_questions.append(effect)
            if isinstance(effect, Send):
                # Whatever is sent can be sent.
                assert json.loads(encode_frame(effect.frame, 1))["topic"] == effect.frame.topic

    for _ in range(data.draw(st.integers(0, 25))):
        if open_questions and data.draw(st.booleans()):
            ask = open_questions.pop(data.draw(st.integers(0, len(open_questions) - 1)))
            follow(session.answer(ask.number, answer_of(data.draw, ask), now=NOW))
        elif data.draw(st.integers(0, 9)) == 0:
            push = UserPush("1", "2", data.draw(topics), data.draw(words), b"{}", True)
            follow(session.receive(push, now=NOW))
        else:
            event = data.draw(events)
            payload = data.draw(joins if event == "phx_join" else values)
            frame = Frame(data.draw(refs), data.draw(refs), data.draw(topics), event, raw(payload))
            follow(session.receive(frame, now=NOW))
        assert len(session.channels) <= 100
    session.close("bye")
    session.lose()
    assert session.channels == {}
