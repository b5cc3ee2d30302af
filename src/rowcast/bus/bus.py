"""The contract of a bus: tells every node, at most once and in order per publisher. Never the only copy."""

from collections.abc import Callable, Sequence
from typing import Protocol

Subscriber = Callable[[bytes], None]
"""Called on the event loop for each message; must not wait and must not raise."""


class Bus(Protocol):
    """Fan-out and wake-ups between nodes. A subject is a short dotted word such as `realtime` or `delivery.due`."""

    async def open(self) -> None:
        """Connect and keep connected; callable again after `close`."""
        ...

    async def publish(self, subject: str, messages: Sequence[bytes]) -> None:
        """Hand messages to every subscriber of `subject` on every node, this one included.

        Raises:
            StoreUnavailableError: The other nodes were not told; this node's subscribers were.
        """
        ...

    def subscribe(self, subject: str, subscriber: Subscriber) -> Callable[[], None]:
        """Add a subscriber and give the function that removes it."""
        ...

    async def close(self) -> None:
        """Let go of everything; messages on their way are dropped."""
        ...
