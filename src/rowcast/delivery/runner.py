"""The runner: claims due deliveries, lets their sinks do one attempt each, and settles what came of it."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from rowcast.core.clock import Clock
from rowcast.core.delivery import Delivery
from rowcast.core.errors import StoreError
from rowcast.core.outcome import Delivered, Outcome, Postponed, Rejected, Retry
from rowcast.core.sink import Sink
from rowcast.core.telemetry import tell
from rowcast.delivery.attempt import Result, decide
from rowcast.delivery.lane import OWN_FAULT, Flight, Lane, Preparer, SinkOptions, key_of
from rowcast.delivery.ledger import Hold, Ledger, Settlement
from rowcast.delivery.settler import Settler

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 3.0
_GATHER_S = 0.003
"""A lane with little room waits this long for more, so that a busy one does not claim rows one by one."""
_SHORTEST_REST_S = 0.01
_ASK_EVERY_S = 0.1
"""How often a lane asks when something is due next; in between it claims again after that time."""
_END_S = 2.0
"""How long a stop may take past its grace: to release leases and to settle what is done."""


class RunnerSettings(msgspec.Struct, frozen=True):
    """Bounds of a runner: rows a claim, the longest rest between polls, and results that may wait for the store.

    `hold_s` is how soon what is over its key's concurrency looks again by itself. Normally it is called forward when a
    place becomes free; looking often would make ten thousand that wait for one endpoint a burden for all others.
    """

    batch: int = 500
    poll_s: float = 1.0
    results_limit: int = 5_000
    hold_s: float = 20.0


class Runner:
    """Delivers what is due, for all sinks of this process. `run` lasts until it is cancelled or `stop` ends it."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        sinks: Mapping[str, Sink],
        clock: Clock,
        noise: Callable[[], float],
        options: Mapping[str, SinkOptions] | None = None,
        settings: RunnerSettings | None = None,
    ) -> None:
        """Keep the parts; nothing begins before `run`. `options` has those sinks that want other than the defaults."""
        self._ledger = ledger
        self._clock = clock
        self._noise = noise
        self._settings = settings or RunnerSettings()
        chosen = options or {}
        self._lanes = {name: Lane(sink, chosen.get(name, SinkOptions())) for name, sink in sinks.items()}
        self._settler = Settler(
            ledger=ledger,
            noise=noise,
            limit=self._settings.results_limit,
            limited_sinks=frozenset(name for name, lane in self._lanes.items() if lane.options.limits is not None),
            wake=self.nudge,
        )
        self._stopping = asyncio.Event()
        self._landed = asyncio.Event()
        self._finished = asyncio.Event()
        self._finished.set()
        self._grace_s = 0.0

    @property
    def in_flight(self) -> int:
        """How many attempts run now."""
        return sum(len(lane.flights) for lane in self._lanes.values())

    def nudge(self, sink: str | None = None) -> None:
        """Say that something may be due now, in one sink or in any; never waits."""
        for name, lane in self._lanes.items():
            if sink is None or sink == name:
                lane.wake.set()

    async def run(self) -> None:
        """Claim, deliver and settle, until cancelled (leases then run out by themselves) or until `stop`."""
        self._finished.clear()
        try:
            async with asyncio.TaskGroup() as attempts, asyncio.TaskGroup() as duties:
                ending = [
                    duties.create_task(self._serve(lane, attempts), name=f"delivery:{lane.name}")
                    for lane in self._lanes.values()
                ]
                ending.append(duties.create_task(self._settler.run(), name="delivery:settle"))
                extending = duties.create_task(self._extend_leases(), name="delivery:leases")
                await self._stopping.wait()
                await self._land()
                self._settler.close()
                await asyncio.wait(ending, timeout=_END_S)
                for duty in (*ending, extending):
                    duty.cancel()
        finally:
            self._finished.set()

    async def stop(self, grace_s: float) -> None:
        """Claim nothing more, let what is in flight finish within `grace_s`, give the rest back, and end `run`."""
        self._grace_s = grace_s
        self._stopping.set()
        self.nudge()
        try:
            async with asyncio.timeout(grace_s + 2 * _END_S):
                await self._finished.wait()
        except TimeoutError:
            tell("delivery.stop_overdue", in_flight=self.in_flight)

    async def _serve(self, lane: Lane, attempts: asyncio.TaskGroup) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            lane.wake.clear()
            try:
                await self._rest(lane, await self._claim(lane, attempts))
                pause_s = _FIRST_PAUSE_S
            except Exception as error:  # noqa: BLE001 - task boundary: one lane's trouble must not stop the others
                tell("delivery.claim_failed", sink=lane.name, reason=getattr(error, "code", type(error).__name__))
                await self._sleep(pause_s * (0.5 + self._noise()))
                pause_s = min(_LONGEST_PAUSE_S, pause_s * 2)

    async def _claim(self, lane: Lane, attempts: asyncio.TaskGroup) -> float:
        """Claim what there is room for and begin the attempts; gives how long the lane may rest then, in seconds."""
        # Behind: what could not be recorded yet may be among what is due again, and would be done a second time.
        if self._settler.is_full or self._settler.is_behind:
            return _SHORTEST_REST_S
        if lane.room <= 0:
            lane.is_pressed = True
            return math.inf
        if lane.is_pressed and lane.room < min(self._settings.batch, lane.options.concurrency // 4):
            await asyncio.sleep(_GATHER_S)
        lane.claimed_s = self._clock.monotonic_s()
        share = lane.share(lane.claimed_s)
        claim = await self._ledger.claim(
            lane.name,
            min(self._settings.batch, lane.room),
            lease_s=lane.options.lease_s,
            max_attempts=lane.options.lost_attempts or lane.sink.retry_policy.max_attempts,
            share=share,
        )
        rest_s = lane.claimed(claim, share, lane.claimed_s)
        if claim.deliveries and lane.options.prepare is not None:
            # Before its attempts in the loop's queue, so that they find what it has begun.
            attempts.create_task(_prepare(lane.name, lane.options.prepare, claim.deliveries), name="prepare")
        try:
            await self._depart(lane, await self._permitted(lane, claim.deliveries, lane.claimed_s), attempts)
        except Exception:
            # Untried and uncounted; and no breaker goes on waiting for a probe that was among them.
            for delivery in claim.deliveries:
                lane.give_up_probe(delivery)
                self._settler.give_back(Hold(delivery, _LONGEST_PAUSE_S * self._noise()))
            raise
        return rest_s

    async def _permitted(self, lane: Lane, deliveries: Sequence[Delivery], now_s: float) -> list[Delivery]:
        runs, holds = lane.permitted(deliveries, now_s)
        await self._ledger.put_back(holds)
        if holds:
            tell("delivery.held", sink=lane.name, reason="breaker", count=len(holds))
        early = await self._ledger.keep_order(lane.name, [delivery for delivery in runs if delivery.is_ordered])
        return await self._admitted(lane, self._without(lane, runs, early, "order"))

    async def _admitted(self, lane: Lane, runs: list[Delivery]) -> list[Delivery]:
        if lane.options.limits is None or not runs:
            return runs
        asked = zip(runs, await lane.options.limits(runs), strict=True)
        limited = [(delivery, limits) for delivery, limits in asked if not limits.is_open]
        if not limited:
            return runs
        admitted = await self._ledger.admit(lane.name, limited, hold_s=self._settings.hold_s)
        refused = {delivery.id for delivery, _ in limited} - admitted
        return self._without(lane, runs, refused, "limit")

    def _without(self, lane: Lane, runs: list[Delivery], refused: AbstractSet[int], reason: str) -> list[Delivery]:
        if not refused:
            return runs
        tell("delivery.held", sink=lane.name, reason=reason, count=len(refused))
        for delivery in runs:
            if delivery.id in refused:
                lane.give_up_probe(delivery)
        return [delivery for delivery in runs if delivery.id not in refused]

    async def _depart(self, lane: Lane, deliveries: list[Delivery], attempts: asyncio.TaskGroup) -> None:
        if self._stopping.is_set():
            await self._ledger.release(deliveries)
            return
        now_s = self._clock.monotonic_s()
        # Counted from before the claim was sent: this process never thinks the lease longer than the database does.
        leased_until_s = lane.claimed_s + lane.options.lease_s
        for delivery in deliveries:
            flight = Flight(delivery, now_s, leased_until_s)
            lane.begin(flight)
            flight.task = attempts.create_task(self._attempt(lane, flight), name="attempt")

    async def _attempt(self, lane: Lane, flight: Flight) -> None:
        is_over = False
        try:
            flight.started_s = self._clock.monotonic_s()
            if flight.started_s >= flight.leased_until_s:
                # This process stood still since the claim; the delivery belongs to another by now.
                tell("delivery.lease_lost", sink=lane.name, attempt=flight.delivery.attempt)
                return
            outcome = await self._outcome(lane, flight.delivery)
            if isinstance(outcome, Postponed):
                self._give_back(lane, flight.delivery, outcome)
            else:
                self._settle(lane, flight, outcome)
            is_over = True
        finally:
            if not is_over:
                lane.give_up_probe(flight.delivery)
            self._land_one(lane, flight)

    async def _outcome(self, lane: Lane, delivery: Delivery) -> Outcome:
        if delivery.event_id is not None and delivery.event is None:
            return Rejected("event_archived", excerpt="The event is no longer in the database; restore it and replay.")
        try:
            async with asyncio.timeout(lane.options.timeout_s):
                return _checked(await lane.sink.deliver(delivery))
        except TimeoutError:
            return Retry("timeout", excerpt=f"No result within {lane.options.timeout_s:g} s.")
        except asyncio.CancelledError:
            if _is_cancelled_from_outside():
                raise
            return Retry("crash:CancelledError", excerpt="The sink cancelled itself.")
        except StoreError as error:
            return Retry(OWN_FAULT, excerpt=_sentence(error))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a bad sink must not cancel its neighbours
            return Retry(f"crash:{type(error).__name__}", excerpt=_sentence(error))

    def _give_back(self, lane: Lane, delivery: Delivery, outcome: Postponed) -> None:
        lane.give_up_probe(delivery)
        tell("delivery.held", sink=lane.name, reason=outcome.reason, count=1)
        self._settler.give_back(Hold(delivery, outcome.wait_s, outcome.reason))

    def _settle(self, lane: Lane, flight: Flight, outcome: Result) -> None:
        delivery, now_s = flight.delivery, self._clock.monotonic_s()
        settled = decide(delivery, outcome, lane.sink.retry_policy, noise=self._noise())
        duration_s = now_s - flight.started_s
        self._settler.put(Settlement(delivery, outcome, settled, duration_s * 1000.0))
        if lane.learn(delivery, outcome, now_s=now_s, noise=self._noise()):
            self._settler.call_forward(lane.name, key_of(delivery))
        tell(
            "delivery.settled",
            sink=lane.name,
            status=settled.status,
            reason="" if isinstance(outcome, Delivered) else outcome.reason,
            attempt=delivery.attempt,
            duration_s=duration_s,
            due_in_s=settled.wait_s,
        )

    def _land_one(self, lane: Lane, flight: Flight) -> None:
        lane.end(flight)
        if lane.is_pressed:
            lane.wake.set()
        if self._stopping.is_set() and not self.in_flight:
            self._landed.set()

    async def _rest(self, lane: Lane, rest_s: float) -> None:
        """Wait until a nudge, until a place is free while more is due, or until something is due; at most `poll_s`."""
        if rest_s <= 0.0:
            return
        rest_s = min(rest_s, self._settings.poll_s)
        if not lane.is_pressed and not lane.wake.is_set():
            rest_s = min(rest_s, await self._next_due_s(lane))
        try:
            async with asyncio.timeout(rest_s):
                await lane.wake.wait()
        except TimeoutError:
            pass

    async def _next_due_s(self, lane: Lane) -> float:
        """Give when the lane should look again, in seconds; a busy lane looks soon anyhow, so it is not asked for."""
        now_s = self._clock.monotonic_s()
        if now_s - lane.asked_s < _ASK_EVERY_S:
            return _ASK_EVERY_S
        lane.asked_s = now_s
        due_s = await self._ledger.next_due_s(lane.name)
        if due_s is not None and due_s <= 0.0:
            lane.low_until_s = 0.0
        return math.inf if due_s is None else max(due_s, _SHORTEST_REST_S)

    async def _sleep(self, pause_s: float) -> None:
        """Sleep, but not through a stop."""
        try:
            async with asyncio.timeout(pause_s):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _extend_leases(self) -> None:
        """Keep the leases of attempts that take long, and end those whose lease another worker has."""
        shortest_s = min((lane.options.lease_s for lane in self._lanes.values()), default=1.0)
        while True:
            await asyncio.sleep(shortest_s / 4)
            for lane in self._lanes.values():
                try:
                    await self._extend(lane)
                except Exception as error:  # noqa: BLE001 - task boundary: tried again soon, the lease lasts a while
                    tell("delivery.extend_failed", sink=lane.name, reason=getattr(error, "code", type(error).__name__))

    async def _extend(self, lane: Lane) -> None:
        now_s, lease_s = self._clock.monotonic_s(), lane.options.lease_s
        old = [flight for flight in lane.flights.values() if flight.leased_until_s - now_s < lease_s / 2]
        if not old:
            return
        held = await self._ledger.extend([flight.delivery for flight in old], lease_s=lease_s)
        for flight in old:
            if flight.delivery.id in held:
                flight.leased_until_s = now_s + lease_s
            elif lane.flights.get(flight.delivery.id) is flight and flight.task is not None:
                tell("delivery.lease_lost", sink=lane.name, attempt=flight.delivery.attempt)
                flight.task.cancel()

    async def _land(self) -> None:
        """Wait for what is in flight, for `grace_s`; then cancel it and give its leases back."""
        if not self.in_flight:
            return
        try:
            async with asyncio.timeout(self._grace_s):
                await self._landed.wait()
            return
        except TimeoutError:
            flights = [flight for lane in self._lanes.values() for flight in lane.flights.values()]
        for flight in flights:
            if flight.task is not None:
                flight.task.cancel()
        await self._release([flight.delivery for flight in flights])

    async def _release(self, deliveries: Sequence[Delivery]) -> None:
        try:
            async with asyncio.timeout(_END_S):
                await self._ledger.release(deliveries)
        except (StoreError, TimeoutError):
            tell("delivery.release_failed", count=len(deliveries))


async def _prepare(sink: str, prepare: Preparer, deliveries: Sequence[Delivery]) -> None:
    try:
        await prepare(deliveries)
    except Exception as error:  # noqa: BLE001 - task boundary: each attempt asks for itself then
        tell("delivery.prepare_failed", sink=sink, reason=getattr(error, "code", type(error).__name__))


def _checked(outcome: object) -> Outcome:
    if isinstance(outcome, Delivered | Retry | Rejected | Postponed):
        return outcome
    return Rejected("sink_fault", excerpt=f"The sink gave {type(outcome).__name__}, not an outcome.")


def _is_cancelled_from_outside() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _sentence(error: BaseException) -> str:
    """Give an error's text; even one whose text cannot be made."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an error of somebody else's code
        return type(error).__name__
