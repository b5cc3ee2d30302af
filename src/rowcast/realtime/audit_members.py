"""What one socket's channels come to in the record of activity: joins, leaves, refusals, heartbeats and messages.

Ten thousand sockets have one each, so it holds no more than it must.
"""

from dataclasses import dataclass
from typing import Protocol

from rowcast.realtime.audit import ActivityLog, Member, refusal_text
from rowcast.realtime.authorize import Claims
from rowcast.realtime.messages import Frame, TopicKey
from rowcast.realtime.protocol import WIRE_PREFIX
from rowcast.realtime.subscriptions import user_of


class Topics(Protocol):
    """Who counts what topics are told: the hub."""

    def told_on(self, key: TopicKey) -> int:
        """Give how many messages a topic has been told here."""
        ...


@dataclass(slots=True)
class _Membership:
    key: TopicKey
    user_id: str
    counted: int


class Memberships:
    """Tells the record what a socket does. Nothing is counted for each message: topics count, and here is read."""

    __slots__ = ("_activity", "_asking", "_changes", "_joined", "_number", "_topics")

    def __init__(self, activity: ActivityLog, *, number: int, topics: Topics) -> None:
        """Speak for the socket `number`."""
        self._activity = activity
        self._number = number
        self._topics = topics
        self._changes = 0
        self._joined: list[_Membership] = []
        self._asking: dict[str, Claims] | None = None

    def ask(self, topic: str, claims: Claims) -> None:
        """Somebody wants to join a private topic: a refusal will be his."""
        if self._asking is None:
            self._asking = {}
        self._asking[topic] = claims

    def join(self, key: TopicKey, claims: Claims) -> None:
        """A channel has joined; said again, it goes on."""
        self._answered(key.topic)
        if self._find(key) is None:
            found = _Membership(key, user_of(claims.document), self._topics.told_on(key))
            self._joined.append(found)
            self._activity.joined(self._member(found))

    def leave(self, key: TopicKey, reason: str) -> None:
        """A channel is over; one that never was joined is passed over."""
        self._answered(key.topic)
        found = self._find(key)
        if found is not None:
            self._count(found)
            self._joined.remove(found)
            self._activity.left(self._member(found), reason)

    def refuse(self, frame: Frame, claims: Claims) -> None:
        """A join was refused by this reply; without a question before it, `claims` are those of the socket."""
        topic = frame.topic.removeprefix(WIRE_PREFIX)
        whose = self._answered(topic) or claims
        tenant_id = whose.tenant_id or claims.public_tenant
        member = Member(tenant_id, user_of(whose.document), str(self._number), topic)
        self._activity.refused(member, refusal_text(bytes(frame.payload)))

    def beat(self, changes: int = 0) -> None:
        """The client's heartbeat came; its channels of now have been told so many `changes` of rows."""
        if not self._joined:
            return
        self._activity.alive(str(self._number))
        for found in self._joined:
            self._count(found)
        first = self._joined[0]
        # Channels that are over take their changes with them.
        self._activity.told(first.key.tenant_id, first.user_id, max(0, changes - self._changes))
        self._changes = changes

    def _answered(self, topic: str) -> Claims | None:
        """Give whose question about a topic has found its answer, and forget it."""
        if self._asking is None:
            return None
        found = self._asking.pop(topic, None)
        if not self._asking:
            self._asking = None
        return found

    def _find(self, key: TopicKey) -> _Membership | None:
        return next((found for found in self._joined if found.key == key), None)

    def _member(self, found: _Membership) -> Member:
        return Member(found.key.tenant_id, found.user_id, str(self._number), found.key.topic)

    def _count(self, found: _Membership) -> None:
        told = self._topics.told_on(found.key)
        self._activity.told(found.key.tenant_id, found.user_id, told - found.counted)
        found.counted = told
