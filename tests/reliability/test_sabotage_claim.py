"""Three builds of claim feed, router and worker that are wrong, and the ledger says so."""

import pytest

from tests.reliability.ledger_faults import Schedule
from tests.reliability.ledger_run import Run
from tests.reliability.ledger_sabotage import Change, assert_noticed

NO_FAULTS = Schedule(seconds=8.0, kills=0, database_stops=0, freezes=0)

DROP_ONE_IN_A_THOUSAND = Change(
    "outbox/publisher.py",
    "for state in planned for thing in state.owed]",
    "for state in planned for thing in state.owed if state.event.seq % 1000 != 999]",
)
WATERMARK_BY_NUMBER = (
    Change("outbox/horizon.py", "self.arrivals_from = arrived_above + 1", "self.arrivals_from = self.last_seq + 1"),
    Change(
        "outbox/horizon.py",
        "return min(min(self._above.values(), default=self.last_seq), self.last_seq)",
        "return self.last_seq",
    ),
)
NO_FENCE_FOR_WORKERS = Change(
    "delivery/queries.sql",
    """    where d.id = given.id and d.fence = given.fence and d.status = 'running'
    returning d.id, d.fence, """,
    """    where d.id = given.id and d.status = 'running'
    returning d.id, d.fence, """,
)


@pytest.mark.timeout(360)
def test_one_event_in_a_thousand_that_is_dropped_is_seen_to_be_lost() -> None:
    run = Run("claim", NO_FAULTS, least_events=3300, pause_s=0.005, relays=1, workers=2)

    assert_noticed("LOST", run, DROP_ONE_IN_A_THOUSAND)


@pytest.mark.timeout(360)
def test_a_watermark_by_number_is_seen_to_lose_what_was_committed_late() -> None:
    assert_noticed("LOST", Run("claim", NO_FAULTS, relays=1, workers=1), *WATERMARK_BY_NUMBER)


@pytest.mark.timeout(360)
def test_a_worker_without_a_fence_is_seen_to_settle_what_another_one_is_doing() -> None:
    schedule = Schedule(
        seconds=14.0, kills=0, database_stops=0, freezes=5, freeze_s=(2.2, 3.0), freeze_roles=("delivery",)
    )
    run = Run("claim", schedule, pause_s=0.6, receiver_wait_s=1.2, relays=1, workers=2)

    assert_noticed("UNFENCED", run, NO_FENCE_FOR_WORKERS)
