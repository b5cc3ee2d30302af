"""What workers report to their server and hear back: how each is, and how all are together."""

import msgspec

from rowcast.core.clock import Clock
from rowcast.observe.health import Component, Health, Readiness
from rowcast.observe.metrics import Metrics
from rowcast.server.worker_frames import Report
from rowcast.server.worker_sum import sum_metrics, sum_readiness

REPORT_EVERY_S = 0.5
_SILENCE_S = 10.0
_SUPERVISOR = Component("supervisor", "down", "the server of this worker says nothing")


class SummedMetrics(Metrics):
    """The metrics of all processes of the server; before the first sum, those of this one."""

    def __init__(self) -> None:
        """Start without a sum."""
        super().__init__()
        self._sum = b""

    def take(self, report: Report) -> None:
        """Keep the newest sum."""
        self._sum = report.metrics

    def own_exposition(self) -> bytes:
        """Give the metrics of this process alone."""
        return super().exposition()

    def exposition(self) -> bytes:
        """Give the text for /metrics."""
        return self._sum or self.own_exposition()


def own_report(health: Health, metrics: Metrics) -> Report:
    """Give how this process is."""
    return Report(msgspec.json.encode(health.readiness()), metrics.exposition())


def sum_reports(reports: list[Report]) -> Report:
    """Give how several processes are together."""
    readings = [msgspec.json.decode(report.readiness, type=Readiness) for report in reports]
    return Report(msgspec.json.encode(sum_readiness(readings)), sum_metrics(report.metrics for report in reports))


class SummedHealth(Health):
    """Answers for all processes of the server; what this one says itself is in the sum."""

    __slots__ = ("_at_s", "_sum")

    def __init__(self, *, clock: Clock) -> None:
        """Start without a sum: not ready."""
        super().__init__(clock=clock)
        self._sum: Readiness | None = None
        self._at_s = clock.monotonic_s()

    def take(self, report: Report) -> None:
        """Keep the newest sum."""
        self._sum = msgspec.json.decode(report.readiness, type=Readiness)
        self._at_s = self._clock.monotonic_s()

    def own_readiness(self) -> Readiness:
        """Give how this process alone is."""
        return super().readiness()

    def readiness(self) -> Readiness:
        """Give the answer of /readyz."""
        own = self.own_readiness()
        if own.status == "stopping":
            return own
        is_silent = self._clock.monotonic_s() - self._at_s > _SILENCE_S
        if self._sum is None or is_silent:
            return Readiness(is_ready=False, status="down", components=(*own.components, _SUPERVISOR))
        return self._sum
