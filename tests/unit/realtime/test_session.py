"""The session as a state machine: a message in, the effects out."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from rowcast.core.codec import decode_json, encode_json
from rowcast.realtime.authorize import Authorizer, Claims, sign_token
from rowcast.realtime.channel_policy import Access
from rowcast.realtime.effects import (
    Answer,
    Ask,
    Effect,
    Follow,
    Followed,
    MayRead,
    MayWrite,
    Publish,
    Recall,
    Recalled,
    Send,
    Subscribe,
    Unsubscribe,
)
from rowcast.realtime.messages import Frame, TopicKey, UserPush
from rowcast.realtime.session import Session
from rowcast.testing.fake_clock import FakeClock

SECRET = "a secret for tests that has more than 32 bytes"
CLOCK = FakeClock()
NOW = CLOCK.now()
LATER = int(NOW.timestamp()) + 600
PRIVATE = {"config": {"private": True}}
READS = Access(reads_broadcast=True, reads_presence=True)
ALLOWED: Mapping[type, Answer] = {MayRead: READS, MayWrite: True, Follow: Followed(), Recall: Recalled()}
PUSH = {"type": "broadcast", "event": "e", "payload": {"a": 1}}


def session(*, role: str = "authenticated", tenant_id: str | None = "acme", expires_at_s: int = LATER) -> Session:
    return Session(Authorizer(secret=SECRET), Claims(role, expires_at_s, tenant_id), number=7)


def token(*, tenant_id: str = "acme", seconds: int = 600, secret: str = SECRET) -> str:
    exp = int(NOW.timestamp()) + seconds
    return sign_token({"role": "authenticated", "tenant_id": tenant_id, "exp": exp}, secret)


def heard(to: Session, message: Frame | UserPush) -> list[Effect]:
    """Give what follows, questions answered as long as any are asked."""
    return settled(to, list(to.receive(message, now=NOW)))


def settled(to: Session, effects: list[Effect], answers: Mapping[type, Answer] = ALLOWED) -> list[Effect]:
    while True:
        asked = next((effect for effect in effects if isinstance(effect, Ask)), None)
        if asked is None:
            return effects
        effects.remove(asked)
        effects += to.answer(asked.number, answers[type(asked.question)], now=NOW)


def say(
    to: Session, event: str, payload: object = None, *, topic: str = "realtime:r", ref: Any = "2", join_ref: Any = "1"
) -> list[Effect]:
    return heard(to, frame(event, payload, topic=topic, ref=ref, join_ref=join_ref))


def frame(
    event: str, payload: object = None, *, topic: str = "realtime:r", ref: Any = "2", join_ref: Any = "1"
) -> Frame:
    return Frame(join_ref, ref, topic, event, msgspec.Raw(encode_json(payload if payload is not None else {})))


def join(to: Session, payload: object = None, *, ref: str = "1", topic: str = "realtime:r") -> Sequence[Effect]:
    return say(to, "phx_join", payload, topic=topic, ref=ref, join_ref=ref)


def joined(payload: object = None, **who: Any) -> Session:
    made = session(**who)
    join(made, payload)
    return made


def shown(effect: Effect) -> tuple[Any, Any, str, str, Any]:
    assert isinstance(effect, Send), effect
    frame = effect.frame
    return frame.join_ref, frame.ref, frame.topic, frame.event, decode_json(bytes(frame.payload))


def ok(response: object = None) -> dict[str, object]:
    return {"status": "ok", "response": response or {}}


def refusal(effects: Sequence[Effect]) -> str:
    (effect,) = effects
    assert shown(effect)[3] == "phx_reply"
    reason: str = shown(effect)[4]["response"]["reason"]
    return reason


def test_a_join_subscribes_and_then_replies() -> None:
    subscribe, reply = join(session())

    assert subscribe == Subscribe(TopicKey("acme", False, "r"))
    assert shown(reply) == ("1", "1", "realtime:r", "phx_reply", ok({"postgres_changes": []}))


def test_a_public_topic_of_a_socket_without_a_tenant_is_the_default_tenants() -> None:
    subscribe, _ = join(session(tenant_id=None, role="anon"))

    assert subscribe == Subscribe(TopicKey("default", False, "r"))


def test_a_private_join_takes_the_tenant_of_its_own_token() -> None:
    subscribe, _ = join(
        session(tenant_id=None, role="anon"), PRIVATE | {"access_token": token()}, topic="realtime:orders:1"
    )

    assert subscribe == Subscribe(TopicKey("acme", True, "orders:1"))


@pytest.mark.parametrize(
    ("topic", "payload", "reason"),
    [
        ("realtime:", {}, "TopicNameRequired: You must provide a topic name"),
        ("r", {}, "unmatched topic"),
        ("", {}, "unmatched topic"),
        ("phoenix", {}, "unmatched topic"),
        ("realtime:r", {"access_token": token(seconds=-9)}, "InvalidJWTToken: Token has expired 9 seconds ago"),
        ("realtime:r", {"access_token": "x"}, "MalformedJWT: The token provided is not a valid JWT"),
        ("realtime:r", {"access_token": token(secret="y" * 32)}, "JwtSignatureError: Failed to validate JWT signature"),
    ],
)
def test_a_join_is_refused_with_the_exact_reason_after_a_while(topic: str, payload: object, reason: str) -> None:
    refused = session()
    effects = join(refused, payload, topic=topic)

    assert refusal(effects) == reason
    assert isinstance(effects[0], Send)
    assert effects[0].delay_s == 5.0
    assert refused.channels == {}


@pytest.mark.parametrize("topic", ["a\x00", "x" * 247, "a\nb"])
def test_a_topic_that_cannot_be_framed_is_refused(topic: str) -> None:
    assert refusal(join(session(), topic=f"realtime:{topic}")).startswith("InvalidTopic: ")


def test_a_socket_whose_own_token_has_run_out_joins_nothing() -> None:
    assert (
        refusal(join(session(expires_at_s=int(NOW.timestamp())))) == "InvalidJWTToken: Token has expired 0 seconds ago"
    )


def test_a_publishable_key_leaves_the_socket_its_own_token() -> None:
    subscribe, _ = join(session(), PRIVATE | {"access_token": "sb_publishable_1"})

    assert subscribe == Subscribe(TopicKey("acme", True, "r"))


def test_joining_again_closes_the_old_channel_first_with_its_own_join_ref() -> None:
    twice = joined()
    effects = join(twice, ref="5")

    assert effects[0] == Unsubscribe(TopicKey("acme", False, "r"))
    assert shown(effects[1]) == ("1", "1", "realtime:r", "phx_close", {})
    assert effects[2] == Subscribe(TopicKey("acme", False, "r"))
    assert shown(effects[3])[:2] == ("5", "5")


def test_a_second_join_that_is_refused_still_ends_the_first() -> None:
    twice = joined(PRIVATE)
    effects = join(twice, PRIVATE | {"access_token": "x"}, ref="5")

    assert effects[0] == Unsubscribe(TopicKey("acme", True, "r"))
    assert twice.channels == {}


def test_the_hundred_and_first_channel_is_refused_and_a_rejoin_is_not() -> None:
    full = session()
    for number in range(100):
        join(full, topic=f"realtime:{number}")

    assert refusal(join(full, topic="realtime:100")) == "ChannelRateLimitReached: Too many channels"
    assert len(join(full, topic="realtime:1")) == 4


def test_leaving_is_answered_and_then_the_channel_is_closed() -> None:
    effects = say(joined(), "phx_leave")

    assert effects[0] == Unsubscribe(TopicKey("acme", False, "r"))
    assert shown(effects[1]) == ("1", "2", "realtime:r", "phx_reply", ok())
    assert shown(effects[2]) == ("1", "1", "realtime:r", "phx_close", {})


def test_a_leave_without_a_join_ref_is_meant_for_the_channel_as_in_version_1() -> None:
    assert len(say(joined(), "phx_leave", join_ref=None)) == 3


def test_the_leave_of_an_earlier_join_is_answered_and_closes_nothing() -> None:
    stays = joined()
    effects = say(stays, "phx_leave", join_ref="0")

    assert [shown(effect)[3:] for effect in effects] == [("phx_reply", ok())]
    assert "realtime:r" in stays.channels


def test_leaving_what_is_not_joined_is_fine() -> None:
    assert shown(say(session(), "phx_leave")[0])[4] == ok()


def test_anything_else_about_a_topic_that_is_not_joined_is_unmatched() -> None:
    for event in ("broadcast", "presence", "access_token", "phx_reply", "x"):
        assert refusal(say(session(), event)) == "unmatched topic"


@pytest.mark.parametrize("ref", ["3", None, 4])
def test_a_heartbeat_is_answered_with_its_ref(ref: Any) -> None:
    effects = say(session(), "heartbeat", topic="phoenix", ref=ref, join_ref=None)

    assert shown(effects[0]) == (None, ref, "phoenix", "phx_reply", ok())


@pytest.mark.parametrize(
    "event", ["phx_reply", "phx_close", "phx_error", "system", "presence_diff", "postgres_changes", "INSERT"]
)
def test_events_that_a_client_has_no_say_in_do_nothing(event: str) -> None:
    assert list(say(joined(), event, PUSH)) == []


def test_a_push_is_handed_on_as_it_was_sent_and_not_to_its_sender() -> None:
    (effect,) = say(joined(), "broadcast", PUSH)

    assert isinstance(effect, Publish)
    assert decode_json(effect.broadcast.payload) == PUSH
    assert (effect.broadcast.form, effect.broadcast.sender, effect.accepted) == ("verbatim", 7, None)


def test_self_and_ack_are_heeded() -> None:
    (effect,) = say(joined({"config": {"broadcast": {"self": True, "ack": True}}}), "broadcast", PUSH)

    assert isinstance(effect, Publish)
    assert effect.broadcast.sender == 0
    assert effect.accepted is not None
    assert shown(Send(effect.accepted)) == ("1", "2", "realtime:r", "phx_reply", ok())
    assert effect.refused is not None
    assert shown(Send(effect.refused))[4]["status"] == "error"


@pytest.mark.parametrize("join_ref", ["0", None, "99"])
def test_a_push_with_a_stale_join_ref_counts(join_ref: Any) -> None:
    assert isinstance(say(joined(), "broadcast", PUSH, join_ref=join_ref)[0], Publish)


@pytest.mark.parametrize("payload", [[1], "text", 7])
def test_a_push_that_is_no_object_is_dropped(payload: object) -> None:
    assert list(say(joined(), "broadcast", payload)) == []


@pytest.mark.parametrize(("is_json", "form"), [(True, "user"), (False, "binary")])
def test_a_binary_push_keeps_its_event_and_payload(is_json: bool, form: str) -> None:
    push = UserPush("1", "2", "realtime:r", "e", b"{}", is_json)
    (effect,) = heard(joined(), push)

    assert isinstance(effect, Publish)
    assert (effect.broadcast.event, effect.broadcast.payload, effect.broadcast.form) == ("e", b"{}", form)


def test_a_binary_push_to_a_topic_that_is_not_joined_is_unmatched() -> None:
    assert refusal(session().receive(UserPush("1", "2", "realtime:r", "e", b"{}", True), now=NOW)) == "unmatched topic"


def test_a_payload_over_the_limit_is_refused_where_an_answer_is_wanted() -> None:
    big = UserPush("1", "2", "realtime:r", "e", b"x" * 3_000_501, False)

    assert refusal(joined({"config": {"broadcast": {"ack": True}}}).receive(big, now=NOW)) == "payload_size_exceeded"
    assert list(joined().receive(big, now=NOW)) == []


def test_a_fresh_token_takes_the_place_of_the_old_one_silently() -> None:
    fresh = joined(PRIVATE)
    effects = say(fresh, "access_token", {"access_token": token(seconds=9000)})

    assert list(effects) == []
    assert fresh.channels["realtime:r"].claims.expires_at_s == int(NOW.timestamp()) + 9000


@pytest.mark.parametrize("value", [None, "", "sb_x", 7])
def test_what_is_no_token_is_ignored(value: object) -> None:
    assert list(say(joined(PRIVATE), "access_token", {"access_token": value})) == []


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (token(seconds=-3), "Token has expired 3 seconds ago"),
        (token(secret="z" * 32), ":signature_error"),
        ("junk", "The token provided is not a valid JWT"),
        (token(tenant_id="globex"), "You no longer have permission to read from this Channel topic: r"),
    ],
)
def test_a_bad_token_ends_the_channel_with_the_exact_text(given: str, text: str) -> None:
    ended = joined(PRIVATE)
    unsubscribe, system, close = say(ended, "access_token", {"access_token": given})

    assert unsubscribe == Unsubscribe(TopicKey("acme", True, "r"))
    assert shown(system) == (
        "1",
        None,
        "realtime:r",
        "system",
        {"extension": "system", "status": "error", "message": text, "channel": "r"},
    )
    assert shown(close) == ("1", "1", "realtime:r", "phx_close", {})
    assert ended.channels == {}


def test_a_channel_ends_when_its_token_runs_out_and_its_neighbour_stays() -> None:
    both = joined()
    join(both, {"access_token": token(seconds=10)}, topic="realtime:short")
    effects = both.expire(now=FakeClock(NOW).tick(10))

    assert effects[0] == Unsubscribe(TopicKey("acme", False, "short"))
    assert list(both.channels) == ["realtime:r"]


def test_the_end_of_the_server_is_told_without_ending_the_channels() -> None:
    (effect,) = joined().close("Server requested disconnect")

    assert shown(effect)[3:] == (
        "system",
        {"extension": "system", "status": "ok", "message": "Server requested disconnect", "channel": "r"},
    )


def test_changes_are_echoed_with_ids_and_then_refused_by_a_system_message() -> None:
    change = {"event": "INSERT", "schema": "public", "table": "x"}
    effects = join(session(), {"config": {"postgres_changes": [change]}})
    (echoed,) = shown(effects[1])[4]["response"]["postgres_changes"]

    assert {key: echoed[key] for key in change} == change
    assert echoed["id"] > 0
    assert shown(effects[2])[4]["extension"] == "postgres_changes"
    assert "[event: INSERT, schema: public, table: x, filter: nil]" in shown(effects[2])[4]["message"]


def test_a_join_that_asks_for_a_million_changes_is_refused_in_one_message() -> None:
    assert "TooManyBindings" in refusal(join(session(), {"config": {"postgres_changes": [{}] * 101}}))
    assert len(join(session(), {"config": {"postgres_changes": [{}] * 100}})) == 102


def test_presence_is_answered_with_an_error_and_not_with_silence() -> None:
    assert shown(say(joined(), "presence", {"event": "track", "payload": {}})[0])[4]["status"] == "error"
