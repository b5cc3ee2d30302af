"""One delivery worker as a process of its own, for tests that freeze or kill it.

Arguments: DSN, the lease in seconds, and `slow` (an attempt takes two leases) or `crash` (dies between attempt and
result).
Prints a line for each thing that happens.
"""

import asyncio
import os
import sys
from collections.abc import Sequence

from rowcast.core.clock import SystemClock
from rowcast.core.delivery import Delivery, Owed
from rowcast.core.envelope import Envelope
from rowcast.core.outcome import Delivered, Outcome
from rowcast.core.retry import RetryPolicy
from rowcast.core.telemetry import Value, listen
from rowcast.delivery.lane import SinkOptions
from rowcast.delivery.ledger import Ledger
from rowcast.delivery.runner import Runner
from rowcast.store.pool import open_database


def report(*words: object) -> None:
    print(*words, flush=True)


class SlowSink:
    name = "jobs"
    retry_policy = RetryPolicy()

    def __init__(self, takes_s: float) -> None:
        self._takes_s = takes_s

    async def targets(self, owed: Sequence[tuple[Envelope, Owed]]) -> Sequence[Sequence[Owed]]:
        return [[one] for _, one in owed]

    async def deliver(self, delivery: Delivery) -> Outcome:
        report("begun", delivery.id)
        await asyncio.sleep(self._takes_s)
        report("ended", delivery.id)
        return Delivered("late")


def _die(name: str, facts: object) -> None:
    if name == "delivery.settled":
        os._exit(9)


def _tell(name: str, facts: dict[str, Value]) -> None:
    report("told", name)


async def work(dsn: str, lease_s: float, how: str) -> None:
    listen(_die if how == "crash" else _tell)
    sink = SlowSink(2 * lease_s if how == "slow" else 0.0)
    async with open_database(dsn) as database:
        runner = Runner(
            ledger=Ledger(database=database, worker="doomed"),
            sinks={"jobs": sink},
            clock=SystemClock(),
            noise=lambda: 0.5,
            options={"jobs": SinkOptions(lease_s=lease_s)},
        )
        await runner.run()


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1], float(sys.argv[2]), sys.argv[3]))
