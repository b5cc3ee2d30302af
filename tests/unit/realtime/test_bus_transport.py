"""The built-in server as a transport."""

from collections.abc import Sequence

from rowcast.bus.memory import MemoryBus
from rowcast.core.errors import StoreUnavailableError
from rowcast.core.outcome import Delivered, Retry
from rowcast.realtime.bus_transport import BusTransport
from rowcast.realtime.hub import SUBJECT
from rowcast.realtime.messages import Broadcast, unpack_broadcasts

ROOM = Broadcast("acme", True, "room", "said", b"{}")
HALL = Broadcast("acme", True, "hall", "said", b"{}")


class Apart(MemoryBus):
    async def publish(self, subject: str, messages: Sequence[bytes]) -> None:
        raise StoreUnavailableError("away")


async def test_broadcasts_reach_the_bus_in_order() -> None:
    heard: list[bytes] = []
    bus = MemoryBus()
    bus.subscribe(SUBJECT, heard.append)

    assert await BusTransport(bus=bus).send("e1", [ROOM, HALL, ROOM]) == Delivered()

    assert [told for message in heard for told in unpack_broadcasts(message)] == [ROOM, HALL, ROOM]


async def test_nodes_that_cannot_be_told_are_a_reason_to_try_again() -> None:
    assert await BusTransport(bus=Apart()).send("e1", [ROOM]) == Retry("bus_unavailable")
