"""One socket's side of the channel protocol: a pure state machine. A message in, the effects out.

Source: the channel protocol of Phoenix as the stock clients rely on it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from rowcast.core.errors import InvalidTopicError
from rowcast.core.topic import checked_topic
from rowcast.realtime.authorize import DEFAULT_TENANT, Authorizer, Claims, Refusal, expired
from rowcast.realtime.join import JoinRequest, echoed_bindings, own_token, read_join, read_object
from rowcast.realtime.messages import EMPTY_OBJECT, Broadcast, Frame, Ref, TopicKey, UserPush, json_payload
from rowcast.realtime.protocol import WIRE_PREFIX

CHANNELS_LIMIT = 100
BINDINGS_LIMIT = 100
PAYLOAD_LIMIT_BYTES = 3_000_500
JOIN_REFUSAL_DELAY_S = 5.0
_HEARTBEAT_TOPIC = "phoenix"
_READ_REFUSED = "Unauthorized: You do not have permissions to read from this Channel topic: "
_PERMISSION_LOST = "You no longer have permission to read from this Channel topic: "
_CHANGES_REFUSED = (
    "Unable to subscribe to changes with given parameters. "
    "Please check Realtime is enabled for the given connect parameters: "
)


class Send(msgspec.Struct, frozen=True):
    """Send a frame to this client, after a delay where that slows down a storm of retries."""

    frame: Frame
    delay_s: float = 0.0


class Subscribe(msgspec.Struct, frozen=True):
    """Let this socket hear a topic."""

    key: TopicKey


class Unsubscribe(msgspec.Struct, frozen=True):
    """Let it hear the topic no longer."""

    key: TopicKey


class Publish(msgspec.Struct, frozen=True):
    """Hand a client's broadcast to the bus; when that cannot take it, the client is told if it wants to know."""

    broadcast: Broadcast
    accepted: Frame | None
    refused: Frame | None


Effect = Send | Subscribe | Unsubscribe | Publish


@dataclass(slots=True)
class Channel:
    """One joined topic of one socket."""

    topic: str
    join_ref: Ref
    key: TopicKey
    claims: Claims
    token: str | None
    wants_ack: bool
    wants_own: bool


@dataclass(slots=True)
class Session:
    """All channels of one socket. `number` tells it from every other socket on every node."""

    authorizer: Authorizer
    claims: Claims
    number: int
    channels: dict[str, Channel] = field(default_factory=dict)

    def receive(self, message: Frame | UserPush, *, now: datetime) -> Sequence[Effect]:
        """Give what follows from a client's message."""
        if isinstance(message, UserPush):
            return self._receive_binary(message)
        if message.event == "phx_join":
            return self._join(message, now)
        channel = self.channels.get(message.topic)
        if channel is None:
            return (_reply_outside(message),)
        match message.event:
            case "broadcast":
                return self._receive_text(channel, message)
            case "phx_leave":
                return self._leave(channel, message)
            case "access_token":
                return self._renew(channel, message, now)
            case "presence":
                return (Send(_reply(message, "error", {"reason": "Presence is not enabled"})),)
            case _:
                # Also what only a server may say: `phx_reply`, `system`, `presence_diff` sent up change nothing.
                return ()

    def expire(self, *, now: datetime) -> Sequence[Effect]:
        """Give what follows from the passing of time: channels whose token has run out are closed."""
        over = [channel for channel in self.channels.values() if channel.claims.expires_at_s <= now.timestamp()]
        return [
            effect
            for channel in over
            for effect in self._end(channel, "error", expired(channel.claims, now=now).system_text)
        ]

    def close(self, text: str) -> Sequence[Effect]:
        """Tell every channel why the socket is about to be closed; for a server that stops.

        No `phx_close`: a stock client takes that for the end of the channel and does not join it again when it is back.
        """
        return [Send(_system(channel, "system", "ok", text)) for channel in self.channels.values()]

    def heard(self) -> Sequence[TopicKey]:
        """Give what this socket hears."""
        return [channel.key for channel in self.channels.values()]

    def _join(self, frame: Frame, now: datetime) -> Sequence[Effect]:
        request = read_join(frame.payload)
        effects: list[Effect] = []
        old = self.channels.pop(frame.topic, None)
        if old is not None:
            effects += (Unsubscribe(old.key), Send(_closed(old)))
        opened = self._open(frame, request, now)
        if isinstance(opened, str):
            return [*effects, Send(_reply(frame, "error", {"reason": opened}), JOIN_REFUSAL_DELAY_S)]
        self.channels[frame.topic] = opened
        response = {"postgres_changes": echoed_bindings(request.postgres_changes)}
        effects += (Subscribe(opened.key), Send(_reply(frame, "ok", response)))
        return effects + [Send(_changes_refused(opened, binding)) for binding in request.postgres_changes]

    def _open(self, frame: Frame, request: JoinRequest, now: datetime) -> Channel | str:
        """Give the channel, or the reason why there is none."""
        topic = frame.topic.removeprefix(WIRE_PREFIX)
        fault = _topic_fault(frame.topic)
        if fault is not None:
            return fault
        if len(self.channels) >= CHANNELS_LIMIT:
            return "ChannelRateLimitReached: Too many channels"
        if len(request.postgres_changes) > BINDINGS_LIMIT:
            # Each is answered by a message of its own: without a bound one frame of a client would become a million.
            return f"TooManyBindings: A channel may ask for {BINDINGS_LIMIT} postgres_changes at most"
        claims = self._claims(request.access_token, now)
        if isinstance(claims, Refusal):
            return claims.reason
        key = self._key(claims, topic, is_private=request.is_private)
        if key is None:
            return _READ_REFUSED + topic
        token = request.access_token
        return Channel(frame.topic, frame.join_ref, key, claims, token, request.wants_ack, request.wants_own)

    def _claims(self, token: str | None, now: datetime) -> Claims | Refusal:
        """Give whom a channel speaks for: its own token, or the one the socket was opened with."""
        if token is not None:
            claims = self.authorizer.check(token, now=now)
            return self._same_service(claims)
        return expired(self.claims, now=now) if self.claims.expires_at_s <= now.timestamp() else self.claims

    def _same_service(self, claims: Claims | Refusal) -> Claims | Refusal:
        """A service whose connect parameter named a tenant speaks for that tenant with its channels' tokens too."""
        if isinstance(claims, Refusal) or claims.tenant_id is not None or claims.role != self.claims.role:
            return claims
        return msgspec.structs.replace(claims, tenant_id=self.claims.tenant_id) if claims.is_service else claims

    def _key(self, claims: Claims, topic: str, *, is_private: bool) -> TopicKey | None:
        if is_private:
            return self.authorizer.topic_key(claims, topic)
        return TopicKey(self.claims.tenant_id or DEFAULT_TENANT, False, topic)

    def _leave(self, channel: Channel, frame: Frame) -> Sequence[Effect]:
        if frame.join_ref is not None and frame.join_ref != channel.join_ref:
            # The leave of an earlier join came late; the client has joined again since, and that join stands.
            return (Send(_reply(frame, "ok")),)
        del self.channels[channel.topic]
        return (Unsubscribe(channel.key), Send(_reply(frame, "ok")), Send(_closed(channel)))

    def _renew(self, channel: Channel, frame: Frame, now: datetime) -> Sequence[Effect]:
        token = own_token(read_object(frame.payload).get("access_token"))
        if token is None or token == channel.token:
            return ()
        claims = self._claims(token, now)
        if isinstance(claims, Refusal):
            return self._end(channel, "error", claims.system_text)
        topic = channel.key.topic
        if self._key(claims, topic, is_private=channel.key.is_private) != channel.key:
            return self._end(channel, "error", _PERMISSION_LOST + topic)
        channel.claims, channel.token = claims, token
        return ()

    def _end(self, channel: Channel, status: str, text: str) -> Sequence[Effect]:
        del self.channels[channel.topic]
        return (Unsubscribe(channel.key), Send(_system(channel, "system", status, text)), Send(_closed(channel)))

    def _receive_text(self, channel: Channel, frame: Frame) -> Sequence[Effect]:
        # It is delivered as it was sent, so it must be what every client takes: an object.
        payload = bytes(frame.payload)
        if not payload.startswith(b"{"):
            return ()
        sent = self._broadcast(channel, "", payload)
        return self._publish(channel, frame, msgspec.structs.replace(sent, form="verbatim"))

    def _receive_binary(self, push: UserPush) -> Sequence[Effect]:
        frame = Frame(push.join_ref, push.ref, push.topic, "broadcast")
        channel = self.channels.get(push.topic)
        if channel is None:
            return (_reply_outside(frame),)
        sent = self._broadcast(channel, push.event, push.payload)
        return self._publish(channel, frame, sent if push.is_json else msgspec.structs.replace(sent, form="binary"))

    def _broadcast(self, channel: Channel, event: str, payload: bytes) -> Broadcast:
        key = channel.key
        sender = 0 if channel.wants_own else self.number
        return Broadcast(key.tenant_id, key.is_private, key.topic, event, payload, sender=sender)

    def _publish(self, channel: Channel, frame: Frame, broadcast: Broadcast) -> Sequence[Effect]:
        if not self.authorizer.may_broadcast(channel.claims, channel.key):
            # The stock server says nothing either: the client's wait for the acknowledgement runs out.
            return ()
        accepted = _reply(frame, "ok") if channel.wants_ack else None
        if len(broadcast.payload) > PAYLOAD_LIMIT_BYTES:
            return (Send(_reply(frame, "error", {"reason": "payload_size_exceeded"})),) if accepted else ()
        refused = _reply(frame, "error", {"reason": "Too many messages per second"}) if accepted else None
        return (Publish(broadcast, accepted, refused),)


def _topic_fault(wire_topic: str) -> str | None:
    if not wire_topic.startswith(WIRE_PREFIX):
        return "unmatched topic"
    if wire_topic == WIRE_PREFIX:
        return "TopicNameRequired: You must provide a topic name"
    try:
        checked_topic(wire_topic.removeprefix(WIRE_PREFIX))
    except InvalidTopicError as error:
        return f"InvalidTopic: {error}"
    return None


def _reply_outside(frame: Frame) -> Send:
    """Give the reply to a message about a topic that is not joined; the heartbeats have a topic of their own."""
    if (frame.topic, frame.event) == (_HEARTBEAT_TOPIC, "heartbeat") or frame.event == "phx_leave":
        return Send(_reply(frame, "ok"))
    return Send(_reply(frame, "error", {"reason": "unmatched topic"}))


def _reply(frame: Frame, status: str, response: object = EMPTY_OBJECT) -> Frame:
    payload = json_payload({"status": status, "response": response})
    return Frame(frame.join_ref, frame.ref, frame.topic, "phx_reply", payload)


def _closed(channel: Channel) -> Frame:
    return Frame(channel.join_ref, channel.join_ref, channel.topic, "phx_close")


def _system(channel: Channel, extension: str, status: str, text: str) -> Frame:
    payload = {"extension": extension, "status": status, "message": text, "channel": channel.key.topic}
    return Frame(channel.join_ref, None, channel.topic, "system", json_payload(payload))


def _changes_refused(channel: Channel, binding: dict[str, object]) -> Frame:
    asked = ", ".join(f"{name}: {binding.get(name, 'nil')}"[:200] for name in ("event", "schema", "table", "filter"))
    return _system(channel, "postgres_changes", "error", f"{_CHANGES_REFUSED}[{asked}]")
