"""Fair shares of 64 shards."""

from hypothesis import given
from hypothesis import strategies as st

from rowcast.outbox.shards import SHARD_COUNT, fair_share, surplus


@given(st.integers(1, 200))
def test_the_shares_of_all_relays_cover_all_shards(live: int) -> None:
    assert fair_share(live) * live >= SHARD_COUNT
    assert (fair_share(live) - 1) * live < SHARD_COUNT


@given(st.sets(st.integers(0, 63)), st.integers(1, 80))
def test_what_a_relay_keeps_is_its_share_at_most(owned: set[int], live: int) -> None:
    given_up = surplus(owned, live)

    assert set(given_up) <= owned
    assert len(owned) - len(given_up) == min(len(owned), fair_share(live))


def test_nobody_live_counts_as_one() -> None:
    assert fair_share(0) == SHARD_COUNT
