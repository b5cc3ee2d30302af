"""The session as a state machine: a message in, the effects out."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from rowcast.core.codec import decode_json, encode_json
from rowcast.realtime.authorize import Authorizer, Claims, sign_token
from rowcast.realtime.channel_policy import Access, Fault
from rowcast.realtime.effects import (
    Answer,
    Ask,
    Disconnect,
    Effect,
    Follow,
    Followed,
    MayRead,
    MayWrite,
    Publish,
    Question,
    Recall,
    Recalled,
    Release,
    ReleaseChanges,
    Send,
    ShowPresences,
    Subscribe,
    Track,
    Unfollow,
    Unsubscribe,
    Untrack,
)
from rowcast.realtime.limits import Meter, RealtimeLimits
from rowcast.realtime.messages import Frame, TopicKey, UserPush
from rowcast.realtime.session import Session, SessionRules
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
    return say(to, "phx_join", {"config": {}} if payload is None else payload, topic=topic, ref=ref, join_ref=ref)


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


OWN = {"config": {"presence": {"key": "ann", "enabled": True}}}
TRACK = {"type": "presence", "event": "track", "payload": {"a": 1}}
ROOM = TopicKey("acme", True, "r")


def asks(effects: Sequence[Effect]) -> list[Question]:
    return [effect.question for effect in effects if isinstance(effect, Ask)]


def number_of(effects: Sequence[Effect]) -> int:
    return next(effect.number for effect in effects if isinstance(effect, Ask))


def test_a_private_join_asks_the_policy_and_says_nothing_meanwhile() -> None:
    (effect,) = session().receive(frame("phx_join", PRIVATE, ref="1"), now=NOW)

    assert isinstance(effect, Ask)
    assert isinstance(effect.question, MayRead)
    assert (effect.question.topic, effect.question.wants_presence) == ("r", False)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Access(), "Unauthorized: You do not have permissions to read from this Channel topic: r"),
        (
            Fault("Realtime was unable to connect to the project database"),
            "Realtime was unable to connect to the project database",
        ),
    ],
)
def test_a_policy_that_denies_or_cannot_say_refuses_the_join(answer: Answer, reason: str) -> None:
    refused = session()
    asked = refused.receive(frame("phx_join", PRIVATE, ref="1"), now=NOW)
    effects = refused.answer(number_of(asked), answer, now=NOW)

    assert refusal(effects) == reason
    assert refused.channels == {}


@pytest.mark.parametrize(
    ("access", "hears"),
    [
        (Access(reads_broadcast=True), (True, False)),
        (Access(reads_presence=True), (False, True)),
        (READS, (True, True)),
    ],
)
def test_a_channel_hears_what_it_may_read_and_nothing_else(access: Access, hears: tuple[bool, bool]) -> None:
    half = session()
    asked = half.receive(frame("phx_join", PRIVATE, ref="1"), now=NOW)
    subscribe = half.answer(number_of(asked), access, now=NOW)[0]

    assert isinstance(subscribe, Subscribe)
    assert (subscribe.hears_broadcasts, subscribe.hears_presences) == hears


def test_what_is_sent_while_the_join_is_asked_about_waits_and_leaves_do_not() -> None:
    waits = session()
    asked = waits.receive(
        frame("phx_join", {"config": {"private": True, "broadcast": {"ack": True}}}, ref="1"), now=NOW
    )
    assert waits.receive(frame("broadcast", PUSH), now=NOW) == ()
    effects = settled(waits, list(waits.answer(number_of(asked), READS, now=NOW)))
    assert [type(effect) for effect in effects] == [Subscribe, Send, Publish]

    leaves = session()
    asked = leaves.receive(frame("phx_join", PRIVATE, ref="1"), now=NOW)
    assert [shown(effect)[3] for effect in leaves.receive(frame("phx_leave"), now=NOW)] == ["phx_reply", "phx_close"]
    assert leaves.answer(number_of(asked), READS, now=NOW) == ()


def test_more_than_may_wait_is_refused() -> None:
    full = session()
    full.receive(frame("phx_join", PRIVATE, ref="1"), now=NOW)
    for _ in range(64):
        assert full.receive(frame("broadcast", PUSH), now=NOW) == ()

    assert refusal(full.receive(frame("broadcast", PUSH), now=NOW)) == "Too many messages per second"


def test_joining_again_while_the_first_join_is_asked_about_lets_the_second_stand() -> None:
    twice = session()
    first = twice.receive(frame("phx_join", PRIVATE, ref="1", join_ref="1"), now=NOW)
    second = twice.receive(frame("phx_join", PRIVATE, ref="5", join_ref="5"), now=NOW)

    assert twice.answer(number_of(first), READS, now=NOW) == ()
    assert shown(second[0])[3] == "phx_close"
    assert shown(twice.answer(number_of(second), READS, now=NOW)[1])[:2] == ("5", "5")


def test_the_right_to_write_is_asked_at_the_first_broadcast_and_then_known_until_the_next_token() -> None:
    writes = joined(PRIVATE)
    first = writes.receive(frame("broadcast", PUSH), now=NOW)
    assert [type(question) for question in asks(first)] == [MayWrite]
    assert isinstance(writes.answer(number_of(first), True, now=NOW)[0], Publish)
    assert isinstance(writes.receive(frame("broadcast", PUSH), now=NOW)[0], Publish)
    say(writes, "access_token", {"access_token": token(seconds=9000)})
    assert [type(question) for question in asks(writes.receive(frame("broadcast", PUSH), now=NOW))] == [MayWrite]


def test_a_broadcast_that_is_not_allowed_is_dropped_in_silence_even_with_ack() -> None:
    quiet = joined({"config": {"private": True, "broadcast": {"ack": True}}})
    asked = quiet.receive(frame("broadcast", PUSH), now=NOW)

    assert list(quiet.answer(number_of(asked), False, now=NOW)) == []
    assert list(quiet.receive(frame("broadcast", PUSH), now=NOW)) == []


def test_a_right_that_could_not_be_found_out_is_told_and_asked_again() -> None:
    unsure = joined({"config": {"private": True, "broadcast": {"ack": True}}})
    asked = unsure.receive(frame("broadcast", PUSH), now=NOW)

    assert refusal(unsure.answer(number_of(asked), Fault("why"), now=NOW)) == "why"
    assert asks(unsure.receive(frame("broadcast", PUSH), now=NOW))


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (Access(), "You no longer have permission to read from this Channel topic: r"),
        (
            Fault("Realtime was unable to connect to the project database"),
            "Realtime was unable to connect to the project database",
        ),
    ],
)
def test_a_fresh_token_that_may_not_read_any_more_ends_the_channel(answer: Answer, text: str) -> None:
    ends = joined(PRIVATE)
    asked = ends.receive(frame("access_token", {"access_token": token(seconds=9000)}), now=NOW)
    unsubscribe, system, close = ends.answer(number_of(asked), answer, now=NOW)

    assert unsubscribe == Unsubscribe(ROOM)
    assert shown(system)[4]["message"] == text
    assert shown(close)[3] == "phx_close"


def test_a_fresh_token_that_may_read_less_hears_less() -> None:
    less = joined(PRIVATE)
    asked = less.receive(frame("access_token", {"access_token": token(seconds=9000)}), now=NOW)

    assert less.answer(number_of(asked), Access(reads_broadcast=True), now=NOW) == [
        Unsubscribe(ROOM),
        Subscribe(ROOM, hears_presences=False),
    ]


def test_a_token_about_to_run_out_is_told_once_and_a_fresh_one_ends_the_warning() -> None:
    warned = joined(PRIVATE | {"access_token": token(seconds=50)})
    first, second = warned.expire(now=NOW), warned.expire(now=NOW)

    assert [shown(effect)[4]["message"] for effect in first] == ["Token expires in 50 seconds"]
    assert shown(first[0])[4]["status"] == "ok"
    assert list(second) == []
    say(warned, "access_token", {"access_token": token(seconds=9000)})
    assert list(warned.expire(now=FakeClock(NOW).tick(60))) == []


CHANGE = {"event": "INSERT", "schema": "public", "table": "x"}
CHANGES = {"config": {"postgres_changes": [CHANGE]}}


def test_changes_are_followed_before_the_reply_and_after_a_fresh_token_without_waiting() -> None:
    follows = session()
    follows.rules = SessionRules(has_changes=True)
    asked = follows.receive(frame("phx_join", CHANGES, ref="1"), now=NOW)
    assert [type(question) for question in asks(asked)] == [Follow]
    effects = follows.answer(number_of(asked), Followed(), now=NOW)
    assert [type(effect) for effect in effects] == [Subscribe, Send, ReleaseChanges]
    renewed = follows.receive(frame("access_token", {"access_token": token()}), now=NOW)
    assert [type(question) for question in asks(renewed)] == [Follow]
    assert isinstance(follows.receive(frame("broadcast", PUSH), now=NOW)[0], Publish)
    assert [type(effect) for effect in say(follows, "phx_leave")] == [Unsubscribe, Unfollow, Send, Send]


def test_a_session_that_recovers_hears_first_and_looks_back_then() -> None:
    recovers = session()
    recovers.rules = SessionRules(has_log=True)
    config = {"config": {"private": True, "broadcast": {"recover": {"session": "s"}}}}
    asked = recovers.receive(frame("phx_join", config, ref="1"), now=NOW)
    looks = recovers.answer(number_of(asked), READS, now=NOW)

    assert looks[0] == Subscribe(ROOM, is_held=True, session="s")
    assert asks(looks) == [Recall(ROOM, "s", None, 25)]
    done = recovers.answer(number_of(looks), Recalled(), now=NOW)
    assert [type(effect) for effect in done] == [Send, Release, Send]


def test_a_log_that_fails_refuses_the_join_and_leaves_nothing_behind() -> None:
    recovers = session()
    recovers.rules = SessionRules(has_log=True)
    config = {"config": {"private": True, "broadcast": {"recover": {"session": "s"}}}}
    asked = recovers.receive(frame("phx_join", config, ref="1"), now=NOW)
    looks = recovers.answer(number_of(asked), READS, now=NOW)
    unsubscribe, refused = recovers.answer(number_of(looks), Fault("UnableToReplayMessages: why"), now=NOW)

    assert unsubscribe == Unsubscribe(ROOM)
    assert refusal([refused]) == "UnableToReplayMessages: why"


def test_presences_are_shown_after_the_join_and_a_track_is_answered() -> None:
    effects = join(session(), OWN)
    tracked = say(joined(OWN), "presence", TRACK)

    assert effects[2] == ShowPresences(TopicKey("acme", False, "r"), "1")
    assert tracked[0] == Track(TopicKey("acme", False, "r"), "ann", b'{"a":1}')
    assert shown(tracked[1])[4] == ok()


def test_a_track_without_having_asked_for_presences_switches_them_on() -> None:
    silent = joined(PRIVATE)
    asked = silent.receive(frame("presence", TRACK), now=NOW)
    effects = settled(silent, list(asked))

    assert asks(asked) == [MayRead(silent.claims, "r", wants_presence=True)]
    assert [type(effect) for effect in effects] == [ShowPresences, Track, Send]


def test_who_may_not_track_is_refused_and_who_may_is_asked_once() -> None:
    refused = joined({"config": {"private": True, "presence": {"enabled": True}}})
    asked = refused.receive(frame("presence", TRACK), now=NOW)
    (reply,) = refused.answer(number_of(asked), False, now=NOW)

    assert asks(asked) == [MayWrite(refused.claims, "r", "presence")]
    assert shown(reply)[4] == {"status": "error", "response": {}}
    assert shown(refused.receive(frame("presence", TRACK), now=NOW)[0])[4]["status"] == "error"


def test_two_channels_without_a_name_of_their_own_get_different_ones() -> None:
    both = session()
    for topic in ("realtime:a", "realtime:b"):
        join(both, topic=topic)
    tracked = [say(both, "presence", TRACK, topic=topic)[0] for topic in ("realtime:a", "realtime:b")]

    assert isinstance(tracked[0], Track)
    assert isinstance(tracked[1], Track)
    assert tracked[0].name != tracked[1].name


@pytest.mark.parametrize(
    ("push", "response"),
    [
        ({"event": "track", "payload": [1]}, {"reason": "Presence track payload must be a map"}),
        ({"event": "dance"}, {}),
        ({}, {}),
    ],
)
def test_a_presence_that_is_none_is_answered_with_an_error(push: object, response: object) -> None:
    (reply,) = say(joined(OWN), "presence", push)

    assert shown(reply)[4] == {"status": "error", "response": response}


def test_a_presence_ends_with_the_channel_at_once_and_with_the_socket_a_little_later() -> None:
    key = TopicKey("acme", False, "r")
    leaves, lost, again = joined(OWN), joined(OWN), joined(OWN)
    for tracked in (leaves, lost, again):
        say(tracked, "presence", TRACK)

    assert Untrack(key) in say(leaves, "phx_leave")
    assert Untrack(key, is_at_once=False) in lost.lose()
    assert Untrack(key, is_at_once=False) in join(again, OWN, ref="5")
    assert lost.channels == {}


def test_untracking_is_answered_whether_anything_was_tracked_or_not() -> None:
    never = joined(OWN)
    tracked = joined(OWN)
    say(tracked, "presence", TRACK)

    assert [type(effect) for effect in say(never, "presence", {"event": "untrack", "payload": {}})] == [Send]
    assert [type(effect) for effect in say(tracked, "presence", {"event": "UNTRACK"})] == [Untrack, Send]


def test_a_presence_that_is_too_big_ends_the_channel() -> None:
    big = say(joined(OWN), "presence", {"event": "track", "payload": {"a": "x" * 70_000}})

    assert shown(big[-2])[4]["message"] == "Track message size exceeded"
    assert shown(big[-1])[3] == "phx_close"


def test_the_sixth_presence_call_is_warned_of_and_the_channel_lives_on() -> None:
    calls = joined(OWN)
    for number in range(5):
        say(calls, "presence", {"event": "track", "payload": {"n": number}})
    refused, warned = say(calls, "presence", TRACK)

    assert refusal([refused]) == "Client presence rate limit exceeded"
    assert shown(warned)[4]["status"] == "ok"
    assert shown(warned)[4]["message"].startswith("Client presence rate limit exceeded: ")
    assert "realtime:r" in calls.channels


def limited(limits: RealtimeLimits, payload: object = None) -> Session:
    made = session()
    made.meter = Meter(limits)
    join(made, payload)
    return made


def test_too_many_messages_are_warned_of_once_then_dropped_and_after_long_excess_closed() -> None:
    noisy = limited(RealtimeLimits(events_per_s=0.1), {"config": {"broadcast": {"ack": True}}})
    clock = FakeClock(NOW)
    assert isinstance(say(noisy, "broadcast", PUSH)[0], Publish)
    refused, warned = say(noisy, "broadcast", PUSH)
    heard: list[Effect] = []
    for _ in range(400):
        heard += noisy.receive(frame("broadcast", PUSH), now=clock.tick(0.05))
        if "realtime:r" not in noisy.channels:
            break
    told = [shown(effect)[4].get("message") for effect in heard if isinstance(effect, Send)]

    assert refusal([refused]) == "Too many messages per second"
    assert shown(warned)[4]["message"].startswith("Too many messages per second: ")
    assert told.count("Too many messages per second") == 1
    assert shown(heard[-1])[3] == "phx_close"
    assert clock.now().timestamp() - NOW.timestamp() >= 10


def test_too_many_joins_are_refused_and_a_socket_that_goes_on_is_closed() -> None:
    storm = limited(RealtimeLimits(joins_per_s=0.1))
    refused = [join(storm, topic=f"realtime:{number}") for number in range(20)]

    assert refusal(refused[0]) == "ClientJoinRateLimitReached: Too many joins per second"
    assert refused[-1][-1] == Disconnect(1001, "ClientJoinRateLimitReached: Too many joins per second")


def test_a_server_for_private_channels_alone_refuses_public_ones() -> None:
    private = session()
    private.meter = Meter(RealtimeLimits(is_private_only=True))

    assert refusal(join(private)) == "PrivateOnly: This project only allows private channels"
    assert len(join(private, PRIVATE)) == 2
