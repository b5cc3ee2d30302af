"""The hub: one per process. Knows every socket and who hears which topic; the bus tells it what to broadcast."""

import asyncio
import itertools
import os
from collections import deque
from collections.abc import Callable
from typing import Protocol

import msgspec

from rowcast.bus.bus import Bus
from rowcast.core.clock import Clock, SystemClock
from rowcast.core.errors import StoreUnavailableError
from rowcast.core.telemetry import tell
from rowcast.realtime.fan_out import FanOut, FanOutLimits, Receiver, Subscribers
from rowcast.realtime.frames import RESTART
from rowcast.realtime.messages import Broadcast, Malformed, TopicKey, pack_broadcast, unpack_broadcast
from rowcast.realtime.wheel import Watched, Wheel

SUBJECT = "realtime"
"""The subject of the bus on which every node hears all broadcasts."""

_TICK_S = 1.0
_CLOSES_PER_STEP = 64


class HubLimits(msgspec.Struct, frozen=True):
    """Bounds of one process. `outgoing` counts clients' broadcasts that wait for the bus; more are refused."""

    outgoing: int = 10_000
    bus_timeout_s: float = 5.0
    close_s: float = 5.0
    fan_out: FanOutLimits = FanOutLimits()


class Connected(Watched, Protocol):
    """A connection as the hub sees it."""

    def shut(self, text: str, code: int) -> None:
        """Say goodbye; the connection ends when the peer has answered."""
        ...

    def cut(self, reason: str) -> None:
        """End it now."""
        ...


class Hub:
    """Sockets come and go here, and broadcasts from the bus are fanned out."""

    def __init__(self, *, bus: Bus, clock: Clock | None = None, limits: HubLimits | None = None) -> None:
        """Stand beside `bus`, which is opened and closed by whoever made it."""
        self.clock = clock or SystemClock()
        self.wheel = Wheel()
        self._bus = bus
        self._limits = limits or HubLimits()
        self._topics: dict[TopicKey, Subscribers] = {}
        self._connections: dict[Connected, int] = {}
        self._outgoing: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        # The high half tells the nodes apart; 63 bits fit every integer on the way.
        self._numbers = itertools.count((int.from_bytes(os.urandom(4), "big") >> 1 << 32) + 1)
        self._is_open = False

    async def open(self) -> None:
        """Begin to hear the bus; callable again after `close`."""
        loop = asyncio.get_running_loop()
        self._fan_out = FanOut(call_soon=loop.call_soon, limits=self._limits.fan_out)
        self._unsubscribe = self._bus.subscribe(SUBJECT, self.hear)
        self._is_open = True
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._pump = self._group.create_task(self._publish_outgoing(), name="realtime:publish")
        self._timer = loop.call_later(_TICK_S, self._tick)

    async def close(self, reason: str = "Server requested disconnect", *, code: int = RESTART) -> None:
        """Say goodbye to every socket and wait for them, a few seconds at most; then cut what is left."""
        if not self._is_open:
            return
        self._is_open = False
        await self._close_connections(reason, code)
        self._timer.cancel()
        self._unsubscribe()
        self._pump.cancel()
        await self._group.__aexit__(None, None, None)
        tell("realtime.closed")

    @property
    def is_open(self) -> bool:
        """Tell whether new sockets are taken."""
        return self._is_open

    @property
    def connections(self) -> int:
        """Give how many connections are open, those that still say what they want included."""
        return len(self._connections)

    @property
    def topics(self) -> int:
        """Give how many topics are joined here."""
        return len(self._topics)

    def next_number(self) -> int:
        """Give a number that no other socket of any node has."""
        return next(self._numbers)

    def add(self, connection: Connected) -> None:
        """Look after a new connection."""
        self._connections[connection] = self.wheel.add(connection)
        self._is_empty.clear()

    def remove(self, connection: Connected) -> None:
        """Forget a connection that is gone; a stranger is ignored."""
        slot = self._connections.pop(connection, None)
        if slot is not None:
            self.wheel.remove(connection, slot)
        if not self._connections:
            self._is_empty.set()

    def subscribe(self, key: TopicKey, receiver: Receiver) -> None:
        """Let `receiver` hear a topic."""
        found = self._topics.get(key)
        if found is None:
            found = self._topics[key] = Subscribers()
        found.receivers[receiver] = None

    def unsubscribe(self, key: TopicKey, receiver: Receiver) -> None:
        """Let it hear the topic no longer."""
        found = self._topics.get(key)
        if found is None:
            return
        found.receivers.pop(receiver, None)
        if not found.receivers:
            del self._topics[key]

    def publish(self, broadcast: Broadcast) -> bool:
        """Hand a client's broadcast to the bus; False when too many wait, or the hub is closing."""
        if not self._is_open or len(self._outgoing) >= self._limits.outgoing:
            return False
        self._outgoing.append(pack_broadcast(broadcast))
        self._wake.set()
        return True

    def hear(self, message: bytes) -> None:
        """Fan out what the bus brought."""
        broadcast = unpack_broadcast(message)
        if isinstance(broadcast, Malformed):
            tell("broadcast.dropped", reason="malformed")
            return
        found = self._topics.get(broadcast.key)
        if found is not None:
            self._fan_out.add(found, broadcast)

    async def _publish_outgoing(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch = list(self._outgoing)
            self._outgoing.clear()
            if batch:
                await self._publish_batch(batch)

    async def _publish_batch(self, batch: list[bytes]) -> None:
        try:
            async with asyncio.timeout(self._limits.bus_timeout_s):
                await self._bus.publish(SUBJECT, batch)
        except (StoreUnavailableError, TimeoutError):
            tell("realtime.bus_failed", messages=len(batch))
        except Exception as error:  # noqa: BLE001 - task boundary: one bad batch must not silence the node
            tell("realtime.bus_crashed", error=type(error).__name__)

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)
        self.wheel.tick(self.clock.monotonic_s())

    async def _close_connections(self, reason: str, code: int) -> None:
        await self._in_slices(lambda connection: connection.shut(reason, code))
        try:
            async with asyncio.timeout(self._limits.close_s):
                await self._is_empty.wait()
        except TimeoutError:
            await self._in_slices(lambda connection: connection.cut("closing"))

    async def _in_slices(self, act: Callable[[Connected], None]) -> None:
        for number, connection in enumerate(list(self._connections)):
            act(connection)
            if number % _CLOSES_PER_STEP == _CLOSES_PER_STEP - 1:
                await asyncio.sleep(0)
