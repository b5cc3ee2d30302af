"""The ledger: what is owed to whom, who holds it, and what came of it. All times are the database's."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from rowcast.core.delivery import Delivery, Owed
from rowcast.core.envelope import Envelope
from rowcast.core.outcome import Delivered, Rejected, Retry
from rowcast.core.priority import Priority
from rowcast.core.telemetry import tell
from rowcast.delivery.attempt import WORD_LIMIT_CHARS, Result, Settled, fingerprint, storable
from rowcast.delivery.rate_limit import Limits, burst_size, spacing_us
from rowcast.store.pool import Connection, Database
from rowcast.store.sql import load_queries

_TENANT_STEPS = 200
"""How many tenants one claim by turns looks at: a millisecond or so of the database."""
_RESULT_LIMIT_CHARS = 65_536
_DETAIL_LIMIT_CHARS = 131_072
_ORDER_WAIT_S = (60.0, 300.0)
"""How long a delivery whose turn has not come waits at least and at most when nobody calls it forward."""
_UNSEEN_WAIT_S = 0.02
"""How long a delivery waits for an event whose commit the log told of before other sessions see it."""
_PRIORITIES = {int(priority): priority for priority in Priority}


class Share(msgspec.Struct, frozen=True):
    """How a claim shares its room among tenants.

    `tenant_room` bounds what one tenant gets by this claim. With `after_tenant` set the claim goes by turns: it serves
    the tenants after that one, all but `full_tenants`, instead of the oldest deliveries of the sink. `low_at` leaves
    out what was due before (dead row versions at the head of a busy queue); only a hint for one claim of many.
    """

    tenant_room: int = 1_000_000
    after_tenant: str | None = None
    full_tenants: tuple[str, ...] = ()
    low_at: datetime | None = None


class Claim(msgspec.Struct, frozen=True):
    """What a claim gave: the deliveries, whether more are due, and where the next turn begins.

    `looked_at` is when it looked, by the database's clock; None where it went by turns.
    """

    deliveries: tuple[Delivery, ...]
    is_more_due: bool = False
    next_tenant: str = ""
    oldest_at: datetime | None = None
    looked_at: datetime | None = None


class Settlement(msgspec.Struct, frozen=True):
    """The result of one attempt on its way into the ledger."""

    delivery: Delivery
    outcome: Result
    settled: Settled
    latency_ms: float


class Hold(msgspec.Struct, frozen=True):
    """A claimed delivery that goes back without an attempt: for how long, and why (empty for a released one)."""

    delivery: Delivery
    wait_s: float = 0.0
    held: str = ""


def owed_columns(owed: Sequence[tuple[uuid.UUID | None, str, Owed]]) -> dict[str, list[object]]:
    """Give each (event, tenant, what is owed) as the columns that `rowcast.settle_events` takes."""
    things = [thing for _, _, thing in owed]
    return {
        "owed_event_ids": [event_id for event_id, _, _ in owed],
        "tenant_ids": [tenant_id for _, tenant_id, _ in owed],
        "sinks": [thing.sink for thing in things],
        "targets": [thing.target for thing in things],
        "rules": [thing.rule for thing in things],
        "transforms": [thing.transform for thing in things],
        "keys": [thing.key or thing.target for thing in things],
        "priorities": [int(thing.priority) for thing in things],
        "max_attempts": [thing.max_attempts for thing in things],
        "delays_s": [thing.delay_s for thing in things],
    }


class Ledger:
    """Claims, settles and gives back deliveries; each is one statement, whatever their number."""

    def __init__(self, *, database: Database, worker: str = "") -> None:
        """Keep the pool, and the word by which the rows name this process."""
        self._database = database
        self._worker = worker
        self._queries = load_queries("rowcast.delivery")

    async def claim(
        self, sink: str, limit: int, *, lease_s: float = 10.0, max_attempts: int = 10, share: Share | None = None
    ) -> Claim:
        """Lease up to `limit` due deliveries of a sink to this worker, most urgent first.

        A delivery whose lease ran out is taken over: the attempt of its old claim is recorded as `lost`, and it is dead
        when that was its last.

        Args:
            sink: Which sink.
            limit: The most that are claimed.
            lease_s: How long nobody else may have them.
            max_attempts: For deliveries that do not say themselves.
            share: How tenants share; without it the oldest come first.
        """
        chosen = share or Share()
        if chosen.after_tenant is not None:
            return await self._claim_round(sink, limit, lease_s, chosen)
        async with self._database.connection() as connection:
            (found,) = await connection.fetch(
                self._queries["claim_due"],
                sink=sink,
                limit=limit,
                lease_s=lease_s,
                max_attempts=max_attempts,
                tenant_room=chosen.tenant_room,
                low_at=chosen.low_at,
                worker=self._worker,
                lost_fingerprint=fingerprint(sink, "lost", ""),
            )
            deliveries = await self._read(connection, found["ids"])
        if found["lost"]:
            tell("delivery.lost", sink=sink, count=found["lost"])
        return Claim(deliveries, found["seen"] >= limit, "", found["oldest_at"], found["looked_at"])

    async def _claim_round(self, sink: str, limit: int, lease_s: float, share: Share) -> Claim:
        """Go on with the turns; begin anew where nobody was left after the last tenant."""
        claim = await self._claim_turns(sink, limit, lease_s, share)
        if claim.deliveries or claim.next_tenant or not share.after_tenant:
            return claim
        return await self._claim_turns(sink, limit, lease_s, msgspec.structs.replace(share, after_tenant=""))

    async def _claim_turns(self, sink: str, limit: int, lease_s: float, share: Share) -> Claim:
        async with self._database.connection() as connection:
            (found,) = await connection.fetch(
                self._queries["claim_turns"],
                sink=sink,
                limit=limit,
                lease_s=lease_s,
                share=max(1, min(share.tenant_room, -(-limit // 8))),
                after_tenant=share.after_tenant,
                full_tenants=list(share.full_tenants),
                steps=_TENANT_STEPS,
                worker=self._worker,
            )
            deliveries = await self._read(connection, found["ids"])
        return Claim(deliveries, bool(deliveries), found["next_tenant"])

    async def _read(self, connection: Connection, ids: Sequence[int]) -> tuple[Delivery, ...]:
        if not ids:
            return ()
        rows = await connection.fetch(self._queries["read_claimed"], ids=ids, worker=self._worker)
        unseen = [Hold(_delivery(row), _UNSEEN_WAIT_S, "event") for row in rows if row["is_unseen"]]
        if unseen:
            tell("delivery.held", sink=unseen[0].delivery.sink, reason="event", count=len(unseen))
            await connection.fetch_one(self._queries["put_back"], **_hold_columns(unseen))
        return tuple(_delivery(row) for row in rows if not row["is_unseen"])

    async def settle(self, results: Sequence[Settlement]) -> int:
        """Record results with their attempts, and give how many were stale: claimed by another since, or cancelled."""
        if not results:
            return 0
        row = await self._database.fetch_one(self._queries["settle"], worker=self._worker, **_columns(results))
        stale = len(results) - (row["matched"] if row else 0)
        if stale:
            tell("delivery.stale", count=stale)
        return stale

    async def admit(self, sink: str, limited: Sequence[tuple[Delivery, Limits]], *, hold_s: float) -> frozenset[int]:
        """Give the ids of those claimed deliveries that rate and concurrency limits let run now.

        The others have been put back, their attempt not counted: those over the rate until it permits them, those over
        the concurrency until one of their key is settled (`call_forward`), at the latest after `hold_s` seconds.
        """
        rows = await self._database.fetch(
            self._queries["admit"],
            sink=sink,
            ids=[delivery.id for delivery, _ in limited],
            fences=[delivery.fence for delivery, _ in limited],
            spacing_us=[spacing_us(limits) for _, limits in limited],
            bursts=[burst_size(limits) for _, limits in limited],
            concurrency=[limits.concurrency for _, limits in limited],
            hold_s=hold_s,
        )
        return frozenset(row["id"] for row in rows)

    async def keep_order(self, sink: str, ordered: Sequence[Delivery]) -> frozenset[int]:
        """Give the ids of those claimed deliveries whose key owes an earlier one still: they have been put back."""
        if not ordered:
            return frozenset()
        rows = await self._database.fetch(
            self._queries["keep_order"],
            sink=sink,
            ids=[delivery.id for delivery in ordered],
            fences=[delivery.fence for delivery in ordered],
            least_s=_ORDER_WAIT_S[0],
            most_s=_ORDER_WAIT_S[1],
        )
        return frozenset(row["id"] for row in rows)

    async def call_forward(self, sink: str, places: Mapping[tuple[str, str], int], *, reason: str) -> int:
        """Make held deliveries of (tenant, key) pairs due at once, as many as there are places, and give how many.

        Args:
            sink: Which sink.
            places: How many of each pair.
            reason: `concurrency`, `breaker` or `order`: why they are held.
        """
        if not places:
            return 0
        row = await self._database.fetch_one(
            self._queries["call_forward"],
            sink=sink,
            tenant_ids=[tenant_id for tenant_id, _ in places],
            keys=[key for _, key in places],
            places=list(places.values()),
            reason=reason,
        )
        return int(row["called"]) if row else 0

    async def put_back(self, holds: Sequence[Hold]) -> int:
        """Give leases back without counting an attempt, and give how many were still ours."""
        if not holds:
            return 0
        row = await self._database.fetch_one(self._queries["put_back"], **_hold_columns(holds))
        return int(row["matched"]) if row else 0

    async def release(self, deliveries: Sequence[Delivery]) -> int:
        """Give leases back at once, for a worker that stops: another may claim them now, the attempt is not counted."""
        return await self.put_back([Hold(delivery) for delivery in deliveries])

    async def extend(self, deliveries: Sequence[Delivery], *, lease_s: float) -> frozenset[int]:
        """Prolong leases from now by `lease_s` and give the ids that this worker still holds."""
        rows = await self._database.fetch(
            self._queries["extend"],
            ids=[delivery.id for delivery in deliveries],
            fences=[delivery.fence for delivery in deliveries],
            lease_s=lease_s,
        )
        return frozenset(row["id"] for row in rows)

    async def cancel(self, ids: Sequence[int], *, tenant_id: str | None = None) -> tuple[int, ...]:
        """Cancel what waits or runs, of one tenant where one is given, and give the ids that were cancelled."""
        rows = await self._database.fetch(self._queries["cancel"], ids=list(ids), tenant_id=tenant_id)
        return tuple(row["id"] for row in rows)

    async def next_due_s(self, sink: str) -> float | None:
        """Give the seconds until something is due or a lease runs out, negative when it is; None for nothing."""
        row = await self._database.fetch_one(self._queries["next_due"], sink=sink)
        return None if row is None or row["wait_s"] is None else float(row["wait_s"])


def _columns(results: Sequence[Settlement]) -> dict[str, list[Any]]:
    # Sorted, so that two statements that touch the same rows lock them in the same order.
    ordered = sorted(results, key=lambda result: result.delivery.id)
    words = [_words(result.outcome) for result in ordered]
    return {
        "ids": [result.delivery.id for result in ordered],
        "fences": [result.delivery.fence for result in ordered],
        "statuses": [result.settled.status for result in ordered],
        "waits_s": [result.settled.wait_s for result in ordered],
        "errors": [result.settled.error for result in ordered],
        "fingerprints": [result.settled.fingerprint for result in ordered],
        "results": [_result(result.outcome) for result in ordered],
        "outcomes": [outcome for outcome, _, _, _ in words],
        "reasons": [reason for _, reason, _, _ in words],
        "codes": [code for _, _, code, _ in words],
        "excerpts": [excerpt for _, _, _, excerpt in words],
        "details": [_kept_detail(result.outcome.detail) for result in ordered],
        "latencies_ms": [result.latency_ms for result in ordered],
    }


def _words(outcome: Result) -> tuple[str, str, str, str]:
    match outcome:
        case Delivered(code=code, excerpt=excerpt):
            return "delivered", "", storable(code, WORD_LIMIT_CHARS), storable(excerpt)
        case Retry(reason=reason, code=code, excerpt=excerpt):
            kind = "retry"
        case Rejected(reason=reason, code=code, excerpt=excerpt):
            kind = "rejected"
    return kind, storable(reason, WORD_LIMIT_CHARS), storable(code, WORD_LIMIT_CHARS), storable(excerpt)


def _result(outcome: Result) -> str | None:
    """Give a task's result if the database can keep it: the delivery is delivered either way."""
    if not isinstance(outcome, Delivered) or outcome.result is None:
        return None
    try:
        msgspec.json.decode(outcome.result)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return '"The result was not JSON and was not kept."'
    return (
        outcome.result if len(outcome.result) <= _RESULT_LIMIT_CHARS else '"The result was too large and was not kept."'
    )


def _kept_detail(detail: str | None) -> str | None:
    """Give what the attempt was if the database can keep it."""
    return detail if detail is not None and len(detail) <= _DETAIL_LIMIT_CHARS and "\\u0000" not in detail else None


def _delivery(row: Mapping[str, Any]) -> Delivery:
    payload = row["payload"]
    return Delivery(
        id=row["id"],
        tenant_id=row["tenant_id"],
        sink=row["sink"],
        target=row["target"],
        attempt=row["attempt"],
        fence=row["fence"],
        due_at=row["due_at"],
        event_id=row["event_id"],
        event=None if row["known_event_id"] is None else _event(row),
        payload=None if payload is None else msgspec.Raw(payload),
        rule=row["rule"],
        transform=row["transform"],
        key=row["key"],
        priority=_PRIORITIES[row["priority"]],
        max_attempts=row["max_attempts"],
    )


def _hold_columns(holds: Sequence[Hold]) -> dict[str, list[object]]:
    return {
        "ids": [hold.delivery.id for hold in holds],
        "fences": [hold.delivery.fence for hold in holds],
        "waits_s": [hold.wait_s for hold in holds],
        "held": [hold.held for hold in holds],
    }


def _event(row: Mapping[str, Any]) -> Envelope:
    return Envelope(
        id=row["known_event_id"],
        tenant_id=row["tenant_id"],
        aggregate_type=row["aggregate_type"],
        aggregate_id=row["aggregate_id"],
        event_type=row["event_type"],
        version=row["version"],
        occurred_at=row["occurred_at"],
        payload=msgspec.Raw(row["event_payload"]),
        traceparent=row["traceparent"],
        topic=row["topic"],
        seq=row["seq"],
    )
