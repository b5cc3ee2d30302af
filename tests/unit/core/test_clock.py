from datetime import UTC

from rowcast.core.clock import SystemClock


def test_the_system_clock_tells_aware_utc() -> None:
    assert SystemClock().now().tzinfo is UTC


def test_monotonic_time_never_steps_back() -> None:
    clock = SystemClock()

    moments = [clock.monotonic_s() for _ in range(100)]

    assert moments == sorted(moments)
