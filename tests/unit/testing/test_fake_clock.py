"""Time stands still until a test moves it."""

from datetime import UTC, datetime, timedelta

from rowcast.testing import FakeClock


def test_a_fake_clock_moves_only_when_it_is_told() -> None:
    clock = FakeClock(datetime(2026, 5, 6, tzinfo=UTC))
    before = clock.now()

    assert clock.now() == before
    assert clock.tick(1.5) == before + timedelta(seconds=1.5) == clock.now()
    assert clock.monotonic_s() == 1.5
