"""A delivery: one event (or one enqueued job) owed to one target. The value that the runner hands to a sink."""

import uuid
from datetime import datetime

import msgspec

from rowcast.core.envelope import Envelope
from rowcast.core.priority import Priority

_ORDERED = "ordered:"


def ordered_key(name: str) -> str:
    """Give the key under which deliveries are made one by one: the next when the one before is settled."""
    return _ORDERED + name


class Owed(msgspec.Struct, frozen=True):
    """What a rule owes for one event, before it is a row: to which target of which sink, how urgent.

    `key` groups deliveries that share a rate limit and a concurrency limit; by default the target itself.
    `delay_s` postpones the first attempt.
    """

    sink: str
    target: str
    rule: str = ""
    priority: Priority = Priority.NORMAL
    transform: str = ""
    key: str = ""
    delay_s: float = 0.0
    max_attempts: int = 0


class Delivery(msgspec.Struct, frozen=True):
    """One claimed delivery. `fence` is the fencing token of this claim, `attempt` counts from 1.

    `event` is None for a job that was enqueued without an event; `payload` is then the JSON text of its arguments.
    """

    id: int
    tenant_id: str
    sink: str
    target: str
    attempt: int
    fence: int
    due_at: datetime
    event_id: uuid.UUID | None = None
    event: Envelope | None = None
    payload: msgspec.Raw | None = None
    rule: str = ""
    transform: str = ""
    key: str = ""
    priority: Priority = Priority.NORMAL
    max_attempts: int = 0

    @property
    def is_ordered(self) -> bool:
        """Tell whether the deliveries of its key are made one after the other."""
        return self.key.startswith(_ORDERED)
