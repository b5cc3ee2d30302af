"""The way of a join from its first question to its reply, and what a changed access brings with it. Pure."""

import msgspec

from rowcast.realtime import replies
from rowcast.realtime.channel import Channel
from rowcast.realtime.channel_policy import Access
from rowcast.realtime.effects import (
    Effect,
    Effects,
    Follow,
    MayRead,
    Question,
    Recall,
    Recalled,
    Release,
    ReleaseChanges,
    Send,
    ShowPresences,
    Subscribe,
    Unsubscribe,
)
from rowcast.realtime.join import REPLAY_LIMIT, JoinRequest, Replay, echoed_bindings, read_bindings, read_join
from rowcast.realtime.limits import RealtimeLimits
from rowcast.realtime.messages import Broadcast, Frame

_LOST = "Not everything could be recovered: fetch the present state"


def asked_by(payload: msgspec.Raw, name: str, limits: RealtimeLimits) -> JoinRequest:
    """Give what a join of the channel `name` asks for; presences too where its tenant has them everywhere."""
    request = read_join(payload, name=name)
    return msgspec.structs.replace(request, wants_presence=True) if limits.is_presence_on else request


def next_step(channel: Channel, *, has_changes: bool, has_log: bool) -> tuple[Effects, Question] | None:
    """Give the next question of a join, and what goes before it; None when everything is known."""
    request = channel.request
    if channel.access is None:
        return (), MayRead(channel.claims, channel.key.topic, request.wants_presence)
    if request.postgres_changes and has_changes and not channel.is_followed:
        return (), msgspec.structs.replace(following(channel), wait_ms=channel.request.changes_wait_ms)
    if channel.recalled is None and has_log and channel.access.reads_broadcast and _looks_back(channel):
        # First hear, then look back: what is told between the two is held, and nothing falls into the gap.
        channel.is_held = True
        return (_subscription(channel),), _recall(channel)
    return None


def following(channel: Channel) -> Follow:
    """Give the question that begins to tell the channel of changed rows, or begins anew after a fresh token."""
    request = channel.request
    return Follow(
        channel.number,
        channel.topic,
        channel.join_ref,
        read_bindings(request.postgres_changes),
        channel.claims,
        is_legacy=request.is_legacy,
    )


def finish(channel: Channel, *, has_changes: bool) -> Effects:
    """Give what a join comes to: the reply, who is there, what was missed, and what the client should know."""
    channel.is_joined = True
    effects: list[Effect] = [] if channel.is_held else [_subscription(channel)]
    recalled = channel.recalled or Recalled()
    effects.append(Send(_reply(channel, recalled)))
    effects += shown_presences(channel)
    if channel.is_held:
        effects.append(Release(channel.key, channel.join_ref, _told_again(recalled)))
    if channel.is_followed:
        effects.append(ReleaseChanges(channel.number))
    if channel.request.recovers is not None:
        text = _recovery_text(channel, recalled)
        effects.append(Send(replies.system(channel.topic, channel.join_ref, text, status="ok", extension="recovery")))
    if channel.request.wants_ready:
        # What the database tells is kept until it is read: from the reply on nothing of it is missed.
        effects.append(Send(replies.system(channel.topic, channel.join_ref, replies.REPLICATION_READY, status="ok")))
    if not has_changes:
        for binding in channel.request.postgres_changes:
            effects.append(Send(replies.changes_refused(channel.topic, channel.join_ref, binding)))
    channel.recalled = None
    return effects


def changed_access(channel: Channel, before: Access | None) -> Effects:
    """Give what follows when a joined channel may hear something else than before."""
    effects: list[Effect] = []
    if channel.access != before:
        effects += (Unsubscribe(channel.key), _subscription(channel))
        if channel.is_held:
            effects.append(Release(channel.key, channel.join_ref))
    return effects + shown_presences(channel)


def shown_presences(channel: Channel) -> list[Effect]:
    """Give the wish to see who is there: once for each channel."""
    is_due = channel.request.wants_presence and not channel.shows_presences
    if not is_due or channel.access is None or not channel.access.reads_presence:
        return []
    channel.shows_presences = True
    return [ShowPresences(channel.key, channel.join_ref)]


def _subscription(channel: Channel) -> Subscribe:
    access = channel.access or Access()
    return Subscribe(
        channel.key,
        hears_broadcasts=access.reads_broadcast,
        hears_presences=access.reads_presence,
        is_held=channel.is_held,
        session=channel.request.recovers if channel.is_held else None,
    )


def _looks_back(channel: Channel) -> bool:
    request = channel.request
    return channel.key.is_private and (request.recovers is not None or request.replay is not None)


def _recall(channel: Channel) -> Recall:
    request = channel.request
    replay = request.replay if isinstance(request.replay, Replay) else None
    since, limit = (replay.since, replay.limit) if replay else (None, REPLAY_LIMIT)
    return Recall(channel.key, request.recovers, since, limit)


def _told_again(recalled: Recalled) -> tuple[Broadcast, ...]:
    """A session that is known gets what it has missed; a replay is for whoever comes for the first time."""
    return recalled.replayed if recalled.missed is None else recalled.missed.broadcasts


def _reply(channel: Channel, recalled: Recalled) -> Frame:
    response: dict[str, object] = {"postgres_changes": echoed_bindings(channel.request.postgres_changes)}
    if channel.request.recovers is not None:
        response["recovery"] = _recovery(channel, recalled)
    frame = Frame(channel.join_ref, channel.ref, channel.topic, "phx_join")
    return replies.reply(frame, "ok", response)


def _recovery(channel: Channel, recalled: Recalled) -> dict[str, object]:
    missed = recalled.missed
    replayed = len(missed.broadcasts) if missed else 0
    return {"session": channel.request.recovers, "status": _recovery_status(channel, recalled), "replayed": replayed}


def _recovery_status(channel: Channel, recalled: Recalled) -> str:
    if not channel.is_held:
        return "unavailable"
    if recalled.missed is None:
        return "new"
    return "recovered" if recalled.missed.is_whole else "truncated"


def _recovery_text(channel: Channel, recalled: Recalled) -> str:
    match _recovery_status(channel, recalled):
        case "new":
            return "Nothing is lost from here on"
        case "recovered":
            return f"Recovered {len(recalled.missed.broadcasts if recalled.missed else ())} messages"
        case "truncated":
            return _LOST
    return "This channel cannot be recovered: only private channels can, where the server keeps a log"


def with_presence(channel: Channel) -> None:
    """Let a channel that tracks without having asked for presences have them."""
    channel.request = msgspec.structs.replace(channel.request, wants_presence=True)
