"""The contract of whoever remembers what was told on private topics, so that a reconnect loses nothing."""

from datetime import datetime
from typing import Protocol

import msgspec

from rowcast.realtime.messages import Broadcast, TopicKey


class Missed(msgspec.Struct, frozen=True):
    """What a session has not heard, oldest first; each `meta` holds `"replayed":true` and the id.

    `is_whole` is False when some of it is gone for good.
    """

    broadcasts: tuple[Broadcast, ...]
    is_whole: bool


class ChannelLog(Protocol):
    """Remembers broadcasts of private topics, and how far each session has come."""

    async def recover(self, key: TopicKey, session: str) -> Missed | None:
        """Give what a session has missed; None for a session that begins now."""
        ...

    async def replay(self, key: TopicKey, *, since: datetime, limit: int) -> tuple[Broadcast, ...]:
        """Give the newest `limit` broadcasts since a moment, oldest first."""
        ...

    def sent(self, key: TopicKey, session: str, broadcast_id: str) -> None:
        """Take note that the broadcast with this `meta.id` was written to the session's socket."""
        ...

    def acknowledged(self, key: TopicKey, session: str, broadcast_id: str) -> None:
        """Take note that the client's side of the socket has received everything up to this broadcast."""
        ...
