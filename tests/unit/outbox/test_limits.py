import warnings

import pytest

from rowcast.core.errors import InvalidInputError, PayloadTooLargeError
from rowcast.core.telemetry import listening
from rowcast.outbox.limits import LargePayloadWarning, check_batch_size, check_payload_size


def test_up_to_half_the_limit_nothing_is_said() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_payload_size("orders.confirmed", 32_768, stacklevel=1)


@pytest.mark.parametrize("size_bytes", [32_769, 65_536])
def test_above_half_the_limit_there_is_a_warning_and_the_metrics_are_told(size_bytes: int) -> None:
    heard: list[tuple[str, object]] = []

    with (
        listening(lambda name, facts: heard.append((name, dict(facts)))),
        pytest.warns(LargePayloadWarning, match=rf"orders\.confirmed has {size_bytes} bytes") as warned,
    ):
        check_payload_size("orders.confirmed", size_bytes, stacklevel=1)

    assert warned[0].filename == __file__
    assert heard == [("outbox.payload_large", {"size_bytes": size_bytes})]


def test_above_the_limit_a_payload_is_refused() -> None:
    with pytest.raises(PayloadTooLargeError) as refused:
        check_payload_size("orders.confirmed", 65_537, stacklevel=1)

    assert (refused.value.size_bytes, refused.value.limit_bytes) == (65_537, 65_536)


def test_a_batch_may_be_as_large_as_its_limits() -> None:
    check_batch_size(10_000, 67_108_864)


@pytest.mark.parametrize(("events", "size_bytes"), [(10_001, 1), (1, 67_108_865)])
def test_a_larger_batch_is_refused(events: int, size_bytes: int) -> None:
    with pytest.raises(InvalidInputError) as refused:
        check_batch_size(events, size_bytes)

    assert refused.value.code == "outbox.batch_too_large"
