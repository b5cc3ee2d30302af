"""The way of a join: what is asked, in which order, and what it comes to."""

from datetime import UTC, datetime

import msgspec

from rowcast.core.codec import decode_json
from rowcast.realtime.authorize import Claims
from rowcast.realtime.channel import Channel
from rowcast.realtime.channel_log import Missed
from rowcast.realtime.channel_policy import Access
from rowcast.realtime.effects import (
    Effect,
    Follow,
    MayRead,
    Recall,
    Recalled,
    Release,
    ReleaseChanges,
    Send,
    ShowPresences,
    Subscribe,
    Unsubscribe,
)
from rowcast.realtime.join import JoinRequest, Replay
from rowcast.realtime.joining import changed_access, finish, next_step, shown_presences, with_presence
from rowcast.realtime.messages import Broadcast, TopicKey

ALL = Access(reads_broadcast=True, reads_presence=True)
KEY = TopicKey("acme", True, "r")
SINCE = datetime(2026, 1, 1, tzinfo=UTC)
CHANGE: dict[str, object] = {"event": "*", "schema": "public", "table": "x"}
TOLD = Broadcast("acme", True, "r", "e", b"{}", b'{"id":"1","replayed":true}')


def channel(request: JoinRequest, access: Access | None = ALL) -> Channel:
    made = Channel(1, "realtime:r", "1", "1", KEY, Claims("authenticated", 0), None, request)
    made.access = access
    return made


def response(effects: list[Effect]) -> dict[str, object]:
    (found,) = [effect.frame for effect in effects if isinstance(effect, Send) and effect.frame.event == "phx_reply"]
    response: dict[str, object] = decode_json(bytes(found.payload))["response"]
    return response


def texts(effects: list[Effect]) -> list[str]:
    frames = [effect.frame for effect in effects if isinstance(effect, Send) and effect.frame.event == "system"]
    return [decode_json(bytes(frame.payload))["message"] for frame in frames]


def test_the_policy_is_asked_first_then_the_changes_then_the_log() -> None:
    whole = channel(JoinRequest(is_private=True, postgres_changes=(CHANGE,), recovers="s"), None)

    step = next_step(whole, has_changes=True, has_log=True)
    assert step is not None
    assert isinstance(step[1], MayRead)
    whole.access = ALL
    step = next_step(whole, has_changes=True, has_log=True)
    assert step is not None
    assert isinstance(step[1], Follow)
    whole.is_followed = True
    step = next_step(whole, has_changes=True, has_log=True)
    assert step == ((Subscribe(KEY, is_held=True, session="s"),), Recall(KEY, "s", None, 25))
    whole.recalled = Recalled()
    assert next_step(whole, has_changes=True, has_log=True) is None


def test_nothing_is_asked_of_whom_there_is_not() -> None:
    request = JoinRequest(is_private=True, postgres_changes=(CHANGE,), recovers="s")

    assert next_step(channel(request), has_changes=False, has_log=False) is None


def test_a_channel_that_hears_no_broadcasts_gets_none_from_the_past() -> None:
    request = JoinRequest(is_private=True, replay=Replay(SINCE))

    assert next_step(channel(request, Access(reads_presence=True)), has_changes=False, has_log=True) is None


def test_the_reply_comes_before_presences_and_those_before_what_was_missed() -> None:
    whole = channel(JoinRequest(is_private=True, wants_presence=True, replay=Replay(SINCE, 3)))
    next_step(whole, has_changes=False, has_log=True)
    whole.recalled = Recalled(None, (TOLD,))
    reply, presences, release = finish(whole, has_changes=False)

    assert isinstance(reply, Send)
    assert presences == ShowPresences(KEY, "1")
    assert release == Release(KEY, "1", (TOLD,))


def test_a_known_session_gets_what_it_missed_and_no_replay_besides() -> None:
    whole = channel(JoinRequest(is_private=True, recovers="s", replay=Replay(SINCE)))
    next_step(whole, has_changes=False, has_log=True)
    whole.recalled = Recalled(Missed((TOLD,), is_whole=True), (TOLD, TOLD))
    effects = list(finish(whole, has_changes=False))

    assert response(effects)["recovery"] == {"session": "s", "status": "recovered", "replayed": 1}
    assert Release(KEY, "1", (TOLD,)) in effects
    assert texts(effects) == ["Recovered 1 messages"]


def test_what_cannot_be_recovered_is_told_in_the_reply_and_as_a_message() -> None:
    gone = channel(JoinRequest(is_private=True, recovers="s"))
    next_step(gone, has_changes=False, has_log=True)
    gone.recalled = Recalled(Missed((), is_whole=False))
    truncated = list(finish(gone, has_changes=False))
    unavailable = list(finish(channel(JoinRequest(is_private=True, recovers="s")), has_changes=False))

    assert response(truncated)["recovery"] == {"session": "s", "status": "truncated", "replayed": 0}
    assert texts(truncated) == ["Not everything could be recovered: fetch the present state"]
    assert response(unavailable)["recovery"] == {"session": "s", "status": "unavailable", "replayed": 0}


def test_who_wants_to_know_is_told_that_messages_of_the_database_reach_it() -> None:
    assert texts(list(finish(channel(JoinRequest(wants_ready=True)), has_changes=False))) == [
        "Replication connection established"
    ]


def test_changes_are_released_after_the_reply_where_somebody_tells_them() -> None:
    followed = channel(JoinRequest(postgres_changes=(CHANGE,)))
    followed.is_followed = True
    effects = list(finish(followed, has_changes=True))

    assert effects[-1] == ReleaseChanges(1)
    assert texts(effects) == []


def test_a_changed_access_subscribes_anew_and_an_equal_one_does_nothing() -> None:
    joined = channel(JoinRequest(is_private=True))
    finish(joined, has_changes=False)
    joined.access = Access(reads_broadcast=True)

    assert changed_access(joined, ALL) == [Unsubscribe(KEY), Subscribe(KEY, hears_presences=False)]
    assert changed_access(joined, joined.access) == []


def test_presences_are_shown_once_and_only_to_who_may_see_them() -> None:
    seeing, blind = channel(JoinRequest()), channel(JoinRequest(), Access(reads_broadcast=True))
    with_presence(seeing)
    with_presence(blind)

    assert shown_presences(seeing) == [ShowPresences(KEY, "1")]
    assert shown_presences(seeing) == []
    assert shown_presences(blind) == []
    assert msgspec.structs.asdict(seeing.request)["wants_presence"] is True
