"""Subscribers and one publisher in a process of their own: `fan_out_client.py KIND PORT SUBSCRIBERS BYTES [TOKEN]`.

Prints `ready`, then for each line that it reads an answer:
`rate OUTSTANDING SECONDS`: `begun` when it begins, then the deliveries a second. The next message is published when all
subscribers together have received as many bytes as all but the last few messages come to: every delivery has one size,
so a client only counts.
`pace PER_SECOND SECONDS`: `begun`, then p50 and p99 of the milliseconds from publishing to each delivery, at that pace.
`idle SECONDS`: heartbeats, each socket every 25 seconds; the seconds that it took.
Kinds: see `speeches.py`.
"""

import asyncio
import sys
import time
from collections.abc import Callable

import uvloop
from speeches import SPEECHES, Speech

_QUIET_S = 0.3
_PATIENCE_S = 60.0
_AT_ONCE = 200
_BEAT_S = 25.0


class Tally:
    """Bytes that all subscribers have received, and what to do when they are enough."""

    def __init__(self) -> None:
        self.received = 0
        self.enough = sys.maxsize
        self.on_enough: Callable[[], None] = lambda: None

    def add(self, count: int) -> None:
        """Count."""
        self.received += count
        if self.received >= self.enough:
            self.on_enough()


class Pace:
    """When each message was published, and how late it was at each subscriber."""

    def __init__(self, each_bytes: int) -> None:
        self._each_bytes = each_bytes
        # The loop's own clock counts milliseconds.
        self.now = time.perf_counter
        self.sent_at: list[float] = []
        self.late_s: list[float] = []

    def take(self, before: int, after: int) -> None:
        """Take note that a subscriber has `after` bytes now."""
        first, last = before // self._each_bytes, after // self._each_bytes
        if last > first:
            now = self.now()
            self.late_s += [now - self.sent_at[number] for number in range(first, last)]


class Client(asyncio.Protocol):
    """One connection: greets, waits until it is subscribed, then counts."""

    def __init__(self, speech: Speech, tally: Tally, *, is_publisher: bool) -> None:
        self._speech = speech
        self._tally = tally
        self._is_publisher = is_publisher
        self._heard = b""
        self.is_joined: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._step = 0
        self._received = 0
        self._pace: Pace | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert hasattr(transport, "write")
        self.transport = transport
        self._go_on()

    def data_received(self, data: bytes) -> None:
        if self._step <= len(self._speech.steps):
            self._heard += data
            if self._speech.steps[self._step - 1][1] in self._heard:
                self._heard = b""
                self._go_on()
        elif data.endswith(b"PING\r\n") and self._speech.is_pinged:
            self.transport.write(b"PONG\r\n")
            data = data[:-6]
            self._count(data)
        else:
            self._count(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.is_joined.done():
            self.is_joined.set_exception(RuntimeError("the server has closed the connection"))

    def keep_pace(self, pace: Pace | None) -> None:
        """Note from now on how late messages are, or no longer."""
        self._received, self._pace = 0, pace

    def _count(self, data: bytes) -> None:
        if self._is_publisher:
            return
        if self._pace is not None:
            self._pace.take(self._received, self._received + len(data))
            self._received += len(data)
        self._tally.add(len(data))

    def _go_on(self) -> None:
        steps = self._speech.steps[: 1 if self._is_publisher and self._speech.is_quiet else None]
        if self._step < len(steps):
            self._step += 1
            self.transport.write(steps[self._step - 1][0])
            return
        self._step = len(self._speech.steps) + 1
        if not self.is_joined.done():
            self.is_joined.set_result(None)


class Crowd:
    """All connections of one kind."""

    def __init__(self, speech: Speech, port: int) -> None:
        self._speech = speech
        self._port = port
        self.tally = Tally()
        self._subscribers: list[Client] = []
        self._delivery_bytes = 0

    async def open(self, count: int) -> None:
        """Connect everybody, some at a time."""
        self._publisher = await self._connect(is_publisher=True)
        for start in range(0, count, _AT_ONCE):
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(self._connect(is_publisher=False)) for _ in range(min(_AT_ONCE, count - start))
                ]
            self._subscribers += [task.result() for task in tasks]
        await self._settle()

    async def weigh(self) -> None:
        """Find out how many bytes one delivery is: see one message through to everybody."""
        await self._settle()
        before = self.tally.received
        self._publisher.transport.write(self._speech.message)
        await asyncio.sleep(_QUIET_S)
        await self._settle()
        each, rest = divmod(self.tally.received - before, len(self._subscribers))
        if rest or each < len(self._speech.message) // 3:
            raise RuntimeError(f"{self.tally.received - before} bytes for {len(self._subscribers)} subscribers")
        self._delivery_bytes = each

    async def measure(self, outstanding: int, seconds: float) -> float:
        """Give the deliveries a second."""
        self._beat(self._publisher, *self._subscribers)
        await self.weigh()
        loop = asyncio.get_running_loop()
        round_bytes = self._delivery_bytes * len(self._subscribers)
        print("begun", flush=True)
        begun, begun_at, sent = self.tally.received, loop.time(), 0
        is_over: asyncio.Future[None] = loop.create_future()

        def publish() -> None:
            nonlocal sent
            done = (self.tally.received - begun) // round_bytes
            if loop.time() - begun_at < seconds:
                more = outstanding - (sent - done)
                self._publisher.transport.write(self._speech.message * more)
                sent += more
            elif done >= sent:
                self.tally.enough = sys.maxsize
                is_over.set_result(None)
                return
            self.tally.enough = begun + (done + 1) * round_bytes

        self.tally.on_enough = publish
        publish()
        async with asyncio.timeout(seconds + _PATIENCE_S):
            await is_over
        return sent * len(self._subscribers) / (loop.time() - begun_at)

    async def pace(self, per_second: float, seconds: float) -> tuple[float, float]:
        """Publish at a steady pace and give p50 and p99 of the milliseconds to each delivery."""
        self._beat(self._publisher, *self._subscribers)
        await self.weigh()
        loop, pace = asyncio.get_running_loop(), Pace(self._delivery_bytes)
        for subscriber in self._subscribers:
            subscriber.keep_pace(pace)
        print("begun", flush=True)
        begun_at = loop.time()
        for number in range(max(1, int(per_second * seconds))):
            await asyncio.sleep(max(0.0, begun_at + number / per_second - loop.time()))
            pace.sent_at.append(pace.now())
            self._publisher.transport.write(self._speech.message)
        await self._settle()
        for subscriber in self._subscribers:
            subscriber.keep_pace(None)
        late_s = sorted(pace.late_s)
        assert len(late_s) == len(pace.sent_at) * len(self._subscribers), "some deliveries never came"
        return late_s[len(late_s) // 2] * 1e3, late_s[int(len(late_s) * 0.99)] * 1e3

    async def idle(self, seconds: float) -> float:
        """Beat as stock clients do, spread over 25 seconds; give how long that was done."""
        loop, place = asyncio.get_running_loop(), 0
        begun_at = loop.time()
        while (took_s := loop.time() - begun_at) < seconds:
            due = int(took_s / _BEAT_S * len(self._subscribers))
            self._beat(*(self._subscribers[number % len(self._subscribers)] for number in range(place, due)))
            place = due
            await asyncio.sleep(0.01)
        return took_s

    def _beat(self, *clients: Client) -> None:
        for client in clients:
            client.transport.write(self._speech.beat)

    async def _settle(self) -> None:
        """Wait until nothing comes any more."""
        async with asyncio.timeout(_PATIENCE_S):
            before = -1
            while before != self.tally.received:
                before = self.tally.received
                await asyncio.sleep(_QUIET_S)

    async def _connect(self, *, is_publisher: bool) -> Client:
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(_PATIENCE_S):
            _, client = await loop.create_connection(
                lambda: Client(self._speech, self.tally, is_publisher=is_publisher), "127.0.0.1", self._port
            )
            await client.is_joined
        return client


async def main(kind: str, *words: str) -> None:
    """Open the crowd and measure whenever a line asks for it."""
    port, count, size_bytes = map(int, words[:3])
    crowd = Crowd(SPEECHES[kind](port, size_bytes, words[3]), port)
    await crowd.open(count)
    print("ready", flush=True)
    while line := (await asyncio.to_thread(sys.stdin.readline)).split():
        print(await _answer(crowd, line[0], *map(float, line[1:])), flush=True)


async def _answer(crowd: Crowd, what: str, *numbers: float) -> str:
    if what == "rate":
        return f"{await crowd.measure(int(numbers[0]), numbers[1]):.1f}"
    if what == "pace":
        median_ms, late_ms = await crowd.pace(*numbers)
        return f"{median_ms:.3f} {late_ms:.3f}"
    return f"{await crowd.idle(*numbers):.3f}"


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
