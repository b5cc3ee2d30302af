"""The catcher: what a development machine's own receiver took in, verified, the newest first."""

from collections import deque
from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.errors import AuthenticationError, InvalidInputError
from rowcast.webhooks.signature import verify

BODY_LIMIT_BYTES = 65_536


class Caught(msgspec.Struct, frozen=True, rename="camel"):
    """One message that came in. `problem` says why it did not verify; empty when it did."""

    message_id: str
    received_at: datetime
    is_verified: bool
    problem: str
    body: str


class Catcher:
    """Keeps the last `limit` messages. The server mounts it; anybody may post, so nothing it holds is trusted."""

    __slots__ = ("_caught", "_clock", "_secrets", "_total")

    def __init__(self, *, clock: Clock, secrets: Sequence[str] = (), limit: int = 200) -> None:
        """Begin empty."""
        self._clock = clock
        self._secrets = tuple(secrets)
        self._caught: deque[Caught] = deque(maxlen=limit)
        self._total = 0

    @property
    def total(self) -> int:
        """Give how many messages came in, those no longer kept included."""
        return self._total

    @property
    def caught(self) -> tuple[Caught, ...]:
        """Give what came in, the newest first."""
        return tuple(reversed(self._caught))

    def trust(self, secret: str) -> None:
        """Verify against one more secret from now on."""
        self._secrets = (*self._secrets, secret)

    def receive(self, headers: Mapping[str, str], body: bytes) -> Caught:
        """Verify one message and keep it, whether it verifies or not."""
        now, problem, message_id = self._clock.now(), "", ""
        try:
            message_id = verify(self._secrets, headers, body, now=now)
        except (AuthenticationError, InvalidInputError) as error:
            problem = f"{error.code}: {error}"
        caught = Caught(message_id, now, not problem, problem, body[:BODY_LIMIT_BYTES].decode("utf-8", "replace"))
        self._caught.append(caught)
        self._total += 1
        return caught
