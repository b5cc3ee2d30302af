"""The bus over LISTEN and NOTIFY: tells other nodes without another server. Never used on the application's write path.

NOTIFY in an application's transaction takes a lock that all commits share; here one connection per node notifies for
many messages at once.
"""

import asyncio
import itertools
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import msgspec

from rowcast.bus.bus import Bus, Subscriber
from rowcast.bus.kept_connection import KeptConnection
from rowcast.bus.packet import Packet, Seal, pack
from rowcast.bus.senders import Senders
from rowcast.bus.subscribers import Subscribers
from rowcast.core.errors import ConfigError, RowcastError, StoreUnavailableError
from rowcast.core.retry import RetryPolicy
from rowcast.core.telemetry import tell
from rowcast.store.listen import listen
from rowcast.store.pool import Connection, connect
from rowcast.store.sql import load_queries

_CHANNEL = "rowcast_bus"
_ROOM = "rowcast.bus"
_LOCK_CLASS = 0x726F7763
_EVERYTHING = 67
"""The advisory lock that nodes share who hear every subject; 0 to 66 belong to relays. A subject has one of its own, so
that what nobody else hears is told to nobody else."""
_SUBJECT_LOCKS = 1 << 30


class PostgresBusSettings(msgspec.Struct, frozen=True):
    """Bounds. `queued_bytes` waits while the database is away; what comes on top is refused.

    A node that is alone asks only every `alone_s` whether it still is: each question costs the database more than a
    broadcast costs us.
    """

    timeout_s: float = 5.0
    heartbeat_s: float = 10.0
    queued_bytes: int = 16 * 1024 * 1024
    inbox_packets: int = 10_000
    packets_per_send: int = 256
    alone_s: float = 0.005
    reconnect: RetryPolicy = RetryPolicy(base_s=0.1, cap_s=1.0, jitter=0.3)


class PostgresBus:
    """Tells this process at once and the other nodes through the database."""

    def __init__(
        self,
        dsn: str,
        *,
        node: bytes,
        noise: Callable[[], float],
        settings: PostgresBusSettings | None = None,
        hears: Sequence[str] | None = None,
    ) -> None:
        """Use a connection of its own to `dsn`.

        Args:
            dsn: `postgresql://...`.
            node: 16 random bytes: tells this node's packets from others'.
            noise: Gives random numbers from 0 to 1, so that nodes do not reconnect all at once.
            settings: Bounds.
            hears: The only subjects that this process subscribes to; left out when it may be any.
        """
        self._dsn = dsn
        self._hears = hears
        self._node = node
        self._settings = settings or PostgresBusSettings()
        self._subscribers = Subscribers()
        self._senders = Senders()
        self._unsent: deque[Packet] = deque()
        self._unsent_bytes = 0
        self._inbox: deque[Packet] = deque()
        self._queued = self._number = 0
        self._connects = 0
        self._seal: Seal | None = None
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._is_connected = False
        self._is_lost = self._is_alone = False
        self._kept = KeptConnection(
            connect=self._try_connect,
            use=self._serve_until_lost,
            let_go=self._let_go,
            retry=self._settings.reconnect,
            noise=noise,
        )

    @property
    def is_connected(self) -> bool:
        """Tell whether the other nodes can be told now."""
        return self._is_connected

    async def open(self) -> None:
        """Connect and keep connected; where the database is away now, connect as soon as it is back.

        Raises:
            ConfigError: `config.database`, when it refuses us: waiting would not help.
        """
        await self._kept.open("bus:postgres")

    async def publish(self, subject: str, messages: Sequence[bytes]) -> None:
        """Hand messages to this process at once, then to the other nodes.

        Waits until the database has them, a few seconds at most; while it is away they are kept, up to the bound.
        Where nobody else has listened of late it does not wait: nobody misses anything.

        Raises:
            StoreUnavailableError: The bound is reached or the bus is closed; only this process was told.
        """
        self._subscribers.tell(subject, messages)
        if not messages:
            return
        last = self._queue(subject, messages)
        if self._is_connected and not self._is_alone:
            await self._wait_for(last)

    def subscribe(self, subject: str, subscriber: Subscriber) -> Callable[[], None]:
        """Add a subscriber and give the function that removes it."""
        return self._subscribers.add(subject, subscriber)

    async def close(self) -> None:
        """Let go of the connection; what is unsent is dropped."""
        await self._kept.close()
        self._unsent.clear()
        self._unsent_bytes = 0
        self._inbox.clear()

    def _queue(self, subject: str, messages: Sequence[bytes]) -> int:
        size_bytes = sum(map(len, messages))
        if not self._kept.is_open or self._unsent_bytes + size_bytes > self._settings.queued_bytes:
            raise StoreUnavailableError(
                "The bus cannot reach the other nodes now; only this one was told. Check the database."
            )
        # Numbered when they are sent: receivers take a missing number for a loss.
        packets = pack(self._node, subject, messages)
        self._queued += len(packets)
        self._unsent.extend(packets)
        self._unsent_bytes += size_bytes
        self._wake.set()
        return self._queued

    async def _wait_for(self, place: int) -> None:
        """Wait until a packet is sent; within the bound and while connected; it stays queued otherwise."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                while self._is_connected and self._unsent and self._queued - len(self._unsent) < place:
                    await self._settled.wait()
        except TimeoutError:
            tell("bus.slow")

    async def _try_connect(self) -> Connection | None:
        self._is_lost = False
        self._connects += 1
        on_lost = partial(self._lose_connection, self._connects)
        try:
            if self._seal is None:
                self._seal = await self._read_key()
            connection = await listen(
                self._dsn, _CHANNEL, on_message=self._hear, on_lost=on_lost, timeout_s=self._settings.timeout_s
            )
            await self._announce(connection)
        except StoreUnavailableError:
            tell("bus.unreachable")
            return None
        self._is_connected = not self._is_lost
        tell("bus.connected")
        return connection

    async def _announce(self, connection: Connection) -> None:
        try:
            locks = [_EVERYTHING] if self._hears is None else [subject_lock(subject) for subject in self._hears]
            await connection.fetch(load_queries(_ROOM)["announce"], lock_class=_LOCK_CLASS, locks=locks)
        except BaseException:
            await connection.close()
            raise

    async def _read_key(self) -> Seal:
        connection = await connect(self._dsn, timeout_s=self._settings.timeout_s)
        try:
            row = await connection.fetch_one(load_queries(_ROOM)["read_key"])
        finally:
            await connection.close()
        if row is None:
            raise ConfigError("The database has no key for the bus. Run 'rowcast migrate'.", code="config.schema")
        return Seal(row["key"])

    async def _serve_until_lost(self, connection: Connection) -> None:
        try:
            while not self._is_lost:
                await self._serve(connection)
        except RowcastError as error:
            tell("bus.lost", code=error.code)
        except Exception as error:  # noqa: BLE001 - task boundary: the bus connects again whatever went wrong
            tell("bus.crashed", error=type(error).__name__)

    async def _let_go(self, connection: Connection | None) -> None:
        self._lose()
        if connection is not None:
            await connection.close()

    async def _serve(self, connection: Connection) -> None:
        if self._is_alone and self._unsent:
            await asyncio.sleep(self._settings.alone_s)
        await self._send(connection)
        while self._inbox:
            await self._fetch_and_tell(connection, self._inbox[0])
            self._inbox.popleft()
        self._wake.clear()
        if self._unsent or self._inbox or self._is_lost:
            return
        try:
            async with asyncio.timeout(self._settings.heartbeat_s):
                await self._wake.wait()
        except TimeoutError:
            # Also the heartbeat: a connection that is half open fails here, and is made anew.
            await connection.execute(load_queries(_ROOM)["delete_old_bodies"])

    async def _send(self, connection: Connection) -> None:
        waiting, seal = len(self._unsent), self._seal
        if not waiting or seal is None:
            return
        # Asked after the packets were published: who begins to listen later cannot have missed them.
        row = await connection.fetch_one(load_queries(_ROOM)["heard"], lock_class=_LOCK_CLASS)
        heard = frozenset(row["locks"]) if row else frozenset()
        self._is_alone = not heard
        if heard:
            waiting = min(waiting, self._settings.packets_per_send)
            await self._notify(connection, seal, self._numbered(waiting, heard))
        for _ in range(waiting):
            self._unsent_bytes -= sum(map(len, self._unsent.popleft().messages))
        self._settle()

    def _numbered(self, count: int, heard: frozenset[int]) -> list[Packet]:
        """Give those of the next packets that are heard. One that is sent again keeps its number: it is heard once."""
        packets = []
        for place, packet in enumerate(list(itertools.islice(self._unsent, count))):
            if not _is_heard(packet, heard):
                continue
            if not packet.number:
                self._number += 1
                packet = self._unsent[place] = msgspec.structs.replace(packet, number=self._number)  # noqa: PLW2901
            packets.append(packet)
        return packets

    async def _notify(self, connection: Connection, seal: Seal, packets: Sequence[Packet]) -> None:
        if not packets:
            return
        long = [packet for packet in packets if packet.is_stored]
        queries = load_queries(_ROOM)
        async with connection.transaction():
            if long:
                await connection.execute(
                    queries["store_bodies"],
                    node=self._node,
                    numbers=[packet.number for packet in long],
                    bodies=[packet.messages[0] for packet in long],
                )
            await connection.fetch(queries["notify"], packets=[seal.close(packet) for packet in packets])

    def _hear(self, text: str) -> None:
        packet = self._seal.open(text) if self._seal else None
        if packet is None:
            tell("bus.dropped", reason="forged")
            return
        if packet.node == self._node:
            return
        missed = self._senders.take(packet.node, packet.number)
        if missed is None:
            return
        if missed:
            tell("bus.gap", packets=missed)
        if not packet.is_stored and not self._inbox:
            self._subscribers.tell(packet.subject, packet.messages)
        elif len(self._inbox) < self._settings.inbox_packets:
            self._inbox.append(packet)
            self._wake.set()
        else:
            tell("bus.dropped", reason="inbox_full")

    async def _fetch_and_tell(self, connection: Connection, packet: Packet) -> None:
        messages: Sequence[bytes] = packet.messages
        if packet.is_stored:
            row = await connection.fetch_one(load_queries(_ROOM)["fetch_body"], node=packet.node, number=packet.number)
            messages = () if row is None else (row["body"],)
            if row is None:
                tell("bus.dropped", reason="expired")
        self._subscribers.tell(packet.subject, messages)

    def _lose_connection(self, number: int) -> None:
        # The end of an earlier connection may be told when the next one is up.
        if number == self._connects:
            self._lose()

    def _lose(self) -> None:
        self._is_lost, self._is_connected, self._is_alone = True, False, False
        self._wake.set()
        self._settle()

    def _settle(self) -> None:
        """Wake everybody who waits for packets to be sent; each looks for itself."""
        self._settled.set()
        self._settled.clear()


def subject_lock(subject: str) -> int:
    """Give the number of the lock that says that a node hears a subject."""
    return _SUBJECT_LOCKS | zlib.crc32(subject.encode()) >> 2


def _is_heard(packet: Packet, locks: frozenset[int]) -> bool:
    return _EVERYTHING in locks or subject_lock(packet.subject) in locks


def _contract(bus: PostgresBus) -> Bus:
    return bus
