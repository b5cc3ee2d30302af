"""What a session wants done: effects, questions among them, and the answers that come back. Values, nothing else."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from rowcast.realtime.authorize import Claims
from rowcast.realtime.change_source import Binding
from rowcast.realtime.channel_log import Missed
from rowcast.realtime.channel_policy import Access, Extension, Fault
from rowcast.realtime.messages import Broadcast, Frame, Ref, TopicKey


class Send(msgspec.Struct, frozen=True):
    """Send a frame to this client, after a delay where that slows down a storm of retries."""

    frame: Frame
    delay_s: float = 0.0


class Subscribe(msgspec.Struct, frozen=True):
    """Let this socket hear a topic: its broadcasts, its presences, or both.

    When it `is_held`, what comes waits for `Release`, so that what was missed can go before it; `session` names who
    wants nothing lost.
    """

    key: TopicKey
    hears_broadcasts: bool = True
    hears_presences: bool = True
    is_held: bool = False
    session: str | None = None


class Unsubscribe(msgspec.Struct, frozen=True):
    """Let it hear the topic no longer."""

    key: TopicKey


class Publish(msgspec.Struct, frozen=True):
    """Hand a client's broadcast to the bus; when that cannot take it, the client is told if it wants to know."""

    broadcast: Broadcast
    accepted: Frame | None
    refused: Frame | None


class Release(msgspec.Struct, frozen=True):
    """Send what was missed, then what was held back, without what was told twice; from now on all is live."""

    key: TopicKey
    join_ref: Ref
    missed: tuple[Broadcast, ...] = ()


class Track(msgspec.Struct, frozen=True):
    """Let everybody on the topic see this channel under `name`, with `payload` (a JSON object)."""

    key: TopicKey
    name: str
    payload: bytes


class Untrack(msgspec.Struct, frozen=True):
    """Let nobody see it any longer: at once, or a little later when it may be back in a moment."""

    key: TopicKey
    is_at_once: bool = True


class ShowPresences(msgspec.Struct, frozen=True):
    """Send `presence_state`: who is on the topic now."""

    key: TopicKey
    join_ref: Ref


class Unfollow(msgspec.Struct, frozen=True):
    """Tell the channel of this number of changed rows no longer."""

    number: int


class ReleaseChanges(msgspec.Struct, frozen=True):
    """Send what the channel of this number was told of changed rows meanwhile; from now on all is live."""

    number: int


class Disconnect(msgspec.Struct, frozen=True):
    """Close the whole socket."""

    code: int
    text: str


class MayRead(msgspec.Struct, frozen=True):
    """What may a private channel hear? The answer is an `Access` or a `Fault`."""

    claims: Claims
    topic: str
    wants_presence: bool


class MayWrite(msgspec.Struct, frozen=True):
    """May it say something? The answer is a bool or a `Fault`."""

    claims: Claims
    topic: str
    extension: Extension


class Follow(msgspec.Struct, frozen=True):
    """Begin to tell the channel of this number of changed rows; `topic` as on the wire. The answer is a `Followed`.

    With `wait_ms` the channel wants to wait so long, and the answer is a `Fault` when there are no changes for it by
    then. `is_legacy`: each change is an event of its own.
    """

    number: int
    topic: str
    join_ref: Ref
    bindings: tuple[Binding, ...]
    claims: Claims
    wait_ms: int | None = None
    is_legacy: bool = False


class Recall(msgspec.Struct, frozen=True):
    """What was told while the client was away? The answer is a `Recalled` or a `Fault`."""

    key: TopicKey
    session: str | None
    since: datetime | None
    limit: int


class Followed(msgspec.Struct, frozen=True):
    """Changes are live; or they will be, and it takes too long to wait for that."""


class Recalled(msgspec.Struct, frozen=True):
    """What a log knows. `missed` is None for a session that begins now, and where none was asked about."""

    missed: Missed | None = None
    replayed: tuple[Broadcast, ...] = ()


Question = MayRead | MayWrite | Follow | Recall
Answer = Access | Fault | bool | Followed | Recalled


class Ask(msgspec.Struct, frozen=True):
    """Find out something outside, and give the answer to `Session.answer` with `number`."""

    number: int
    question: Question


Effect = (
    Send
    | Subscribe
    | Unsubscribe
    | Publish
    | Release
    | ReleaseChanges
    | Track
    | Untrack
    | ShowPresences
    | Unfollow
    | Disconnect
    | Ask
)
Effects = Sequence[Effect]
