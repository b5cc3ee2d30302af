"""One topic of one socket: what it asked for, what it may do, and what waits while that is found out. Pure."""

from collections import deque
from dataclasses import dataclass

from rowcast.realtime.authorize import Claims
from rowcast.realtime.channel_policy import Access, Extension
from rowcast.realtime.effects import Recalled
from rowcast.realtime.join import JoinRequest
from rowcast.realtime.limits import Bucket, Excess, RealtimeLimits, Verdict
from rowcast.realtime.messages import Broadcast, Form, Frame, Ref, TopicKey, UserPush

WAITING_MESSAGES = 64
WAITING_BYTES = 1024 * 1024


@dataclass(slots=True)
class Channel:
    """A channel from its join on. `topic` is that of the wire, `ref` belongs to the join and waits for its reply."""

    number: int
    topic: str
    join_ref: Ref
    ref: Ref
    key: TopicKey
    claims: Claims
    token: str | None
    request: JoinRequest
    access: Access | None = None
    may_broadcast: bool | None = None
    may_track: bool | None = None
    asking: int | None = None
    is_followed: bool = False
    is_held: bool = False
    is_joined: bool = False
    is_tracked: bool = False
    is_warned: bool = False
    shows_presences: bool = False
    recalled: Recalled | None = None
    waiting: deque[Frame | UserPush] | None = None
    waiting_bytes: int = 0
    excess: Excess | None = None
    presence_calls: Bucket | None = None

    def may_write(self, extension: Extension) -> bool | None:
        """Tell whether it may say something; None while nobody was asked."""
        if not self.key.is_private:
            return True
        return self.may_broadcast if extension == "broadcast" else self.may_track

    def remember_write(self, extension: Extension, *, is_allowed: bool) -> None:
        """Keep an answer until the next token."""
        if extension == "broadcast":
            self.may_broadcast = is_allowed
        else:
            self.may_track = is_allowed

    def renew(self, claims: Claims, token: str) -> None:
        """Take a fresh token; what it may say is asked anew."""
        self.claims, self.token = claims, token
        self.may_broadcast = self.may_track = None
        self.is_warned = False

    def calls_of(self, limits: RealtimeLimits) -> Bucket:
        """Give the bucket of its own presence messages."""
        if self.presence_calls is None:
            rate = limits.presence_calls / limits.presence_window_s
            self.presence_calls = Bucket(rate, limits.presence_calls)
        return self.presence_calls

    def judge(self, now_s: float) -> Verdict:
        """Give what becomes of one message that is too much."""
        if self.excess is None:
            self.excess = Excess()
        return self.excess.judge(now_s)

    def put_last(self, message: Frame | UserPush) -> bool:
        """Keep a message until the open question is answered; False when too much waits."""
        size = len(message.payload)
        if self.waiting is None:
            self.waiting = deque()
        if len(self.waiting) >= WAITING_MESSAGES or self.waiting_bytes + size > WAITING_BYTES:
            return False
        self.waiting.append(message)
        self.waiting_bytes += size
        return True

    def put_first(self, message: Frame | UserPush) -> None:
        """Keep the message that raised the question."""
        if self.waiting is None:
            self.waiting = deque()
        self.waiting.appendleft(message)
        self.waiting_bytes += len(message.payload)

    def take_first(self) -> Frame | UserPush | None:
        """Give the next message that waits, unless a question is open."""
        if self.asking is not None or not self.waiting:
            return None
        message = self.waiting.popleft()
        self.waiting_bytes -= len(message.payload)
        return message


def broadcast_of(channel: Channel, message: Frame | UserPush, *, number: int) -> Broadcast | None:
    """Give a client's message as all others hear it; None when it is none that every client takes."""
    key, sender = channel.key, 0 if channel.request.wants_own else number
    if isinstance(message, UserPush):
        form: Form = "user" if message.is_json else "binary"
        return Broadcast(
            key.tenant_id, key.is_private, key.topic, message.event, message.payload, form=form, sender=sender
        )
    # It is delivered as it was sent, so it must be an object.
    payload = bytes(message.payload)
    if not payload.startswith(b"{"):
        return None
    return Broadcast(key.tenant_id, key.is_private, key.topic, "", payload, form="verbatim", sender=sender)
