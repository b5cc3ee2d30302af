"""A sink that keeps what it was given."""

from datetime import UTC, datetime

from rowcast.core.delivery import Delivery, Owed
from rowcast.core.outcome import Delivered, Retry
from rowcast.testing import RecordingSink


async def test_a_recording_sink_keeps_deliveries_and_answers_in_order() -> None:
    sink = RecordingSink("jobs", answers=[Retry("http_503")])
    delivery = Delivery(1, "acme", "jobs", "t", 1, 1, datetime(2026, 1, 1, tzinfo=UTC))

    outcomes = [await sink.deliver(delivery), await sink.deliver(delivery)]

    assert outcomes == [Retry("http_503"), Delivered()]
    assert sink.deliveries == [delivery, delivery]


async def test_a_recording_sink_owes_what_it_is_asked() -> None:
    owed = Owed("jobs", "t")

    assert await RecordingSink("jobs").targets([(None, owed)]) == [[owed]]  # type: ignore[list-item]
