"""One socket's side of the channel protocol: a pure state machine. A message or an answer in, the effects out.

What must be found out elsewhere - what a private channel may hear, what was missed - is an effect `Ask`. Until
the answer comes the channel keeps what its client sends, in order and within bounds; other channels go on.

Source: the channel protocol of Phoenix as the stock clients rely on it.
"""

from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from rowcast.realtime import replies
from rowcast.realtime.admission import Identity, limit_fault, topic_fault, wish_fault
from rowcast.realtime.authorize import Authorizer, Claims, Refusal, expired
from rowcast.realtime.channel import Channel, broadcast_of
from rowcast.realtime.channel_policy import Access, Fault
from rowcast.realtime.effects import (
    Answer,
    Ask,
    Disconnect,
    Effect,
    Effects,
    Follow,
    MayRead,
    MayWrite,
    Publish,
    Question,
    Recalled,
    Send,
    Track,
    Unfollow,
    Unsubscribe,
    Untrack,
)
from rowcast.realtime.join import own_token, read_object
from rowcast.realtime.joining import (
    asked_by,
    changed_access,
    finish,
    following,
    next_step,
    shown_presences,
    with_presence,
)
from rowcast.realtime.limits import Meter, RealtimeLimits
from rowcast.realtime.messages import Frame, UserPush
from rowcast.realtime.presence_push import PresencePush, read_presence

JOIN_REFUSAL_DELAY_S = 5.0
_REFUSED_JOINS = 20
_WARNING = ": what is too much is dropped, and the channel is closed if this goes on"
_ACCESS_ALL = Access(reads_broadcast=True, reads_presence=True)


class SessionRules(msgspec.Struct, frozen=True):
    """What the server behind a session can do, and its patience."""

    has_changes: bool = False
    has_log: bool = False
    expiry_warning_s: float = 60.0


_RULES = SessionRules()


@dataclass(slots=True)
class Session:
    """All channels of one socket. `number` tells it from every other socket on every node."""

    authorizer: Authorizer
    claims: Claims
    number: int
    rules: SessionRules = _RULES
    user: str | None = None
    meter: Meter = field(default_factory=lambda: Meter(RealtimeLimits()))
    channels: dict[str, Channel] = field(default_factory=dict)
    _asked: dict[int, tuple[Channel, Question]] = field(default_factory=dict)
    _last_number: int = 0
    _refused_joins: int = 0

    def receive(self, message: Frame | UserPush, *, now: datetime) -> Effects:
        """Give what follows from a client's message."""
        frame = _frame_of(message)
        if frame.event == "phx_join":
            return self._join(frame, now)
        channel = self.channels.get(frame.topic)
        if channel is None:
            return (Send(replies.reply_outside(frame)),)
        if frame.event == "phx_leave":
            return self._leave(channel, frame)
        if channel.asking is None:
            return self._take(channel, message, now)
        is_kept = channel.put_last(message)
        return () if is_kept else (Send(replies.refusal(frame, replies.TOO_MANY_MESSAGES)),)

    def answer(self, number: int, answer: Answer, *, now: datetime) -> Effects:
        """Give what follows from the answer to a question; nothing where nobody waits for it any longer."""
        asked = self._asked.pop(number, None)
        if asked is None:
            return ()
        channel, question = asked
        channel.asking = None
        effects = list(self._settle(channel, question, answer))
        while self.channels.get(channel.topic) is channel:
            message = channel.take_first()
            if message is None:
                break
            effects += self._take(channel, message, now)
        return effects

    def expire(self, *, now: datetime) -> Effects:
        """Give what follows from the passing of time: tokens that are about to run out, or have."""
        effects: list[Effect] = []
        for channel in [channel for channel in self.channels.values() if channel.is_joined]:
            left_s = channel.claims.expires_at_s - now.timestamp()
            if left_s <= 0:
                effects += self._end(channel, expired(channel.claims, now=now).system_text)
            elif left_s <= self.rules.expiry_warning_s and not channel.is_warned:
                channel.is_warned = True
                text = f"Token expires in {int(left_s)} seconds"
                effects.append(Send(replies.system(channel.topic, channel.join_ref, text, status="ok")))
        return effects

    def close(self, text: str) -> Effects:
        """Tell every channel why the socket is about to be closed; for a server that stops.

        No `phx_close`: a stock client takes that for the end of the channel and does not join it again when it is back.
        """
        return [
            Send(replies.system(channel.topic, channel.join_ref, text, status="ok"))
            for channel in self.channels.values()
        ]

    def lose(self) -> Effects:
        """Give what follows from the end of the socket: all channels are gone, and may be back in a moment."""
        effects: list[Effect] = []
        for channel in list(self.channels.values()):
            effects += self._forget(channel, is_at_once=False)
        return effects

    def _join(self, frame: Frame, now: datetime) -> Effects:
        effects: list[Effect] = []
        old = self.channels.get(frame.topic)
        if old is not None:
            effects += self._forget(old, is_at_once=False)
            effects.append(Send(replies.closed(old.topic, old.join_ref)))
        opened = self._open(frame, now)
        if isinstance(opened, str):
            return [*effects, *self._refuse_join(frame, opened)]
        self.channels[frame.topic] = opened
        return effects + list(self._advance(opened))

    def _open(self, frame: Frame, now: datetime) -> Channel | str:
        """Give the channel, or the reason why there is none."""
        name = replies.channel_name(frame.topic)
        request = asked_by(frame.payload, name, self.meter.limits)
        fault = topic_fault(frame.topic) or limit_fault(
            request, channels=len(self.channels), meter=self.meter, now_s=now.timestamp()
        )
        if fault is not None:
            return fault
        identity = Identity(self.authorizer, self.claims)
        claims = identity.check(request.access_token, now)
        if isinstance(claims, Refusal):
            return claims.reason
        fault = wish_fault(request, has_log=self.rules.has_log, has_changes=self.rules.has_changes)
        if fault is not None:
            return fault
        key = identity.key(claims, name, is_private=request.is_private)
        opened = Channel(
            self._next_number(), frame.topic, frame.join_ref, frame.ref, key, claims, request.access_token, request
        )
        opened.access = None if request.is_private else _ACCESS_ALL
        return opened

    def _refuse_join(self, frame: Frame, reason: str) -> Effects:
        refused = Send(replies.refusal(frame, reason), JOIN_REFUSAL_DELAY_S)
        if reason != replies.TOO_MANY_JOINS:
            return (refused,)
        self._refused_joins += 1
        if self._refused_joins < _REFUSED_JOINS:
            return (refused,)
        return (Send(replies.refusal(frame, reason)), Disconnect(1001, replies.TOO_MANY_JOINS))

    def _advance(self, channel: Channel) -> Effects:
        """Ask the next question of a join, or finish it."""
        step = next_step(channel, has_changes=self.rules.has_changes, has_log=self.rules.has_log)
        if step is None:
            return finish(channel, has_changes=self.rules.has_changes)
        effects, question = step
        return [*effects, self._ask(channel, question)]

    def _ask(self, channel: Channel, question: Question) -> Ask:
        number = self._next_number()
        channel.asking = number
        self._asked[number] = (channel, question)
        return Ask(number, question)

    def _next_number(self) -> int:
        self._last_number += 1
        return self._last_number

    def _settle(self, channel: Channel, question: Question, answer: Answer) -> Effects:
        """Keep an answer and go on."""
        if isinstance(question, MayWrite):
            return self._settle_write(channel, question, answer)
        if isinstance(answer, Fault):
            return self._give_up(channel, answer.text, answer.text)
        if isinstance(answer, Access):
            return self._settle_read(channel, answer)
        if isinstance(question, Follow):
            channel.is_followed = True
        elif isinstance(answer, Recalled):
            channel.recalled = answer
        return self._advance(channel)

    def _settle_read(self, channel: Channel, access: Access) -> Effects:
        topic = channel.key.topic
        if not access.reads_broadcast and not access.reads_presence:
            return self._give_up(channel, replies.READ_REFUSED + topic, replies.PERMISSION_LOST + topic)
        before, channel.access = channel.access, access
        if not channel.is_joined:
            return self._advance(channel)
        return changed_access(channel, before)

    def _settle_write(self, channel: Channel, question: MayWrite, answer: Answer) -> Effects:
        if isinstance(answer, bool):
            channel.remember_write(question.extension, is_allowed=answer)
            return ()
        message = channel.take_first()
        if message is None or not isinstance(answer, Fault):
            return ()
        wants_answer = channel.request.wants_ack or question.extension == "presence"
        return (Send(replies.refusal(_frame_of(message), answer.text)),) if wants_answer else ()

    def _give_up(self, channel: Channel, reason: str, text: str) -> Effects:
        """Refuse a join, or end what was joined."""
        if channel.is_joined:
            return self._end(channel, text)
        frame = Frame(channel.join_ref, channel.ref, channel.topic, "phx_join")
        return [*self._forget(channel), *self._refuse_join(frame, reason)]

    def _leave(self, channel: Channel, frame: Frame) -> Effects:
        if frame.join_ref is not None and frame.join_ref != channel.join_ref:
            # The leave of an earlier join came late; the client has joined again since, and that join stands.
            return (Send(replies.reply(frame, "ok")),)
        end = Send(replies.closed(channel.topic, channel.join_ref))
        return [*self._forget(channel), Send(replies.reply(frame, "ok")), end]

    def _end(self, channel: Channel, text: str) -> Effects:
        told = Send(replies.system(channel.topic, channel.join_ref, text))
        return [*self._forget(channel), told, Send(replies.closed(channel.topic, channel.join_ref))]

    def _forget(self, channel: Channel, *, is_at_once: bool = True) -> Effects:
        """Take a channel out of everything that it takes part in."""
        del self.channels[channel.topic]
        if channel.asking is not None:
            self._asked.pop(channel.asking, None)
        effects: list[Effect] = []
        if channel.is_joined or channel.is_held:
            effects.append(Unsubscribe(channel.key))
        if channel.is_tracked:
            effects.append(Untrack(channel.key, is_at_once))
        if channel.request.postgres_changes and self.rules.has_changes:
            effects.append(Unfollow(channel.number))
        return effects

    def _take(self, channel: Channel, message: Frame | UserPush, now: datetime) -> Effects:
        """Give what follows from a message on a channel that waits for nothing."""
        if isinstance(message, UserPush):
            return self._push(channel, message, now)
        match message.event:
            case "broadcast":
                return self._push(channel, message, now)
            case "access_token":
                return self._renew(channel, message, now)
            case "presence":
                return self._receive_presence(channel, message, now)
        # Also what only a server may say: `phx_reply`, `system`, `presence_diff` sent up change nothing.
        return self._count(channel, message, now) or ()

    def _renew(self, channel: Channel, frame: Frame, now: datetime) -> Effects:
        token = own_token(read_object(frame.payload).get("access_token"))
        if token is None or token == channel.token:
            return ()
        identity = Identity(self.authorizer, self.claims)
        claims = identity.check(token, now)
        if isinstance(claims, Refusal):
            return self._end(channel, claims.system_text)
        topic = channel.key.topic
        if identity.key(claims, topic, is_private=channel.key.is_private) != channel.key:
            return self._end(channel, replies.PERMISSION_LOST + topic)
        channel.renew(claims, token)
        effects: list[Effect] = []
        if channel.request.postgres_changes and self.rules.has_changes:
            # The channel need not wait for this answer: the source tells it when it is live again.
            effects.append(Ask(self._next_number(), following(channel)))
        if channel.key.is_private:
            effects.append(self._ask(channel, MayRead(claims, topic, channel.request.wants_presence)))
        return effects

    def _push(self, channel: Channel, message: Frame | UserPush, now: datetime) -> Effects:
        may = channel.may_write("broadcast")
        if may is None:
            channel.put_first(message)
            return (self._ask(channel, MayWrite(channel.claims, channel.key.topic, "broadcast")),)
        broadcast = broadcast_of(channel, message, number=self.number)
        if not may or broadcast is None:
            # The stock server says nothing either: the client's wait for the acknowledgement runs out.
            return ()
        frame, wants_ack = _frame_of(message), channel.request.wants_ack
        if len(broadcast.payload) > self.meter.limits.payload_bytes:
            return (Send(replies.refusal(frame, "payload_size_exceeded")),) if wants_ack else ()
        too_much = self._count(channel, frame, now)
        if too_much is not None:
            return too_much
        accepted = replies.reply(frame, "ok") if wants_ack else None
        refused = replies.refusal(frame, replies.TOO_MANY_MESSAGES) if wants_ack else None
        return (Publish(broadcast, accepted, refused),)

    def _receive_presence(self, channel: Channel, frame: Frame, now: datetime) -> Effects:
        push = read_presence(frame.payload)
        if push.event not in ("track", "untrack"):
            return (Send(replies.reply(frame, "error")),)
        asked = self._ask_about_presence(channel, frame, push)
        if asked is not None:
            return asked
        if push.event == "track" and not channel.may_write("presence"):
            return (Send(replies.reply(frame, "error")),)
        too_much = self._count_presence(channel, frame, now)
        if too_much is not None:
            return too_much
        return self._untrack(channel, frame) if push.event == "untrack" else self._track(channel, frame, push)

    def _ask_about_presence(self, channel: Channel, frame: Frame, push: PresencePush) -> Effects | None:
        """Ask what must be known before a presence is shown; None when it is known."""
        if push.event == "untrack" or not channel.key.is_private:
            return None
        topic = channel.key.topic
        if not channel.request.wants_presence:
            channel.put_first(frame)
            with_presence(channel)
            return (self._ask(channel, MayRead(channel.claims, topic, wants_presence=True)),)
        if channel.may_write("presence") is None:
            channel.put_first(frame)
            return (self._ask(channel, MayWrite(channel.claims, topic, "presence")),)
        return None

    def _track(self, channel: Channel, frame: Frame, push: PresencePush) -> Effects:
        if push.payload is None:
            return (Send(replies.refusal(frame, replies.NO_PRESENCE_OBJECT)),)
        if len(push.payload) > self.meter.limits.presence_bytes:
            return self._end(channel, replies.TRACK_TOO_BIG)
        with_presence(channel)
        channel.is_tracked = True
        name = channel.request.presence_name or f"{self.number:x}-{channel.number}"
        return [Track(channel.key, name, push.payload), Send(replies.reply(frame, "ok")), *shown_presences(channel)]

    def _untrack(self, channel: Channel, frame: Frame) -> Effects:
        gone = (Untrack(channel.key),) if channel.is_tracked else ()
        channel.is_tracked = False
        return (*gone, Send(replies.reply(frame, "ok")))

    def _count(self, channel: Channel, frame: Frame, now: datetime) -> Effects | None:
        """Count a message; None when it may go on, otherwise what follows."""
        if self.meter.event(now.timestamp()):
            return None
        return self._shed(channel, frame, now, replies.TOO_MANY_MESSAGES)

    def _count_presence(self, channel: Channel, frame: Frame, now: datetime) -> Effects | None:
        now_s = now.timestamp()
        if not channel.calls_of(self.meter.limits).take(now_s):
            return self._shed(channel, frame, now, replies.TOO_MANY_OWN_PRESENCES)
        if not self.meter.presence(now_s):
            return self._shed(channel, frame, now, replies.TOO_MANY_PRESENCES)
        return None

    def _shed(self, channel: Channel, frame: Frame, now: datetime, text: str) -> Effects:
        """Drop a message that is too much: the first time with a warning, and after long excess with the channel."""
        verdict = channel.judge(now.timestamp())
        if verdict == "close":
            return self._end(channel, text)
        effects: list[Effect] = []
        if frame.event == "presence" or channel.request.wants_ack:
            effects.append(Send(replies.refusal(frame, text)))
        if verdict == "warn":
            effects.append(Send(replies.system(channel.topic, channel.join_ref, text + _WARNING, status="ok")))
        return effects


def _frame_of(message: Frame | UserPush) -> Frame:
    if isinstance(message, Frame):
        return message
    return Frame(message.join_ref, message.ref, message.topic, "broadcast")
