"""What signatures share: digests, times that are exactly what they say, and lists of values."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.webhooks.incoming_signing import digest, fits_any, listed_items, misfit, missing, seconds_of, stale
from tests.unit.webhooks.senders import AT_S, NOW

GITHUB = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"


def test_a_digest_is_written_as_hex_or_base64() -> None:
    assert digest(b"It's a Secret to Everybody", b"Hello, World!").decode() == GITHUB
    assert digest(b"k", b"c", algorithm="sha1", encoding="base64") == b"QFV5OijPjFCL5sLsLKtQuAjQd5M="


def test_a_value_fits_when_it_is_one_of_the_wanted_and_nothing_never_fits() -> None:
    assert fits_any([b"x", b"b"], [b"a", b"b"])
    assert not fits_any([b"x"], [b"a", b"b"])
    assert not fits_any([b""], [b""])
    assert not fits_any([], [b"a"])
    assert not fits_any([b"a"], [])


@given(st.binary(max_size=16))
def test_only_whole_seconds_as_they_are_written_are_a_time(text: bytes) -> None:
    seconds = seconds_of(text)

    assert seconds is None or str(seconds).encode() == text


@pytest.mark.parametrize("text", [b"", b"-1", b"1.5", b"01", b" 1", b"1" * 13, "١".encode()])
def test_what_is_no_time_is_stale(text: bytes) -> None:
    refused = stale(text, NOW)

    assert refused is not None
    assert refused.code == "auth.timestamp"


@pytest.mark.parametrize(("away_s", "is_stale"), [(0, False), (300, False), (301, True), (-300, False), (-301, True)])
def test_a_time_may_be_five_minutes_away(away_s: int, is_stale: bool) -> None:
    now = NOW + timedelta(seconds=away_s)

    assert (stale(str(AT_S).encode(), now) is not None) == is_stale
    assert (stale(str(AT_S).encode(), now, is_future_bounded=False) is not None) == (is_stale and away_s > 0)


def test_a_list_of_values_keeps_all_of_one_name_and_ends_somewhere() -> None:
    assert listed_items(b"t=1, v1=a=,v1=b,v0=c,junk") == {
        b"t": [b"1"],
        b"v1": [b"a=", b"b"],
        b"v0": [b"c"],
        b"junk": [b""],
    }
    assert len(listed_items(b"v1=a," * 1000)[b"v1"]) == 32


def test_refusals_say_what_to_look_at() -> None:
    assert missing("X-One", "X-Two").sentence == "The request is not signed: X-One and X-Two must be sent."
    assert misfit().code == "auth.signature"
