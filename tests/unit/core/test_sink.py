from rowcast.core.sink import LiveSink, Sink
from rowcast.testing.recording_sink import RecordingLiveSink, RecordingSink


def test_the_sinks_for_tests_have_all_that_the_contracts_ask_for() -> None:
    asked = {name for contract in (Sink, LiveSink) for name in vars(contract) if not name.startswith("_")}

    assert asked == {"name", "retry_policy", "targets", "deliver", "tell"}
    assert all(hasattr(RecordingSink(), name) or hasattr(RecordingLiveSink(), name) for name in asked)
