import pytest

from rowcast.outbox.options import RelayOptions


@pytest.mark.parametrize(
    ("events", "gathered_s"), [(0, 0.0), (1, 0.0), (5, 0.0), (6, 0.006), (20, 0.02), (249, 0.02), (250, 0.0)]
)
def test_the_next_batch_is_waited_for_when_the_application_is_busy_and_nothing_is_behind(
    events: int, gathered_s: float
) -> None:
    assert RelayOptions(backlog_events=250).gather_s(events) == pytest.approx(gathered_s)
