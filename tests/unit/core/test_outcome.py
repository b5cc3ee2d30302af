import pytest

from rowcast.core.codec import decode_json, encode_json
from rowcast.core.outcome import Delivered, Outcome, Postponed, Rejected, Retry


@pytest.mark.parametrize(
    "outcome",
    [Delivered(code="200", result='{"a":1}'), Retry("http_503", after_s=2.0), Rejected("gone"), Postponed(2.0)],
)
def test_an_outcome_says_in_json_which_one_it_is(outcome: Outcome) -> None:
    assert decode_json(encode_json(outcome), Outcome) == outcome  # type: ignore[arg-type]
