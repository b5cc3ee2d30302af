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
from rowcast.realtime import replies
from rowcast.realtime.asking import Outside
from rowcast.realtime.audit import ActivityLog
from rowcast.realtime.channel_policy import Fault
from rowcast.realtime.ear import ChangeFrames, ChannelChanges, Ear
from rowcast.realtime.effects import Answer, Follow, MayRead, MayWrite, Recall
from rowcast.realtime.fan_out import BROADCASTS, PRESENCES, FanOut, FanOutLimits, Listener, Receiver, Subscribers
from rowcast.realtime.frames import RESTART
from rowcast.realtime.limits import Meters, RealtimeLimits
from rowcast.realtime.messages import Broadcast, Malformed, TopicKey, pack_broadcast, unpack_broadcasts
from rowcast.realtime.presence import PresenceTimes
from rowcast.realtime.presence_board import PRESENCE_SUBJECT, PresenceBoard
from rowcast.realtime.session import SessionRules
from rowcast.realtime.wheel import Watched, Wheel

SUBJECT = "realtime"
"""The subject of the bus on which every node hears all broadcasts."""

_TICK_S = 1.0
_SWEEP_TICKS = 600
_CLOSES_PER_STEP = 64


class HubLimits(msgspec.Struct, frozen=True):
    """Bounds of one process. `outgoing` counts clients' broadcasts that wait for the bus; more are refused."""

    outgoing: int = 10_000
    bus_timeout_s: float = 5.0
    close_s: float = 5.0
    fan_out: FanOutLimits = FanOutLimits()
    presence: PresenceTimes = PresenceTimes()


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

    def __init__(
        self,
        *,
        bus: Bus,
        clock: Clock | None = None,
        limits: HubLimits | None = None,
        outside: Outside | None = None,
        tenant_limits: RealtimeLimits | None = None,
    ) -> None:
        """Stand beside `bus`, which is opened and closed by whoever made it.

        Args:
            bus: Tells the other nodes.
            clock: Time.
            limits: Bounds of this process.
            outside: Who is asked about private channels, changed rows and what was told before.
            tenant_limits: Bounds of each tenant.
        """
        self.clock = clock or SystemClock()
        self.wheel = Wheel()
        self.outside = outside or Outside()
        self.activity: ActivityLog | None = None
        """Told what sockets do, where somebody keeps a record of it."""
        self.meters = Meters(tenant_limits)
        self.change_frames = ChangeFrames()
        self._bus = bus
        self._limits = limits or HubLimits()
        self._topics: dict[TopicKey, Subscribers] = {}
        self.on_topic: Callable[[TopicKey, bool], None] = _ignore
        """Told when a topic is joined by the first here and left by the last: who passes messages on asks for it."""
        self._connections: dict[Connected, int] = {}
        self._outgoing: deque[tuple[str, bytes]] = deque()
        self._on_the_way = 0
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        # The high half tells the nodes apart; 63 bits fit every integer on the way.
        node = int.from_bytes(os.urandom(4), "big") >> 1
        self._numbers = itertools.count((node << 32) + 1)
        self._is_open = False
        self._questions = 0
        self._following: dict[ChannelChanges, Follow | None] = {}
        self._ticks = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Begin to hear the bus; callable again after `close`."""
        loop = asyncio.get_running_loop()
        self._fan_out = FanOut(call_soon=loop.call_soon, limits=self._limits.fan_out)
        # A name of its own each time: what an earlier life told is not counted on.
        self.presences = PresenceBoard(
            os.urandom(8).hex(),
            clock=self.clock,
            publish=self._enqueue,
            show=self._fan_out_here,
            times=self._limits.presence,
        )
        self._unsubscribes = (
            self._bus.subscribe(SUBJECT, self.hear),
            self._bus.subscribe(PRESENCE_SUBJECT, self.presences.hear),
        )
        self._outgoing.clear()
        self._is_open = True
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._timer = loop.call_later(_TICK_S, self._tick)
        self.presences.open()

    async def close(self, reason: str = "Server requested disconnect", *, code: int = RESTART) -> None:
        """Say goodbye to every socket and wait for them, a few seconds at most; then cut what is left."""
        if not self._is_open:
            return
        self._is_open = False
        await self._close_connections(reason, code)
        self._timer.cancel()
        self.presences.close()
        for subject, messages in self._take_outgoing().items():
            await self._publish_to(subject, messages)
        for unsubscribe in self._unsubscribes:
            unsubscribe()
        for task in tuple(self._tasks):
            task.cancel()
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

    def subscribe(self, key: TopicKey, receiver: Receiver, hears: int = BROADCASTS | PRESENCES) -> None:
        """Let `receiver` hear a topic, or one kind of what is told there."""
        self._subscribers(key).add(receiver, hears)

    def told_on(self, key: TopicKey) -> int:
        """Give how many broadcasts a topic has been told here since it was joined by the first."""
        found = self._topics.get(key)
        return 0 if found is None else found.told

    def listen(self, key: TopicKey, listener: Listener) -> None:
        """Let `listener` hear a topic's broadcasts one by one."""
        found = self._subscribers(key)
        if found.listeners is None:
            found.listeners = {}
        found.listeners[listener] = None

    def unsubscribe(self, key: TopicKey, *whoever: Receiver | Listener) -> None:
        """Let them hear the topic no longer; a stranger is ignored."""
        found = self._topics.get(key)
        if found is None:
            return
        for one in whoever:
            found.forget(one)
        if not found.receivers and not found.listeners:
            del self._topics[key]
            self.on_topic(key, False)

    def end_session(self, key: TopicKey, session: str) -> None:
        """End the sockets of a session that this node has lost something for: its client comes back and recovers."""
        found = self._topics.get(key)
        for listener in list(found.listeners or ()) if found is not None else ():
            if isinstance(listener, Ear) and listener.session == session:
                listener.end("gap")

    def ask(self, question: MayRead | MayWrite | Recall, then: Callable[[Answer], None]) -> None:
        """Find something out and give it to `then`; a `Fault` at once when too many questions wait."""
        if not self._is_open:
            then(Fault(replies.RESTARTING))
            return
        if self._questions >= self.outside.limits.waiting:
            tell("channel.unanswered", reason="overload")
            then(Fault(replies.TOO_MANY_QUESTIONS))
            return
        self._questions += 1
        self._keep(self._group.create_task(self._answer(question, then), name="realtime:ask"))

    def follow(self, question: Follow, receiver: ChannelChanges, then: Callable[[Answer], None]) -> None:
        """Subscribe to changes and call `then` when they are live, or when it takes too long to wait for that."""
        if not self._is_open:
            return
        if receiver in self._following:
            # The newest claims count; a client that renews its token all the time keeps one question going, not many.
            self._following[receiver] = question
            return
        self._following[receiver] = None
        self._keep(self._group.create_task(self._follow(question, receiver, then), name="realtime:follow"))

    def unfollow(self, receiver: ChannelChanges) -> None:
        """Tell a channel of changed rows no longer."""
        if self.outside.changes is not None:
            self.outside.changes.unsubscribe(receiver)

    @property
    def rules(self) -> SessionRules:
        """Give what sessions of this node can have."""
        return SessionRules(has_changes=self.outside.changes is not None, has_log=self.outside.log is not None)

    async def _answer(self, question: MayRead | MayWrite | Recall, then: Callable[[Answer], None]) -> None:
        try:
            then(await self.outside.answer(question))
        except Exception as error:  # noqa: BLE001 - task boundary: a fault of one socket must not end the others
            tell("socket.crashed", error=type(error).__name__)
        finally:
            self._questions -= 1

    async def _follow(self, question: Follow, receiver: ChannelChanges, then: Callable[[Answer], None]) -> None:
        wait_s, late = self.outside.late(question)
        patience = asyncio.get_running_loop().call_later(wait_s, then, late)
        newest: Follow | None = question
        try:
            while newest is not None and not receiver.is_over:
                self._following[receiver] = None
                then(await self.outside.follow(newest, receiver))
                newest = self._following[receiver]
        except Exception as error:  # noqa: BLE001 - task boundary: a fault of one socket must not end the others
            tell("socket.crashed", error=type(error).__name__)
        finally:
            patience.cancel()
            del self._following[receiver]

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _subscribers(self, key: TopicKey) -> Subscribers:
        found = self._topics.get(key)
        if found is None:
            found = self._topics[key] = Subscribers()
            self.on_topic(key, True)
        return found

    def publish(self, broadcast: Broadcast) -> bool:
        """Hand a client's broadcast to the bus; False when too many wait, or the hub is closing."""
        return self._is_open and self._enqueue(SUBJECT, pack_broadcast(broadcast))

    def hear(self, message: bytes) -> None:
        """Fan out what the bus brought."""
        told = unpack_broadcasts(message)
        if isinstance(told, Malformed):
            tell("broadcast.dropped", reason="malformed")
            return
        for broadcast in told:
            self._fan_out_here(broadcast)

    def _fan_out_here(self, broadcast: Broadcast) -> None:
        found = self._topics.get(broadcast.key)
        if found is not None:
            found.told += 1
            self._fan_out.add(found, broadcast)

    def _enqueue(self, subject: str, message: bytes) -> bool:
        if len(self._outgoing) + self._on_the_way >= self._limits.outgoing:
            return False
        if not self._outgoing and self._is_open:
            # A task that has not begun: what comes in the same turn of the loop goes together.
            self._keep(self._group.create_task(self._publish_outgoing(), name="realtime:publish"))
        self._outgoing.append((subject, message))
        return True

    async def _publish_outgoing(self) -> None:
        """Hand on what waits. This node is told at once and in order, though the way to others may take longer."""
        found = list(self._take_outgoing().items())
        for subject, messages in found[1:]:
            self._keep(self._group.create_task(self._publish_to(subject, messages), name="realtime:publish"))
        for subject, messages in found[:1]:
            await self._publish_to(subject, messages)

    def _take_outgoing(self) -> dict[str, list[bytes]]:
        found: dict[str, list[bytes]] = {}
        for subject, message in self._outgoing:
            found.setdefault(subject, []).append(message)
        self._on_the_way += len(self._outgoing)
        self._outgoing.clear()
        return found

    async def _publish_to(self, subject: str, messages: list[bytes]) -> None:
        try:
            async with asyncio.timeout(self._limits.bus_timeout_s):
                await self._bus.publish(subject, messages)
        except (StoreUnavailableError, TimeoutError):
            tell("realtime.bus_failed", messages=len(messages))
        except Exception as error:  # noqa: BLE001 - task boundary: one bad batch must not silence the node
            tell("realtime.bus_crashed", error=type(error).__name__)
        finally:
            self._on_the_way -= len(messages)

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_TICK_S, self._tick)
        self.wheel.tick(self.clock.monotonic_s())
        self.presences.tick()
        self._ticks += 1
        if self._ticks % _SWEEP_TICKS == 0:
            self.meters.sweep()

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


def _ignore(key: TopicKey, is_joined: bool) -> None:
    """Nobody wants to know."""
