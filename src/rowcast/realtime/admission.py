"""Who may open a channel, as far as that is known without asking anybody: topic, limits, token. Pure."""

from datetime import datetime

import msgspec

from rowcast.core.errors import InvalidTopicError
from rowcast.core.topic import checked_topic
from rowcast.realtime import replies
from rowcast.realtime.authorize import Authorizer, Claims, Refusal, expired, placed_at
from rowcast.realtime.join import InvalidReplay, JoinRequest
from rowcast.realtime.limits import Meter
from rowcast.realtime.messages import TopicKey
from rowcast.realtime.protocol import WIRE_PREFIX
from rowcast.realtime.tenant_topics import private_key

BINDINGS_LIMIT = 100


class Refused(msgspec.Struct, frozen=True):
    """Why a join is refused, in the words of its reply."""

    reason: str


def topic_fault(wire_topic: str) -> str | None:
    """Give what is wrong with a topic as a client names it."""
    if not wire_topic.startswith(WIRE_PREFIX):
        return "unmatched topic"
    if wire_topic == WIRE_PREFIX:
        return replies.TOPIC_NEEDED
    try:
        checked_topic(wire_topic.removeprefix(WIRE_PREFIX))
    except InvalidTopicError as error:
        return f"InvalidTopic: {error}"
    return None


def limit_fault(request: JoinRequest, *, channels: int, meter: Meter, now_s: float) -> str | None:
    """Give the limit that a join would break. The join is counted."""
    limits = meter.limits
    if limits.is_private_only and not request.is_private:
        return replies.PRIVATE_ONLY
    if limits.users and meter.users > limits.users:
        return replies.TOO_MANY_USERS
    if not meter.join(now_s):
        return replies.TOO_MANY_JOINS
    if channels >= limits.channels_per_socket:
        return replies.TOO_MANY_CHANNELS
    if len(request.postgres_changes) > BINDINGS_LIMIT:
        # Each is answered by a message of its own: without a bound one frame of a client would become a million.
        return f"TooManyBindings: A channel may ask for {BINDINGS_LIMIT} postgres_changes at most"
    return None


def wish_fault(request: JoinRequest, *, has_log: bool, has_changes: bool) -> str | None:
    """Give why something that a join will not be without cannot be had."""
    return _replay_fault(request, has_log=has_log) or _changes_fault(request, has_changes=has_changes)


def _replay_fault(request: JoinRequest, *, has_log: bool) -> str | None:
    if isinstance(request.replay, InvalidReplay):
        return replies.REPLAY_INVALID
    if request.replay is not None and not request.is_private:
        return replies.REPLAY_PUBLIC
    return replies.REPLAY_FAILED if request.replay is not None and not has_log else None


def _changes_fault(request: JoinRequest, *, has_changes: bool) -> str | None:
    if request.changes_wait_ms is None or has_changes or not request.postgres_changes:
        return None
    return replies.CHANGES_DISABLED + replies.changes_refusal(request.postgres_changes[0])


class Identity(msgspec.Struct, frozen=True):
    """Whom a socket's channels speak for: their own tokens, or the one the socket was opened with."""

    authorizer: Authorizer
    claims: Claims

    @property
    def tenant_id(self) -> str:
        """Give the tenant whose public topics the socket sees."""
        return self.claims.public_tenant

    def check(self, token: str | None, now: datetime) -> Claims | Refusal:
        """Give the claims that count."""
        if token is not None:
            return self._same_place(self.authorizer.check(token, now=now))
        return expired(self.claims, now=now) if self.claims.expires_at_s <= now.timestamp() else self.claims

    def key(self, claims: Claims, topic: str, *, is_private: bool) -> TopicKey:
        """Give the namespace and the topic in it."""
        return private_key(claims, topic) if is_private else TopicKey(self.tenant_id, False, topic)

    def _same_place(self, claims: Claims | Refusal) -> Claims | Refusal:
        """What the connection named counts for its channels' tokens too, and so do its headers.

        A service whose connect parameter named a tenant speaks for that tenant with all of its tokens.
        """
        placed = claims if isinstance(claims, Refusal) else placed_at(claims, self.claims.named_tenant)
        if isinstance(placed, Refusal):
            return placed
        if placed.headers != self.claims.headers:
            placed = msgspec.structs.replace(placed, headers=self.claims.headers)
        if placed.tenant_id is not None or placed.role != self.claims.role:
            return placed
        return msgspec.structs.replace(placed, tenant_id=self.claims.tenant_id) if placed.is_service else placed
