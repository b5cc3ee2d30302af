"""The bus of one process: nobody else listens, so nothing can fail."""

from collections.abc import Callable, Sequence

from rowcast.bus.bus import Bus, Subscriber
from rowcast.bus.subscribers import Subscribers


class MemoryBus:
    """Tells the subscribers of this process."""

    __slots__ = ("_subscribers",)

    def __init__(self) -> None:
        """Start without subscribers."""
        self._subscribers = Subscribers()

    async def open(self) -> None:
        """Connect: there is nothing to connect to."""

    async def publish(self, subject: str, messages: Sequence[bytes]) -> None:
        """Hand messages to every subscriber of `subject`, in order, before it returns."""
        self._subscribers.tell(subject, messages)

    def subscribe(self, subject: str, subscriber: Subscriber) -> Callable[[], None]:
        """Add a subscriber and give the function that removes it."""
        return self._subscribers.add(subject, subscriber)

    async def close(self) -> None:
        """Let go: there is nothing to let go of. Subscribers stay, as they do in a bus that reconnects."""


_CONTRACT: Bus = MemoryBus()
