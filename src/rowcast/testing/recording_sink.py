"""A sink that keeps what it was given and answers as the test says."""

from collections import deque
from collections.abc import Sequence

from rowcast.core.delivery import Delivery, Owed
from rowcast.core.envelope import Envelope
from rowcast.core.outcome import Delivered, Outcome
from rowcast.core.retry import RetryPolicy
from rowcast.core.sink import LiveSink, Sink


class RecordingSink:
    """Keeps every delivery in `deliveries`; answers come from `answers` one by one, then always `Delivered`."""

    def __init__(
        self, name: str = "webhooks", *, answers: Sequence[Outcome] = (), retry_policy: RetryPolicy | None = None
    ) -> None:
        """Take the name of a sink and the outcomes of its first attempts."""
        self.name = name
        self.retry_policy = retry_policy or RetryPolicy()
        self.answers: deque[Outcome] = deque(answers)
        self.deliveries: list[Delivery] = []

    async def targets(self, owed: Sequence[tuple[Envelope, Owed]]) -> Sequence[Sequence[Owed]]:
        """Give each thing owed as it is."""
        return [[one] for _, one in owed]

    async def deliver(self, delivery: Delivery) -> Outcome:
        """Keep the delivery and give the next answer."""
        self.deliveries.append(delivery)
        return self.answers.popleft() if self.answers else Delivered()


class RecordingLiveSink:
    """Keeps every event it was told in `told`, in order."""

    def __init__(self, name: str = "realtime") -> None:
        """Take the name of a live sink."""
        self.name = name
        self.told: list[tuple[Envelope, Owed]] = []

    async def tell(self, owed: Sequence[tuple[Envelope, Owed]]) -> None:
        """Keep them."""
        self.told.extend(owed)


_SINK: Sink = RecordingSink()
_LIVE_SINK: LiveSink = RecordingLiveSink()
