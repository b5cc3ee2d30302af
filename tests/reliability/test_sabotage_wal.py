"""Two builds of the WAL feed that are wrong, and the ledger says so."""

import pytest

from tests.reliability.ledger_faults import Schedule
from tests.reliability.ledger_run import Run
from tests.reliability.ledger_sabotage import Change, assert_noticed

ACKNOWLEDGE_BEFORE_COMMIT = Change(
    "capture/wal_session.py",
    """        query = self._queries["settle_events_and_cursor"]
""",
    """        query = self._queries["settle_events_and_cursor"]
        if lsn is not None:
            self._stream.settle(lsn)
            self.give_sign()
            await asyncio.sleep(0.3)
""",
)
NO_FENCE_FOR_THE_LEADER = Change(
    "capture/queries.sql",
    "where shard = -1 and fence = :fence\n    returning pg_current_wal_insert_lsn()",
    "where shard = -1 and :fence::bigint is not null\n    returning pg_current_wal_insert_lsn()",
)


@pytest.mark.timeout(360)
def test_a_relay_that_acknowledges_before_it_commits_is_seen_to_lose_events() -> None:
    schedule = Schedule(seconds=14.0, kills=7, database_stops=1, freezes=0, kill_roles=("leader",))

    assert_noticed("LOST", Run("wal", schedule, workers=1), ACKNOWLEDGE_BEFORE_COMMIT)


@pytest.mark.timeout(360)
def test_a_leader_without_a_fence_is_seen_to_settle_what_is_not_its_own_any_more() -> None:
    schedule = Schedule(
        seconds=14.0, kills=0, database_stops=0, freezes=6, freeze_s=(3.5, 4.5), freeze_roles=("leader",)
    )

    assert_noticed("UNFENCED", Run("wal", schedule, tell_wait_s=0.05, workers=1), NO_FENCE_FOR_THE_LEADER)
