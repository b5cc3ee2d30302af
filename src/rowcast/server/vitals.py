"""How the components of this process are, from what they tell: the relay, the deliveries, the bus between nodes."""

import asyncio
from collections.abc import Callable, Mapping

from rowcast.core.clock import Clock
from rowcast.core.telemetry import Value
from rowcast.observe.health import ComponentStatus, Health

RELAY, DELIVERY, BUS = "relay", "delivery", "bus"

_LOOK_S = 1.0
# A lane that cannot claim says so at least every five seconds; after this long without a word it claims again.
_CLAIM_SILENCE_S = 10.0

Judgement = tuple[str, ComponentStatus, str]
_CONNECTED: Judgement = (BUS, "ok", "")
_APART: Judgement = (BUS, "degraded", "the other nodes cannot be told now")


def judge_fact(name: str, facts: Mapping[str, Value]) -> Judgement | None:
    """Give what one told fact says of a component, or None where it says nothing."""
    match name:
        case "relay.interrupted":
            # Not down: sockets and HTTP work, and another node may relay. The database's own component tells of it.
            return RELAY, "degraded", f"interrupted: {facts.get('error')}"
        case "feed.opened":
            return RELAY, "ok", ""
        case "feed.waiting":
            return RELAY, "ok", "stands by: another node reads the events"
        case "delivery.claim_failed":
            return DELIVERY, "degraded", f"{facts.get('sink')} cannot claim: {facts.get('reason')}"
        case "delivery.settle_delayed":
            return DELIVERY, "degraded", f"results wait for the database: {facts.get('reason')}"
    return None


class Vitals:
    """Hears what is told and reports it to health: `listening(vitals.hear)` and the duty `run`."""

    def __init__(self, *, health: Health, clock: Clock, is_bus_connected: Callable[[], bool] | None = None) -> None:
        """Take whom to tell, and the bus to look at where other nodes are to be reached."""
        self._health = health
        self._clock = clock
        self._is_bus_connected = is_bus_connected
        self._claim_failed_s: float | None = None

    def expect(self, *, has_relay: bool, has_runner: bool) -> None:
        """Say which components this process has; a relay is degraded until its feed is open."""
        if has_relay:
            self._health.report(RELAY, "degraded", "starting")
        if has_runner:
            self._health.report(DELIVERY, "ok")
        self.look()

    def hear(self, name: str, facts: Mapping[str, Value]) -> None:
        """Listen to `core/telemetry`."""
        judged = judge_fact(name, facts)
        if judged is None:
            return
        if judged[0] == DELIVERY:
            self._claim_failed_s = self._clock.monotonic_s()
        self._health.report(*judged)

    async def run(self) -> None:
        """Look at what tells nothing by itself, until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_S)

    def look(self) -> None:
        """Report the bus as it is, and deliveries as healed when nothing bad was heard of them for a while."""
        if self._is_bus_connected is not None:
            self._health.report(*(_CONNECTED if self._is_bus_connected() else _APART))
        if self._claim_failed_s is not None and self._clock.monotonic_s() - self._claim_failed_s > _CLAIM_SILENCE_S:
            self._claim_failed_s = None
            self._health.report(DELIVERY, "ok")
