"""What the database sends (`realtime.send`, `realtime.broadcast_changes`) becomes broadcasts on the bus."""

from collections.abc import Sequence

from rowcast.bus.bus import Bus
from rowcast.core.errors import InvalidInputError, StoreUnavailableError
from rowcast.core.stored_message import StoredMessage
from rowcast.core.telemetry import tell
from rowcast.core.topic import checked_topic, parse_topic
from rowcast.realtime.authorize import DEFAULT_TENANT
from rowcast.realtime.hub import SUBJECT
from rowcast.realtime.messages import Broadcast, pack_broadcasts


class DatabaseMessages:
    """Tells the sockets of all nodes. A node that the bus cannot reach now misses them; sockets keep no rows."""

    __slots__ = ("_bus",)

    def __init__(self, *, bus: Bus) -> None:
        """Publish to `bus`."""
        self._bus = bus

    async def hear(self, messages: Sequence[StoredMessage]) -> None:
        """Broadcast committed messages, in order."""
        broadcasts = [broadcast for message in messages if (broadcast := message_broadcast(message)) is not None]
        if not broadcasts:
            return
        try:
            await self._bus.publish(SUBJECT, pack_broadcasts(broadcasts))
        except StoreUnavailableError:
            # This node's sockets were told; the others catch up from the table.
            tell("realtime.bus_failed", messages=len(broadcasts))


def message_broadcast(message: StoredMessage) -> Broadcast | None:
    """Give what sockets hear of a message; None for one on a topic that nobody can join."""
    try:
        topic = checked_topic(message.topic)
    except InvalidInputError as error:
        tell("broadcast.dropped", reason=error.code)
        return None
    return Broadcast(
        message.tenant_id or _named_tenant(message) or DEFAULT_TENANT,
        message.is_private,
        topic,
        message.event,
        message.payload,
        b'{"id":"%b"}' % message.id.encode(),
        "binary" if message.is_binary else "user",
    )


def _named_tenant(message: StoredMessage) -> str | None:
    """Give the tenant that a private topic `tenant:<id>...` names."""
    if not message.is_private or not message.topic.startswith("tenant:"):
        return None
    try:
        return parse_topic(message.topic).tenant_id
    except InvalidInputError:
        return None
