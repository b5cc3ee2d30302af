"""What one socket's channels come to in the record of activity: joins, leaves, refusals, heartbeats and messages."""

from collections.abc import Callable
from dataclasses import dataclass

from rowcast.realtime.audit import ActivityLog, Member, refusal_text
from rowcast.realtime.authorize import DEFAULT_TENANT, Claims
from rowcast.realtime.messages import Frame, TopicKey
from rowcast.realtime.protocol import WIRE_PREFIX
from rowcast.realtime.subscriptions import user_of


@dataclass(slots=True)
class _Membership:
    member: Member
    counted: int


class Memberships:
    """Tells the record what a socket does. Nothing is counted for each message: topics count, and here is read."""

    __slots__ = ("_activity", "_asking", "_changes", "_connection_id", "_joined", "_told_on")

    def __init__(self, activity: ActivityLog, *, number: int, told_on: Callable[[TopicKey], int]) -> None:
        """Speak for the socket `number`; `told_on` gives how many messages a topic has been told here."""
        self._activity = activity
        self._connection_id = str(number)
        self._told_on = told_on
        self._changes = 0
        self._joined: dict[TopicKey, _Membership] = {}
        self._asking: dict[str, Claims] = {}

    def ask(self, topic: str, claims: Claims) -> None:
        """Somebody wants to join a private topic: a refusal will be his."""
        self._asking[topic] = claims

    def join(self, key: TopicKey, claims: Claims) -> None:
        """A channel has joined; said again, it goes on."""
        self._asking.pop(key.topic, None)
        if key in self._joined:
            return
        member = Member(key.tenant_id, user_of(claims.document), self._connection_id, key.topic)
        self._joined[key] = _Membership(member, self._told_on(key))
        self._activity.joined(member)

    def leave(self, key: TopicKey, reason: str) -> None:
        """A channel is over; one that never was joined is passed over."""
        self._asking.pop(key.topic, None)
        found = self._joined.get(key)
        if found is not None:
            self._count(key, found)
            del self._joined[key]
            self._activity.left(found.member, reason)

    def refuse(self, frame: Frame, claims: Claims) -> None:
        """A join was refused by this reply; without a question before it, `claims` are those of the socket."""
        topic = frame.topic.removeprefix(WIRE_PREFIX)
        whose = self._asking.pop(topic, claims)
        tenant_id = whose.tenant_id or claims.tenant_id or DEFAULT_TENANT
        member = Member(tenant_id, user_of(whose.document), self._connection_id, topic)
        self._activity.refused(member, refusal_text(bytes(frame.payload)))

    def beat(self, changes: int = 0) -> None:
        """The client's heartbeat came; its channels of now have been told so many `changes` of rows."""
        if not self._joined:
            return
        self._activity.alive(self._connection_id)
        for key, found in self._joined.items():
            self._count(key, found)
        member = next(iter(self._joined.values())).member
        # Channels that are over take their changes with them.
        self._activity.told(member.tenant_id, member.user_id, max(0, changes - self._changes))
        self._changes = changes

    def _count(self, key: TopicKey, found: _Membership) -> None:
        told = self._told_on(key)
        self._activity.told(found.member.tenant_id, found.member.user_id, told - found.counted)
        found.counted = told
