"""The bus as a worker sees it: everything goes through its server, and only what somebody here wants comes."""

import asyncio
import socket
from collections import Counter
from collections.abc import Callable, Sequence

from rowcast.bus.bus import Bus, Subscriber
from rowcast.bus.subscribers import Subscribers
from rowcast.core.errors import StoreUnavailableError
from rowcast.core.telemetry import tell
from rowcast.realtime.messages import TopicKey
from rowcast.server.worker_frames import Frame, Interest, Publish, Published, Told, Wants
from rowcast.server.worker_link import FrameProtocol, link

Ends = tuple[socket.socket, socket.socket]
"""The worker's ends of its two wires: one for messages, one for what it wants to hear."""

TIMEOUT_S = 5.0


class WorkerBus:
    """Tells this process at once, and the other workers and nodes through the server."""

    def __init__(
        self,
        ends: Callable[[], Ends],
        *,
        on_frame: Callable[[Frame], None] = lambda _: None,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        """Speak over the sockets that `ends` gives at each `open`.

        Args:
            ends: Gives two connected sockets.
            on_frame: Gets the frames that are not the bus's.
            on_lost: Called when the server is gone.
        """
        self._ends = ends
        self._on_frame = on_frame
        self._on_lost = on_lost
        self._subscribers = Subscribers()
        self._wanted: Counter[str] = Counter()
        self._topics: set[TopicKey] = set()
        self._waiting: dict[int, asyncio.Future[bool]] = {}
        self._numbers = 0
        self._messages: FrameProtocol | None = None
        self._interests: FrameProtocol | None = None

    @property
    def is_connected(self) -> bool:
        """Tell whether the server is there."""
        return self._messages is not None and self._messages.is_open

    async def open(self) -> None:
        """Connect, and say what is wanted already."""
        messages, interests = self._ends()
        self._interests = await link(interests, on_frame=lambda _: None, on_lost=lambda: None)
        self._messages = await link(messages, on_frame=self._take, on_lost=self._lose)
        for subject in self._wanted:
            self.send(Wants(subject, True))
        for key in self._topics:
            self._interests.send(Interest(key, True))

    async def publish(self, subject: str, messages: Sequence[bytes]) -> None:
        """Hand messages to this process at once, then to the server; waits until the other nodes are told.

        Raises:
            StoreUnavailableError: They were not; only this process was, and perhaps its fellow workers.
        """
        self._subscribers.tell(subject, messages)
        if not messages:
            return
        self._numbers += 1
        number = self._numbers
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            is_told = self.send(Publish(number, subject, list(messages))) and await _within(answer)
        finally:
            self._waiting.pop(number, None)
        if not is_told:
            raise StoreUnavailableError(
                "The bus cannot reach the other nodes now; only this one was told. Check the database or NATS."
            )

    def subscribe(self, subject: str, subscriber: Subscriber) -> Callable[[], None]:
        """Add a subscriber and give the function that removes it."""
        remove = self._subscribers.add(subject, subscriber)
        self._wanted[subject] += 1
        if self._wanted[subject] == 1:
            self.send(Wants(subject, True))
        is_there = True

        def leave() -> None:
            nonlocal is_there
            if is_there:
                is_there = False
                remove()
                self._unwant(subject)

        return leave

    def want(self, key: TopicKey, is_wanted: bool) -> None:
        """Say that the first subscriber of a topic has come here, or that the last one has gone."""
        if is_wanted:
            self._topics.add(key)
        else:
            self._topics.discard(key)
        if self._interests is not None:
            self._interests.send(Interest(key, is_wanted))

    def send(self, frame: Frame) -> bool:
        """Send the server a frame; False when it is gone or does not read."""
        return self._messages is not None and self._messages.send(frame)

    async def close(self) -> None:
        """Let go of the server; messages on their way are dropped."""
        for protocol in (self._messages, self._interests):
            if protocol is not None:
                protocol.close()
        self._messages = self._interests = None
        self._answer_all()
        # The transports close in the loop's next turn.
        await asyncio.sleep(0)

    def _unwant(self, subject: str) -> None:
        self._wanted[subject] -= 1
        if not self._wanted[subject]:
            del self._wanted[subject]
            self.send(Wants(subject, False))

    def _take(self, frame: Frame) -> None:
        match frame:
            case Told(subject=subject, messages=messages):
                self._subscribers.tell(subject, messages)
            case Published(number=number, is_told=is_told):
                answer = self._waiting.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(is_told)
            case _:
                self._on_frame(frame)

    def _lose(self) -> None:
        if self._messages is not None:
            tell("worker.abandoned")
            self._on_lost()
        self._answer_all()

    def _answer_all(self) -> None:
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_result(False)


async def _within(answer: asyncio.Future[bool]) -> bool:
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await answer
    except TimeoutError:
        tell("bus.slow")
        return False


def _contract(bus: WorkerBus) -> Bus:
    return bus
