"""The contract of a transport: the road on which broadcasts reach browsers, ours or another company's."""

from collections.abc import Sequence
from typing import Protocol

from rowcast.core.outcome import Outcome
from rowcast.realtime.messages import Broadcast


class Transport(Protocol):
    """Takes broadcasts and brings them to whoever has joined their topics.

    What is sent again under the same id is told once, or told with the same id so that clients can tell.
    """

    @property
    def name(self) -> str:
        """Give a short word, such as `ably`."""
        ...

    async def send(self, message_id: str, broadcasts: Sequence[Broadcast]) -> Outcome:
        """Send what belongs together, in order for each topic; never raises for what the other side does.

        Args:
            message_id: The same for the same broadcasts whenever they are sent, such as the id of their event; without
                a colon.
            broadcasts: One or more.
        Returns:
            `Retry` when sending all of it again may succeed, `Rejected` when it never will.
        """
        ...
