"""The frames that a server says by itself, and the exact texts that stock clients and people know. Pure."""

from collections.abc import Mapping

from rowcast.realtime.messages import EMPTY_OBJECT, Frame, Ref, json_payload
from rowcast.realtime.protocol import WIRE_PREFIX

REPLICATION_READY = "Replication connection established"
READ_REFUSED = "Unauthorized: You do not have permissions to read from this Channel topic: "
PERMISSION_LOST = "You no longer have permission to read from this Channel topic: "
TOO_MANY_CHANNELS = "ChannelRateLimitReached: Too many channels"
TOO_MANY_USERS = "ConnectionRateLimitReached: Too many connected users"
TOO_MANY_JOINS = "ClientJoinRateLimitReached: Too many joins per second"
PRIVATE_ONLY = "PrivateOnly: This project only allows private channels"
TOPIC_NEEDED = "TopicNameRequired: You must provide a topic name"
REPLAY_FAILED = "UnableToReplayMessages: Realtime was unable to replay messages"
REPLAY_INVALID = "UnableToReplayMessages: Replay params are not valid"
REPLAY_PUBLIC = "UnableToReplayMessages: Replay is not allowed for public channels"
TOO_MANY_QUESTIONS = "DatabaseConnectionRateLimitReached: Too many database connections attempts per second"
RESTARTING = "RealtimeRestarting: Realtime is restarting, please standby"
OUT_OF_REACH = "Realtime was unable to connect to the project database"
TOO_MANY_MESSAGES = "Too many messages per second"
TOO_MANY_PRESENCES = "Too many presence messages per second"
TOO_MANY_OWN_PRESENCES = "Client presence rate limit exceeded"
TRACK_TOO_BIG = "Track message size exceeded"
CHANGES_DISABLED = "RealtimeDisabledForConfiguration: "
NO_PRESENCE_OBJECT = "Presence track payload must be a map"
_HEARTBEAT_TOPIC = "phoenix"
_CHANGES_REFUSED = (
    "Unable to subscribe to changes with given parameters. "
    "Please check Realtime is enabled for the given connect parameters: "
)


def channel_name(wire_topic: str) -> str:
    """Give a topic without the prefix of the wire."""
    return wire_topic.removeprefix(WIRE_PREFIX)


def reply(frame: Frame, status: str, response: object = EMPTY_OBJECT) -> Frame:
    """Give the reply to a message."""
    payload = json_payload({"status": status, "response": response})
    return Frame(frame.join_ref, frame.ref, frame.topic, "phx_reply", payload)


def reply_outside(frame: Frame) -> Frame:
    """Give the reply to a message about a topic that is not joined; the heartbeats have a topic of their own."""
    if (frame.topic, frame.event) == (_HEARTBEAT_TOPIC, "heartbeat") or frame.event == "phx_leave":
        return reply(frame, "ok")
    return refusal(frame, "unmatched topic")


def refusal(frame: Frame, reason: str) -> Frame:
    """Give the reply that refuses a message; an object, because some clients read nothing else."""
    return reply(frame, "error", {"reason": reason})


def closed(topic: str, join_ref: Ref) -> Frame:
    """Give the end of a channel; `topic` as on the wire."""
    return Frame(join_ref, join_ref, topic, "phx_close")


def system(topic: str, join_ref: Ref, text: str, *, status: str = "error", extension: str = "system") -> Frame:
    """Give a `system` message. A status `error` makes some clients leave the channel and join it again."""
    payload = {"extension": extension, "status": status, "message": text, "channel": channel_name(topic)}
    return Frame(join_ref, None, topic, "system", json_payload(payload))


def changes_refused(topic: str, join_ref: Ref, binding: Mapping[str, object]) -> Frame:
    """Give the message that nobody here tells of changed rows."""
    return system(topic, join_ref, changes_refusal(binding), extension="postgres_changes")


def changes_refusal(binding: Mapping[str, object]) -> str:
    """Give its text."""
    asked = ", ".join(f"{name}: {binding.get(name, 'nil')}"[:200] for name in ("event", "schema", "table", "filter"))
    return f"{_CHANGES_REFUSED}[{asked}]"


def changes_late(wait_ms: int) -> str:
    """Give the reason that refuses a join whose changes did not become live in the time that it named."""
    return f"PostgresChangesSubscribeTimeout: Timed out after {wait_ms}ms waiting for the postgres_changes subscription"
