"""The bus over NATS: tells many nodes without a word to the database. NATS keeps nothing; rowcast does not ask it to.

Reconnecting is ours, not the client library's: it would keep what is published meanwhile and say nothing of it.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import SlowConsumerError

from rowcast.bus.bus import Bus, Subscriber
from rowcast.bus.kept_connection import KeptConnection
from rowcast.bus.nats_packet import NatsPacket, NatsSeal, Pieces, pack_for_nats
from rowcast.bus.senders import Senders
from rowcast.bus.subscribers import Subscribers
from rowcast.core.errors import ConfigError, StoreUnavailableError
from rowcast.core.retry import RetryPolicy
from rowcast.core.telemetry import tell

_QUICK_TURNS, _TURN_S = 3, 0.001
_SCHEMES = ("nats://", "tls://")
_REFUSALS = ("authorization", "authentication")


class NatsBusSettings(msgspec.Struct, frozen=True):
    """Bounds. `queued_bytes` may wait for the server; what comes on top is refused."""

    timeout_s: float = 5.0
    heartbeat_s: float = 5.0
    queued_bytes: int = 16 * 1024 * 1024
    inbox_bytes: int = 64 * 1024 * 1024
    packet_bytes: int = 256 * 1024
    packets_per_send: int = 256
    reconnect: RetryPolicy = RetryPolicy(base_s=0.1, cap_s=2.0, jitter=0.5)


class _Unsent(msgspec.Struct, frozen=True):
    number: int
    subject: str
    packet: NatsPacket

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.packet.messages))


class NatsBus:
    """Tells this process at once and the other nodes through a NATS server."""

    def __init__(
        self,
        url: str,
        *,
        key: bytes,
        node: bytes,
        noise: Callable[[], float],
        settings: NatsBusSettings | None = None,
    ) -> None:
        """Use a connection of its own to `url`.

        Args:
            url: `nats://user:password@host:port`, or several of one cluster, separated by commas.
            key: 32 bytes that all nodes share: seals what is said and names the subjects.
            node: 16 random bytes: tells this node's packets from others'.
            noise: Gives random numbers from 0 to 1, so that nodes do not reconnect all at once.
            settings: Bounds.
        """
        self._urls = [part.strip() for part in url.split(",") if part.strip()]
        self._seal = NatsSeal(key)
        self._node = node
        self._settings = settings or NatsBusSettings()
        self._subscribers = Subscribers()
        self._senders = Senders()
        self._pieces = Pieces(self._settings.queued_bytes)
        self._unsent: deque[_Unsent] = deque()
        self._unsent_bytes = 0
        self._numbers: dict[str, int] = {}
        self._queued = 0
        self._sent = 0
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._is_connected = False
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
        """Connect and keep connected; where NATS is away now, connect as soon as it is back.

        Raises:
            ConfigError: `config.bus`, when the address is none or the server refuses us: waiting would not help.
        """
        _check_urls(self._urls)
        await self._kept.open("bus:nats")

    async def publish(self, subject: str, messages: Sequence[bytes]) -> None:
        """Hand messages to this process at once, then to the other nodes; waits until the server has them.

        Raises:
            StoreUnavailableError: The server is away, too slow, or the bus is closed; only this process was told.
        """
        self._subscribers.tell(subject, messages)
        if not messages:
            return
        if not await self._wait_for(self._queue(subject, messages)):
            raise _unreachable()

    def subscribe(self, subject: str, subscriber: Subscriber) -> Callable[[], None]:
        """Add a subscriber and give the function that removes it."""
        return self._subscribers.add(subject, subscriber)

    async def close(self) -> None:
        """Let go of the connection; what is unsent is dropped."""
        await self._kept.close()

    def _queue(self, subject: str, messages: Sequence[bytes]) -> int:
        size_bytes = sum(map(len, messages))
        client = self._kept.current
        if client is None or not self._is_connected or self._unsent_bytes + size_bytes > self._settings.queued_bytes:
            raise _unreachable()
        first = self._numbers.get(subject, 0) + 1
        limit_bytes = min(self._settings.packet_bytes, client.max_payload)
        for packet in pack_for_nats(messages, node=self._node, first_number=first, limit_bytes=limit_bytes):
            self._numbers[subject] = packet.number
            self._queued += 1
            self._unsent.append(_Unsent(self._queued, subject, packet))
        self._unsent_bytes += size_bytes
        self._wake.set()
        return self._queued

    async def _wait_for(self, number: int) -> bool:
        """Wait until a packet is sent, within the bound; False when the connection was lost before."""
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                while self._sent < number and self._is_connected:
                    await self._settled.wait()
        except TimeoutError:
            tell("bus.slow")
        return self._sent >= number

    async def _try_connect(self) -> Client | None:
        client = Client()
        try:
            async with asyncio.timeout(self._settings.timeout_s):
                await self._connect(client)
        except (TimeoutError, OSError, NatsError) as error:
            await _end(client)
            if any(word in str(error).lower() for word in _REFUSALS):
                raise ConfigError(
                    "The NATS server refuses us. Check the user and password in bus.url.", code="config.bus"
                ) from None
            tell("bus.unreachable")
            return None
        self._is_connected = True
        tell("bus.connected")
        return client

    async def _connect(self, client: Client) -> None:
        async def closed() -> None:
            if client is self._kept.current:
                self._lose()

        await client.connect(
            self._urls,
            name="rowcast",
            # One try of each server: what follows a failure is decided here.
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=max(1, int(self._settings.timeout_s)),
            ping_interval=max(1, int(self._settings.heartbeat_s)),
            no_echo=True,
            closed_cb=closed,
            error_cb=_tell_error,
        )
        await client.subscribe(f"{self._seal.prefix}.>", cb=self._hear, pending_bytes_limit=self._settings.inbox_bytes)
        # Answered after the subscription stands: whoever publishes from now on is heard.
        await self._flush(client)

    async def _flush(self, client: Client) -> None:
        """Wait until the server has everything."""
        # The library writes its PING at once and everything else a turn later, so the answer alone would prove nothing.
        turns = 0
        while client.pending_data_size and client.is_connected:
            await asyncio.sleep(0 if turns < _QUICK_TURNS else _TURN_S)
            turns += 1
        await client.flush(max(1, int(self._settings.timeout_s)))

    async def _serve_until_lost(self, client: Client) -> None:
        # It may have been lost between the connect and now, when nobody knew it yet.
        self._is_connected = self._is_connected and client.is_connected
        try:
            while self._is_connected:
                await self._send(client)
                self._wake.clear()
                if not self._unsent and self._is_connected:
                    await self._wake.wait()
        except (NatsError, OSError, TimeoutError) as error:
            tell("bus.lost", error=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - task boundary: the bus connects again whatever went wrong
            tell("bus.crashed", error=type(error).__name__)

    async def _send(self, client: Client) -> None:
        batch = [self._unsent[place] for place in range(min(len(self._unsent), self._settings.packets_per_send))]
        if not batch:
            return
        async with asyncio.timeout(self._settings.timeout_s):
            for unsent in batch:
                name = f"{self._seal.prefix}.{unsent.subject}"
                await client.publish(name, self._seal.close(unsent.subject, unsent.packet))
            await self._flush(client)
        if not self._is_connected:
            return
        for unsent in batch:
            self._unsent_bytes -= unsent.size_bytes
            self._unsent.popleft()
        self._sent = batch[-1].number
        self._settle()

    async def _hear(self, message: Msg) -> None:
        subject = message.subject.removeprefix(f"{self._seal.prefix}.")
        if not self._subscribers.has(subject):
            return
        packet = self._seal.open(subject, message.data)
        if packet is None:
            tell("bus.dropped", reason="forged")
            return
        sender = packet.node + subject.encode()
        missed = self._senders.take(sender, packet.number)
        if missed is None or packet.node == self._node:
            return
        if missed:
            tell("bus.gap", packets=missed)
        self._subscribers.tell(subject, self._pieces.take(sender, packet, is_after_gap=missed > 0))

    async def _let_go(self, client: Client | None) -> None:
        self._lose()
        if client is not None:
            await _end(client)

    def _lose(self) -> None:
        """What is unsent is given up: those who wait for it are told so."""
        self._is_connected = False
        self._unsent.clear()
        self._unsent_bytes = 0
        self._wake.set()
        self._settle()

    def _settle(self) -> None:
        """Wake everybody who waits for packets to be sent; each looks for itself."""
        self._settled.set()
        self._settled.clear()


def _check_urls(urls: Sequence[str]) -> None:
    if not urls or not all(url.startswith(_SCHEMES) for url in urls):
        raise ConfigError(
            "bus.url is no address of NATS: write nats://host:4222 or tls://host:4222.", code="config.bus"
        )


def _unreachable() -> StoreUnavailableError:
    return StoreUnavailableError(
        "The bus cannot reach the other nodes now; only this one was told. Check the NATS server."
    )


async def _end(client: Client) -> None:
    try:
        async with asyncio.timeout(1.0):
            await client.close()
    except (TimeoutError, OSError, NatsError):
        tell("bus.abandoned")


async def _tell_error(error: Exception) -> None:
    if isinstance(error, SlowConsumerError):
        tell("bus.dropped", reason="inbox_full")


def _contract(bus: NatsBus) -> Bus:
    return bus
