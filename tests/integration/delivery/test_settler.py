import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rowcast.core.errors import StoreUnavailableError
from rowcast.core.outcome import Delivered, Retry
from rowcast.core.telemetry import listening
from rowcast.delivery.attempt import Settled
from rowcast.delivery.ledger import Hold, Ledger, Settlement
from rowcast.delivery.settler import Settler

Settle = Callable[..., Settlement]


class CountingLedger(Ledger):
    """Keeps the size of each settlement; is away as often as `away` says."""

    def __init__(self, **parts: Any) -> None:
        super().__init__(**parts)
        self.sizes: list[int] = []
        self.away = 0

    async def settle(self, results: Sequence[Settlement]) -> int:
        if self.away:
            self.away -= 1
            raise StoreUnavailableError("away")
        self.sizes.append(len(results))
        return await super().settle(results)


def _settler(ledger: Ledger, *, limit: int = 1_000, woken: list[str] | None = None) -> Settler:
    wake = woken.append if woken is not None else lambda sink: None
    return Settler(ledger=ledger, noise=lambda: 0.0, limit=limit, limited_sinks=frozenset({"jobs"}), wake=wake)


async def _closed(settler: Settler) -> None:
    settler.close()
    async with asyncio.timeout(20.0):
        await settler.run()


async def test_results_that_wait_together_are_settled_together(bench: Any, settle: Settle) -> None:
    ledger = CountingLedger(database=bench.database, worker="w")
    await bench.owe_many(700)
    settler = _settler(ledger)
    for delivery in [*(await ledger.claim("jobs", 400)).deliveries, *(await ledger.claim("jobs", 400)).deliveries]:
        settler.put(settle(delivery))

    await _closed(settler)

    assert ledger.sizes == [500, 200]
    assert set(await bench.statuses()) == {"delivered"}


async def test_results_outlast_a_store_that_is_away_in_their_order(bench: Any, settle: Settle) -> None:
    ledger = CountingLedger(database=bench.database, worker="w")
    ledger.away = 3
    await bench.owe_many(2)
    settler = _settler(ledger)
    for delivery in (await ledger.claim("jobs", 2)).deliveries:
        settler.put(settle(delivery))
    told: list[str] = []

    with listening(lambda name, facts: told.append(name)):
        await _closed(settler)

    assert told == ["delivery.settle_delayed"] * 3
    assert set(await bench.statuses()) == {"delivered"}


async def test_a_result_that_the_database_refuses_does_not_hold_up_the_others(bench: Any, settle: Settle) -> None:
    await bench.owe_many(3)
    one, two, three = (await bench.ledger.claim("jobs", 3)).deliveries
    settler = _settler(bench.ledger)
    settler.put(settle(one))
    settler.put(Settlement(two, Delivered(), Settled("exploded"), 1.0))  # type: ignore[arg-type]
    settler.put(settle(three))
    told: list[str] = []

    with listening(lambda name, facts: told.append(name)):
        await _closed(settler)

    assert told == ["delivery.settle_refused"]
    assert await bench.statuses() == ["delivered", "running", "delivered"]


async def test_a_full_settler_says_so(bench: Any, settle: Settle) -> None:
    await bench.owe_many(2)
    claim = await bench.ledger.claim("jobs", 2)
    settler = _settler(bench.ledger, limit=2)

    settler.put(settle(claim.deliveries[0]))
    assert not settler.is_full
    settler.put(settle(claim.deliveries[1]))
    assert settler.is_full

    await _closed(settler)
    assert not settler.is_full


async def test_a_settled_delivery_of_a_limited_sink_calls_the_next_held_one(bench: Any, settle: Settle) -> None:
    await bench.owe_many(2, key="k")
    one, two = (await bench.ledger.claim("jobs", 2)).deliveries
    await bench.ledger.put_back([Hold(two, 600.0, "concurrency")])
    woken: list[str] = []
    settler = _settler(bench.ledger, woken=woken)
    settler.put(settle(one))

    await _closed(settler)

    assert woken == ["jobs"]
    assert [delivery.id for delivery in (await bench.ledger.claim("jobs", 2)).deliveries] == [two.id]


async def test_a_breaker_that_closed_calls_everything_held_for_its_key(bench: Any) -> None:
    await bench.owe_many(3, key="k")
    await bench.owe_many(1, key="other")
    claim = await bench.ledger.claim("jobs", 4)
    await bench.ledger.put_back([Hold(delivery, 600.0, "breaker") for delivery in claim.deliveries])
    settler = _settler(bench.ledger)
    settler.call_forward("jobs", ("acme", "k"))

    await _closed(settler)

    assert [delivery.key for delivery in (await bench.ledger.claim("jobs", 4)).deliveries] == ["k"] * 3


class InterruptedLedger(Ledger):
    """Does something while the first call forward is under way."""

    interruption: Callable[[], None] | None = None

    async def call_forward(self, sink: str, places: Mapping[tuple[str, str], int], *, reason: str) -> int:
        interruption, self.interruption = self.interruption, None
        if interruption is not None:
            interruption()
        return await super().call_forward(sink, dict(places), reason=reason)


async def test_a_breaker_that_closes_while_another_ones_deliveries_are_called_is_not_forgotten(bench: Any) -> None:
    ledger = InterruptedLedger(database=bench.database, worker="w")
    await bench.owe_many(1, key="k")
    await bench.owe_many(1, key="other")
    claim = await ledger.claim("jobs", 2)
    await ledger.put_back([Hold(delivery, 600.0, "breaker") for delivery in claim.deliveries])
    settler = _settler(ledger)
    settler.call_forward("jobs", ("acme", "k"))

    def interrupt() -> None:
        settler.call_forward("jobs", ("acme", "other"))

    ledger.interruption = interrupt
    await _closed(settler)

    assert sorted(delivery.key for delivery in (await ledger.claim("jobs", 2)).deliveries) == ["k", "other"]


async def test_calls_forward_outlast_a_store_that_is_away(bench: Any) -> None:
    ledger = InterruptedLedger(database=bench.database, worker="w")
    await bench.owe_many(1, key="k")
    claim = await ledger.claim("jobs", 1)
    await ledger.put_back([Hold(delivery, 600.0, "breaker") for delivery in claim.deliveries])
    settler = _settler(ledger)
    settler.call_forward("jobs", ("acme", "k"))

    def fail() -> None:
        raise StoreUnavailableError("away")

    ledger.interruption = fail
    await _closed(settler)

    assert [delivery.key for delivery in (await ledger.claim("jobs", 1)).deliveries] == ["k"]


async def test_a_retry_that_is_due_soon_wakes_its_sink(bench: Any, settle: Settle) -> None:
    await bench.owe_many(2)
    one, two = (await bench.ledger.claim("jobs", 2)).deliveries
    for delivery, wait_s, expected in ((one, 60.0, []), (two, 0.0, ["jobs"])):
        woken: list[str] = []
        settler = _settler(bench.ledger, woken=woken)
        settler.put(settle(delivery, Retry("x"), Settled("waiting", wait_s)))

        await _closed(settler)

        assert woken == expected
