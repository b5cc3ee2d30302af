"""One batch on its way: check, route, tell the sockets, record states and deliveries at once, acknowledge."""

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from rowcast.core.delivery import Owed
from rowcast.core.envelope import Envelope
from rowcast.core.errors import StoreError
from rowcast.core.retry import RetryPolicy, backoff_s, jittered_s
from rowcast.core.telemetry import tell
from rowcast.delivery.ledger import owed_columns
from rowcast.outbox.feed import Batch, EventHandler, Feed, Record, Routed
from rowcast.outbox.options import RelayOptions
from rowcast.store.pool import Database, Row
from rowcast.store.sql import load_queries

FAILPOINTS = (
    "before_route",
    "before_tell",
    "after_tell_before_settle",
    "after_settle_before_acknowledge",
    "after_acknowledge",
)
"""Every place at which a test may let a relay die, in the order in which a batch passes them."""
_ERROR_LIMIT_CHARS = 1000


class Counts(msgspec.Struct, frozen=True):
    """What became of a batch. `failed`: tried again later, or dead. `skipped`: final already, or not due yet."""

    published: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: "Counts") -> "Counts":
        """Give the sum."""
        return Counts(self.published + other.published, self.failed + other.failed, self.skipped + other.skipped)


class NewState(msgspec.Struct, frozen=True):
    """The state that an event is about to get, and what it then owes."""

    event: Envelope
    status: str
    error: str | None = None
    wait_s: float | None = None
    owed: tuple[Owed, ...] = ()


def state_of(routed: Routed, *, attempts: int, policy: RetryPolicy, noise: float) -> NewState:
    """Decide what becomes of a routed event.

    Args:
        routed: What the handler said.
        attempts: How often it was tried before.
        policy: How often and how far apart an event that cannot be routed is tried.
        noise: A random number from 0 to 1.
    """
    if routed.error is None:
        return NewState(routed.event, "published", owed=routed.durable)
    error = storable(routed.error)
    if attempts + 1 >= policy.max_attempts:
        return NewState(routed.event, "dead", error)
    return NewState(routed.event, "failed", error, jittered_s(backoff_s(attempts + 1, policy), policy, noise))


def record_of(planned: Sequence[NewState]) -> Record:
    """Give what is written of these states, as columns."""
    owed = [(state.event.id, state.event.tenant_id, thing) for state in planned for thing in state.owed]
    return {
        "event_ids": [state.event.id for state in planned],
        "statuses": [state.status for state in planned],
        "errors": [state.error for state in planned],
        "waits_s": [state.wait_s for state in planned],
        **owed_columns(owed),
    }


def storable(text: str) -> str:
    """Give a text that the database takes: no NUL, no lone surrogate, bounded."""
    return text.replace("\x00", "").encode("utf-8", "replace").decode()[:_ERROR_LIMIT_CHARS]


def to_be_routed(events: Sequence[Envelope], states: Mapping[uuid.UUID, Row]) -> list[Envelope]:
    """Leave out what is published or dead, what failed and is not due, and what stands in the batch twice."""
    seen: set[uuid.UUID] = set()
    fresh = []
    for event in events:
        state = states.get(event.id)
        is_open = state is None or (state["status"] == "failed" and state["is_due"])
        if is_open and event.id not in seen:
            seen.add(event.id)
            fresh.append(event)
    return fresh


class Publisher:
    """Publishes batches. Killed at any place, the batch comes again, and states and deliveries exist once."""

    def __init__(self, *, handler: EventHandler, database: Database, options: RelayOptions) -> None:
        """Take who routes, and where states are looked up."""
        self._handler = handler
        self._database = database
        self._options = options
        self._queries = load_queries("rowcast.outbox")

    async def publish(self, feed: Feed, batch: Batch) -> tuple[Counts, Counter[str]]:
        """Publish a batch and give what became of its events, and how many deliveries each sink has to make now."""
        failpoint = self._options.failpoint
        states = {} if batch.is_new else await self._states(batch.events)
        fresh = to_be_routed(batch.events, states)
        failpoint("before_route")
        routed = await self._route(fresh)
        failpoint("before_tell")
        await self._handler.tell([each for each in routed if each.error is None])
        routed = await self._expand(routed)
        failpoint("after_tell_before_settle")
        planned = self._planned(routed, states)
        new = await feed.settle(batch, record_of(planned))
        failpoint("after_settle_before_acknowledge")
        await feed.acknowledge(batch)
        failpoint("after_acknowledge")
        written = [state for state in planned if state.event.id in new]
        return _counts(batch, written), Counter(thing.sink for state in written for thing in state.owed)

    async def _states(self, events: Sequence[Envelope]) -> dict[uuid.UUID, Row]:
        """Check the status again: the batch may be an old one, or a side lane may have been faster."""
        rows = await self._database.fetch(self._queries["states_of"], event_ids=[event.id for event in events])
        return {row["event_id"]: row for row in rows}

    async def _route(self, events: Sequence[Envelope]) -> Sequence[Routed]:
        """Route; where the handler breaks, event by event, so that one it cannot bear fails alone."""
        if not events:
            return ()
        try:
            return await self._handler.route(events)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - task boundary: a poisonous event must not stop all others
            if len(events) == 1:
                return (Routed(events[0], error=f"{type(error).__name__}: {error}"),)
        return [each for event in events for each in await self._route((event,))]

    async def _expand(self, routed: Sequence[Routed]) -> Sequence[Routed]:
        """Have the targets named; where the handler breaks, event by event."""
        if not routed:
            return ()
        try:
            return await self._handler.expand(routed)
        except StoreError:
            raise
        except Exception as error:  # noqa: BLE001 - task boundary: a poisonous event must not stop all others
            if len(routed) == 1:
                return (Routed(routed[0].event, error=f"{type(error).__name__}: {error}"),)
        return [each for one in routed for each in await self._expand((one,))]

    def _planned(self, routed: Sequence[Routed], states: Mapping[uuid.UUID, Row]) -> list[NewState]:
        return [
            state_of(
                each,
                attempts=states[each.event.id]["attempts"] if each.event.id in states else 0,
                policy=self._options.retry,
                noise=self._options.noise(),
            )
            for each in routed
        ]


def _counts(batch: Batch, written: Sequence[NewState]) -> Counts:
    published = sum(state.status == "published" for state in written)
    for state in written:
        if state.status != "published":
            _tell_failed(state)
    return Counts(published, len(written) - published, len(batch.events) - len(written))


def _tell_failed(state: NewState) -> None:
    tell(
        "event.failed",
        event_id=str(state.event.id),
        tenant_id=state.event.tenant_id,
        event_type=state.event.event_type,
        status=state.status,
        due_in_s=state.wait_s,
    )
