"""A minute of faults on the claim feed, and nothing is lost, invented, turned round, mixed up or left behind."""

import pytest

from tests.reliability.ledger_promises import assert_nothing_is_wrong_on


@pytest.mark.timeout(300)
def test_a_minute_of_kills_freezes_and_database_stops_leaves_the_ledger_of_the_claim_feed_clean() -> None:
    assert_nothing_is_wrong_on("claim")
