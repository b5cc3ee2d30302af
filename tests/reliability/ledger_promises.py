"""What a ledger run must show: that the faults really happened, that enough went through them, and that nothing is wrong."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from tests.reliability.ledger_faults import Schedule
from tests.reliability.ledger_producer import WAYS
from tests.reliability.ledger_run import Run, ledger_run

LEAST_OF_EACH_WAY = 300
LEAST_TOLD_SHARE = 0.9


def assert_nothing_is_wrong_on(feed: str) -> None:
    """Do the long run of one feed."""
    report = asyncio.run(ledger_run(Run(feed, Schedule(seconds=60.0, kills=48, database_stops=3, freezes=4))))
    print(json.dumps(report, indent=2))
    _assert_that_it_was_a_test(report)
    assert report["counts"] == {}, json.dumps(report, indent=2)


def _assert_that_it_was_a_test(report: Mapping[str, Any]) -> None:
    """A run in which nothing happened proves nothing."""
    assert report["kills"] >= 40
    assert report["database_stops"] >= 3
    assert report["freezes"] >= 3
    assert min(report["committed"][way] for way in WAYS) >= LEAST_OF_EACH_WAY
    assert report["aborted"] > 0
    assert report["logged"]["feed.opened"] >= 10, "events changed hands too seldom"
    committed = sum(report["committed"].values())
    assert report["arrived"]["webhooks"] + report["dead"] >= committed
    # Sockets are told once: what they missed while the bus had no database is not told again.
    assert report["arrived"]["realtime"] >= LEAST_TOLD_SHARE * committed
    assert sum(report["duplicates"].values()) > 0, "crashes without a single duplicate hit nothing that was in flight"
