"""The built-in server as a transport: over the bus to the sockets of all nodes."""

from collections.abc import Sequence

from rowcast.bus.bus import Bus
from rowcast.core.errors import StoreUnavailableError
from rowcast.core.outcome import Delivered, Outcome, Retry
from rowcast.realtime.hub import SUBJECT
from rowcast.realtime.messages import Broadcast, pack_broadcasts
from rowcast.realtime.transport import Transport


class BusTransport:
    """Tells the sockets of all nodes; what is sent again is told again, with the same `meta.id`."""

    __slots__ = ("_bus",)

    name = "built-in"

    def __init__(self, *, bus: Bus) -> None:
        """Publish to `bus`."""
        self._bus = bus

    async def send(self, message_id: str, broadcasts: Sequence[Broadcast]) -> Outcome:
        """Broadcast; `Retry` when only this node's sockets could be told."""
        try:
            await self._bus.publish(SUBJECT, pack_broadcasts(broadcasts))
        except StoreUnavailableError:
            return Retry("bus_unavailable")
        return Delivered()


_CONTRACT: type[Transport] = BusTransport
