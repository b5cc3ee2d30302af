"""The sink of live sockets: committed events become broadcasts on the bus."""

from collections.abc import Sequence

import msgspec

from rowcast.bus.bus import Bus
from rowcast.core.codec import encode_json
from rowcast.core.delivery import Owed
from rowcast.core.envelope import Envelope, public_envelope
from rowcast.core.errors import InvalidInputError, StoreUnavailableError
from rowcast.core.sink import LiveSink
from rowcast.core.telemetry import tell
from rowcast.core.topic import checked_topic, module_of, topic_name
from rowcast.realtime.hub import SUBJECT
from rowcast.realtime.messages import Broadcast, pack_broadcasts

OWN_TOPICS = "*"
"""The target of a rule that means: the topics that the event itself belongs to."""


class _RowPayload(msgspec.Struct):
    operation: str


class RealtimeSink:
    """Tells the sockets of all nodes. A node that the bus cannot reach now misses the message: sockets keep no rows."""

    __slots__ = ("_bus",)

    name = "realtime"

    def __init__(self, *, bus: Bus) -> None:
        """Publish to `bus`."""
        self._bus = bus

    async def tell(self, owed: Sequence[tuple[Envelope, Owed]]) -> None:
        """Broadcast committed events, in order."""
        messages = pack_broadcasts(
            broadcast for event, one in owed for broadcast in event_broadcasts(event, one.target)
        )
        if not messages:
            return
        try:
            await self._bus.publish(SUBJECT, messages)
        except StoreUnavailableError:
            # This node's sockets were told; the batch must not wait for the others, its deliveries are due.
            tell("realtime.bus_failed", messages=len(messages))


def event_broadcasts(event: Envelope, target: str = OWN_TOPICS) -> Sequence[Broadcast]:
    """Give what sockets hear of an event, all of it on private topics of the event's tenant.

    Args:
        event: A committed event.
        target: `*` for the event's own topics: the one a watched table gave it, otherwise `tenant:<id>` and
            `tenant:<id>:<module>`. Anything else is the one topic to use instead.
    """
    try:
        if target not in ("", OWN_TOPICS):
            return (_of_event(event, checked_topic(target)),)
        if event.topic is not None:
            return (_of_row(event, checked_topic(event.topic)),)
        whole = _of_event(event, topic_name(event.tenant_id))
        # The very same payload, so that both travel in one message: every event is told here.
        return whole, msgspec.structs.replace(whole, topic=topic_name(event.tenant_id, module_of(event.event_type)))
    except InvalidInputError as error:
        tell("broadcast.dropped", reason=error.code)
        return ()


def _of_event(event: Envelope, topic: str) -> Broadcast:
    payload = encode_json(public_envelope(event))
    return Broadcast(event.tenant_id, True, topic, event.event_type, payload, _meta(event))


def _of_row(event: Envelope, topic: str) -> Broadcast:
    """A row's change is told as the stock database trigger tells it: its operation names the event."""
    try:
        operation = msgspec.json.decode(event.payload, type=_RowPayload).operation
    except msgspec.MsgspecError:
        return _of_event(event, topic)
    return Broadcast(event.tenant_id, True, topic, operation, bytes(event.payload), _meta(event))


def _meta(event: Envelope) -> bytes:
    return b'{"id":"%b"}' % str(event.id).encode()


_CONTRACT: type[LiveSink] = RealtimeSink
