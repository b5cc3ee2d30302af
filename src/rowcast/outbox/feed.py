"""The contract of a feed: where committed events come from, in order, and how a batch is settled."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from rowcast.core.delivery import Owed
from rowcast.core.envelope import Envelope


class Batch(msgspec.Struct, frozen=True):
    """Committed events in the order in which they are to be told.

    The events of one aggregate are in `seq` order, and no other process has a batch with the same aggregate.
    `cursor` means something to the feed that made the batch and to nobody else. `is_new`: none of the events has ever
    been handed out before, so nobody needs to ask whether they are published already.
    """

    events: tuple[Envelope, ...]
    cursor: object = None
    is_new: bool = False


Record = Mapping[str, Sequence[object]]
"""What is written when a batch is settled, as columns: the parameters of the named query `settle_events`."""


class Feed(Protocol):
    """Hands out batches one after another. After the feed nothing differs between its implementations.

    Before each batch of its main road a feed asks its `side_lanes.SideLanes`: for failed events that are due again,
    and, while a backlog lasts, for fresh events of other tenants. Those are batches like any other.

    A relay calls `next_batch`, tells the sockets, has the batch settled, and calls `acknowledge`. Killed anywhere in
    between, the batch comes again, here or elsewhere.
    """

    @property
    def name(self) -> str:
        """`wal` or `claim`."""
        ...

    async def open(self) -> None:
        """Connect and take what this process may take; callable again after `close` or after an error.

        Raises:
            StoreUnavailableError: The database cannot be reached; try again later.
            ConfigError: The database cannot serve this feed (`config.wal_level`).
        """
        ...

    async def next_batch(self) -> Batch:
        """Wait for committed events and give them. May wait for ever; cancellation is safe.

        Raises:
            StoreUnavailableError: The connection is gone; `close`, then `open` again.
        """
        ...

    async def settle(self, batch: Batch, record: Record) -> frozenset[uuid.UUID]:
        """Write states, deliveries and the feed's own cursor in one transaction; give the events whose state is new.

        Raises:
            StoreUnavailableError: `store.taken_over`, when another process has taken over since the batch was handed
                out: nothing is changed then.
        """
        ...

    async def keep_alive(self) -> None:
        """Keep what this process holds while a batch is worked on. The relay runs it beside its loop and cancels it.

        A feed that needs nothing of the kind may return at once. Never raises: `next_batch` finds out what is wrong.
        """
        ...

    async def acknowledge(self, batch: Batch) -> None:
        """Say that the batch is settled; the log behind it may go."""
        ...

    async def close(self) -> None:
        """Let go of everything at once, so that another process can take over. Never raises."""
        ...


class Routed(msgspec.Struct, frozen=True):
    """What becomes of one event: what is told at once, what is owed durably, or why it could not be routed."""

    event: Envelope
    live: tuple[Owed, ...] = ()
    durable: tuple[Owed, ...] = ()
    error: str | None = None


class EventHandler(Protocol):
    """What the relay calls for each batch: the router. First `route`, then `tell`, then `expand`."""

    async def route(self, events: Sequence[Envelope]) -> Sequence[Routed]:
        """Give what each event owes, in order, without asking the database. A fault of one event is its `error`."""
        ...

    async def tell(self, routed: Sequence[Routed]) -> None:
        """Tell the live sinks, in order: at once, before anybody looks up who else is meant."""
        ...

    async def expand(self, routed: Sequence[Routed]) -> Sequence[Routed]:
        """Give the same with each durable thing's concrete targets. A fault of one event is its `error`."""
        ...
