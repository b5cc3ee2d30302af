"""What has arrived, told by PONGs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.realtime.arrivals import Arrivals


def test_a_pong_tells_the_newest_of_each_channel_up_to_its_ping() -> None:
    arrivals: Arrivals[str] = Arrivals()
    for name in ("1", "2"):
        arrivals.note("room", name)
    arrivals.note("hall", "7")
    ping = arrivals.ping()
    arrivals.note("room", "3")

    assert ping is not None
    assert arrivals.pong(ping) == {"room": "2", "hall": "7"}
    assert arrivals.pong(ping) == {}


def test_one_pong_answers_all_pings_before_it() -> None:
    arrivals: Arrivals[str] = Arrivals()
    pings = []
    for name in ("1", "2", "3"):
        arrivals.note("room", name)
        pings.append(arrivals.ping())

    assert pings[1] is not None
    assert arrivals.pong(pings[1]) == {"room": "2"}
    assert pings[2] is not None
    assert arrivals.pong(pings[2]) == {"room": "3"}


def test_every_fifth_message_is_time_for_a_ping_and_nothing_new_is_not() -> None:
    arrivals: Arrivals[str] = Arrivals()

    assert [arrivals.note("room", str(number)) for number in range(5)] == [False, False, False, False, True]
    assert arrivals.ping() is not None
    assert arrivals.ping() is None


def test_a_client_that_answers_no_ping_is_sent_no_more_than_64() -> None:
    arrivals: Arrivals[str] = Arrivals()
    pings = []
    for number in range(100):
        arrivals.note("room", str(number))
        pings.append(arrivals.ping())
    last = [ping for ping in pings if ping is not None][-1]

    assert pings.count(None) == 36
    assert arrivals.pong(last) == {"room": "63"}
    assert arrivals.ping() is not None


@pytest.mark.parametrize("payload", [b"", b"x", b"rowcast:", b"rowcast:9", b"rowcast:-1", b"rowcast:\xb2", b"1" * 125])
def test_a_pong_that_answers_none_of_ours_tells_nothing(payload: bytes) -> None:
    arrivals: Arrivals[str] = Arrivals()
    arrivals.note("room", "1")
    arrivals.ping()

    assert arrivals.pong(payload) == {}


@given(st.binary(max_size=125))
def test_no_pong_raises(payload: bytes) -> None:
    assert Arrivals[str]().pong(payload) == {}
