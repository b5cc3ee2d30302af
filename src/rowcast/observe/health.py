"""Whether this process is alive and ready: each component says how it is, and silence counts as a fault."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import msgspec

from rowcast.core.clock import Clock

ComponentStatus = Literal["ok", "degraded", "down"]


class Component(msgspec.Struct, frozen=True):
    """How one part of the process is: `degraded` works with a loss, `down` does not work; `reason` says why."""

    name: str
    status: ComponentStatus
    reason: str = ""


class Liveness(msgspec.Struct, frozen=True):
    """The answer of /livez: the process turns."""

    status: Literal["ok"] = "ok"


class Readiness(msgspec.Struct, frozen=True):
    """The answer of /readyz: whether new work should come here, and how each component is."""

    is_ready: bool
    status: Literal["ok", "degraded", "down", "stopping"]
    components: tuple[Component, ...] = ()


@dataclass(slots=True)
class _Report:
    component: Component
    at_s: float
    within_s: float | None


class Health:
    """The components of this process. Each is expected once and reports from then on."""

    __slots__ = ("_clock", "_is_stopping", "_reports")

    def __init__(self, *, clock: Clock) -> None:
        """Start without components: ready."""
        self._clock = clock
        self._reports: dict[str, _Report] = {}
        self._is_stopping = False

    def expect(self, name: str, *, within_s: float | None = None) -> None:
        """Wait for a component: not ready until it reports `ok` or `degraded`.

        Args:
            name: A short word such as `database`.
            within_s: The longest silence, in seconds; a component that is silent for longer counts as down.
        """
        self._reports[name] = _Report(Component(name, "down", "starting"), self._clock.monotonic_s(), within_s)

    def report(self, name: str, status: ComponentStatus, reason: str = "") -> None:
        """Say how a component is now; one that nobody expected is taken in."""
        known = self._reports.get(name)
        within_s = known.within_s if known is not None else None
        self._reports[name] = _Report(Component(name, status, reason), self._clock.monotonic_s(), within_s)

    def forget(self, name: str) -> None:
        """Take a component out, because this process does not need it any more."""
        self._reports.pop(name, None)

    def stop(self) -> None:
        """Say that the process is about to stop: not ready from now on, still alive."""
        self._is_stopping = True

    def liveness(self) -> Liveness:
        """Give the answer of /livez."""
        return Liveness()

    def readiness(self) -> Readiness:
        """Give the answer of /readyz."""
        now_s = self._clock.monotonic_s()
        components = tuple(_heard(report, now_s) for _, report in sorted(self._reports.items()))
        status = "stopping" if self._is_stopping else worst(components)
        return Readiness(is_ready=status in ("ok", "degraded"), status=status, components=components)


def worst(components: Sequence[Component]) -> ComponentStatus:
    """Give the worst status among components; `ok` where there are none."""
    found = {component.status for component in components}
    return "down" if "down" in found else "degraded" if "degraded" in found else "ok"


def _heard(report: _Report, now_s: float) -> Component:
    silent_s = now_s - report.at_s
    if report.within_s is None or silent_s <= report.within_s:
        return report.component
    return Component(report.component.name, "down", f"nothing heard for {silent_s:.0f} s")
