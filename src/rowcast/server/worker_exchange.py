"""Between the bus and the workers of one server: each worker hears what somebody there listens to, and nothing else.

What a worker wants travels on a wire of its own, ahead of all messages, and what a worker publishes is passed on in the
loop's next turn: whoever has been told that he has joined hears everything that is published after that.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial

from rowcast.bus.bus import Bus
from rowcast.core.errors import RowcastError
from rowcast.core.telemetry import tell
from rowcast.realtime.messages import TopicKey
from rowcast.server.worker_frames import Frame, Interest, Publish, Published, Told, Wants, topics_of
from rowcast.server.worker_link import FrameProtocol, link

OnFrame = Callable[[Frame], None]


class Attached:
    """A worker as the exchange sees it."""

    def __init__(self, on_frame: OnFrame) -> None:
        """Give frames that are not the bus's to `on_frame`."""
        self.on_frame = on_frame
        self.subjects: set[str] = set()
        self.topics: set[TopicKey] = set()
        self.messages: FrameProtocol | None = None
        self.interests: FrameProtocol | None = None
        self._pending: list[tuple[str, bytes]] = []

    def send(self, frame: Frame) -> bool:
        """Send a frame; False when the worker is gone or does not read."""
        return self.messages is not None and self.messages.send(frame)

    def tell(self, subject: str, message: bytes) -> None:
        """Hand over a message; all of one turn of the loop travel together."""
        if not self._pending:
            asyncio.get_running_loop().call_soon(self._flush)
        self._pending.append((subject, message))

    def _flush(self) -> None:
        pending, self._pending = self._pending, []
        for subject in dict.fromkeys(subject for subject, _ in pending):
            messages = [message for its, message in pending if its == subject]
            if not self.send(Told(subject, messages)):
                tell("bus.dropped", reason="worker_slow")


_ORIGIN: ContextVar[Attached | None] = ContextVar("rowcast_worker", default=None)
"""Which worker the message comes from that the bus is telling: it has told itself already."""


class WorkerExchange:
    """Passes messages between a bus and the workers."""

    def __init__(self, *, bus: Bus) -> None:
        """Stand beside `bus`, which is opened and closed by whoever made it."""
        self._bus = bus
        self._workers: set[Attached] = set()
        self._interested: dict[TopicKey, set[Attached]] = {}
        self._leave: dict[str, Callable[[], None]] = {}
        self._is_open = False

    async def open(self) -> None:
        """Begin to pass messages on."""
        self._group = asyncio.TaskGroup()
        await self._group.__aenter__()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_open = True

    async def close(self) -> None:
        """Let go of all workers; messages on their way are dropped."""
        if not self._is_open:
            return
        self._is_open = False
        for worker in tuple(self._workers):
            self.detach(worker)
        for leave in self._leave.values():
            leave()
        self._leave.clear()
        for task in tuple(self._tasks):
            task.cancel()
        await self._group.__aexit__(None, None, None)

    async def attach(
        self, messages: socket.socket, interests: socket.socket, *, on_frame: OnFrame | None = None
    ) -> Attached:
        """Take a new worker by our ends of its two wires."""
        worker = Attached(on_frame or (lambda _: None))
        self._workers.add(worker)
        take, lose = partial(self._take, worker), partial(self.detach, worker)
        worker.interests = await link(interests, on_frame=take, on_lost=lose)
        worker.messages = await link(messages, on_frame=take, on_lost=lose)
        return worker

    def detach(self, worker: Attached) -> None:
        """Forget a worker that is gone; a stranger is ignored."""
        self._workers.discard(worker)
        for key in tuple(worker.topics):
            self._lose_interest(worker, key)
        for protocol in (worker.messages, worker.interests):
            if protocol is not None:
                protocol.close()

    def _take(self, worker: Attached, frame: Frame) -> None:
        match frame:
            case Publish():
                if self._is_open:
                    # Not before the next turn: what other workers want may have come in this one.
                    task = self._group.create_task(self._publish(worker, frame), name="worker:publish")
                    self._tasks.add(task)
                    task.add_done_callback(self._tasks.discard)
            case Interest(key=key, is_wanted=True):
                worker.topics.add(key)
                self._interested.setdefault(key, set()).add(worker)
            case Interest(key=key):
                self._lose_interest(worker, key)
            case Wants(subject=subject, is_wanted=is_wanted):
                self._want(worker, subject, is_wanted=is_wanted)
            case _:
                worker.on_frame(frame)

    async def _publish(self, worker: Attached, frame: Publish) -> None:
        _ORIGIN.set(worker)
        try:
            await self._bus.publish(frame.subject, frame.messages)
        except RowcastError:
            worker.send(Published(frame.number, False))
        except Exception as error:  # noqa: BLE001 - task boundary: one worker's message must not end the others'
            tell("worker.publish_crashed", error=type(error).__name__)
            worker.send(Published(frame.number, False))
        else:
            worker.send(Published(frame.number, True))

    def _want(self, worker: Attached, subject: str, *, is_wanted: bool) -> None:
        if not is_wanted:
            worker.subjects.discard(subject)
            return
        worker.subjects.add(subject)
        if subject not in self._leave:
            self._leave[subject] = self._bus.subscribe(subject, partial(self._hear, subject))

    def _lose_interest(self, worker: Attached, key: TopicKey) -> None:
        worker.topics.discard(key)
        found = self._interested.get(key, set())
        found.discard(worker)
        if not found:
            self._interested.pop(key, None)

    def _interested_in(self, keys: Sequence[TopicKey]) -> set[Attached]:
        """Give the workers that hear any of these topics, each once."""
        return set().union(*(self._interested.get(key, ()) for key in keys))

    def _hear(self, subject: str, message: bytes) -> None:
        origin, keys = _ORIGIN.get(), topics_of(subject, message)
        for worker in self._workers if keys is None else self._interested_in(keys):
            if worker is not origin and subject in worker.subjects:
                worker.tell(subject, message)
