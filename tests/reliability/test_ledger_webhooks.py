"""Webhooks with faults: workers are killed, the database stops, receivers misbehave, and the books balance."""

import pytest

from tests.reliability.ledger_faults import Schedule
from tests.reliability.webhook_promises import assert_kept
from tests.reliability.webhook_run import Plan, webhook_run

_KILLS = ("delivery",)


@pytest.mark.timeout(180)
async def test_kills_and_a_database_stop_among_rude_receivers_lose_nothing_and_every_attempt_is_recorded() -> None:
    plan = Plan(Schedule(seconds=5.0, kills=3, database_stops=1, freezes=0, kill_roles=_KILLS))

    outcome = await webhook_run(plan)

    assert (outcome.faults["kills"], outcome.faults["database_stops"]) == (3, 1)
    assert_kept(outcome, plan)


@pytest.mark.nightly
@pytest.mark.timeout(900)
async def test_minutes_of_kills_freezes_and_database_stops_among_rude_receivers_lose_nothing() -> None:
    schedule = Schedule(
        seconds=150.0, kills=90, database_stops=6, freezes=8, kill_roles=_KILLS, freeze_roles=("delivery",)
    )
    plan = Plan(schedule, seconds=140.0, messages=150, fine_messages=6_000, limited_messages=1_200, queued=10_000)

    outcome = await webhook_run(plan)

    assert outcome.faults["kills"] >= 80
    assert outcome.faults["database_stops"] == 6
    assert_kept(outcome, plan)
