"""The contract of whoever tells channels about changed rows: `postgres_changes`."""

from collections.abc import Hashable, Sequence
from typing import Protocol

import msgspec

from rowcast.realtime.authorize import Claims


class Binding(msgspec.Struct, frozen=True):
    """One thing that a channel asked for, as the client wrote it. `id` is its name in the frames that follow."""

    id: int
    event: str
    schema: str
    table: str | None
    filter: str | None
    select: tuple[str, ...] | None


class ChangeReceiver(Hashable, Protocol):
    """A channel as a source of changes sees it. Both calls must not wait and must not raise."""

    def hear_change(self, ids: tuple[int, ...], data: bytes) -> None:
        """Take one change for the bindings `ids`; `data` is its JSON text, the same object for all who get it."""
        ...

    def hear_changes_system(self, status: str, text: str) -> None:
        """Take a `system` message of the extension postgres_changes; `status` is `ok` or `error`."""
        ...


class ChangeSource(Protocol):
    """Tells receivers what has changed."""

    async def subscribe(self, receiver: ChangeReceiver, bindings: Sequence[Binding], claims: Claims) -> None:
        """Begin to tell `receiver`, in place of what it heard before.

        Returns when changes are live, or after the receiver was told what is wrong; never raises for a bad binding.
        """
        ...

    def unsubscribe(self, receiver: ChangeReceiver) -> None:
        """Tell it nothing more; a stranger is ignored."""
        ...
