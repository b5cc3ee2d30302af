"""A stream of one topic: its text, its bounds, and its place."""

from datetime import UTC, datetime

import pytest

from rowcast.core.codec import decode_json
from rowcast.realtime.channel_log import Missed
from rowcast.realtime.messages import Broadcast, TopicKey
from rowcast.realtime.recover_cursor import Position
from rowcast.realtime.sse import Place, Stream, StreamLimits, event_text, place_text, read_place, system_text

KEY = TopicKey("acme", True, "orders:acme")
NOW = datetime(2026, 1, 1, tzinfo=UTC)
QUICK = StreamLimits(queued=3, queued_bytes=2000, look_s=0.01)


def broadcast(name: str, *, payload: bytes = b"{}", form: str = "user") -> Broadcast:
    meta = b'{"id":"%b"}' % name.encode() if name else b""
    return Broadcast("acme", True, "orders:acme", "made", payload, meta, form)  # type: ignore[arg-type]


def hear(stream: Stream, *names: str) -> None:
    told = [broadcast(name) for name in names]
    stream.hear(told, [b""] * len(told))


async def ids(stream: Stream) -> list[str]:
    return (await stream.next())[0]


async def test_what_is_heard_is_given_in_order_as_text_frames() -> None:
    stream = Stream(KEY, QUICK)
    stream.release(None)
    stream.hear([broadcast("a", payload=b'{"x":1}'), broadcast("")], [b"", b""])
    names, text = await stream.next()
    first = decode_json(text.split(b"\n\n")[0].removeprefix(b"data: "))

    assert names == ["a"]
    assert text.count(b"data: ") == 2
    assert first["topic"] == "realtime:orders:acme"
    assert first["payload"] == {"type": "broadcast", "event": "made", "payload": {"x": 1}, "meta": {"id": "a"}}


async def test_what_was_missed_goes_first_and_nothing_is_given_twice() -> None:
    stream = Stream(KEY, QUICK)
    hear(stream, "b", "c")
    stream.release(Missed((broadcast("a"), broadcast("b")), is_whole=True))
    hear(stream, "a")

    assert await ids(stream) == ["a", "b", "c"]


async def test_nothing_heard_is_nothing_given() -> None:
    stream = Stream(KEY, QUICK)
    stream.release(None)

    assert await stream.next() == ([], b"")


async def test_a_long_past_is_given_although_it_is_more_than_may_wait() -> None:
    stream = Stream(KEY, QUICK)
    stream.release(Missed(tuple(broadcast(str(number)) for number in range(100)), is_whole=True))

    assert len(await ids(stream)) + len(await ids(stream)) == 100
    assert not stream.is_over


@pytest.mark.parametrize("told", [[b"{}"] * 4, [b'"' + b"x" * 2000 + b'"']])
async def test_a_client_that_does_not_read_is_ended(told: list[bytes]) -> None:
    stream = Stream(KEY, QUICK)
    stream.release(None)
    stream.hear([broadcast("", payload=payload) for payload in told], [b""] * len(told))

    assert stream.is_over
    assert await stream.next() == ([], b"")


async def test_bytes_are_passed_over() -> None:
    stream = Stream(KEY, QUICK)
    stream.release(None)
    stream.hear([broadcast("a", payload=b"\xff", form="binary")], [b""])

    assert await stream.next() == ([], b"")


def test_line_ends_in_a_clients_json_cannot_end_the_event() -> None:
    assert event_text(b'{"a":\r\n1}\n') == b'data: {"a":  1} \n\n'


def test_a_place_is_read_back() -> None:
    place = Place(Position(17, 4), int(NOW.timestamp()))

    assert read_place(str(place), now=NOW) == place
    assert place_text("1.2.3.seal") == b": heartbeat\nid: 1.2.3.seal\n\n"


@pytest.mark.parametrize("text", ["", "1.2", "1.2.3.4", "a.2.3", "-1.2.3", "1.2.\u0663", "1" * 19 + ".2.3"])
def test_what_is_no_place_is_none(text: str) -> None:
    assert read_place(text, now=NOW) is None


def test_nobody_comes_back_from_the_future() -> None:
    found = read_place("1.2.99999999999", now=NOW)

    assert found is not None
    assert found.at_s == int(NOW.timestamp())


def test_a_system_message_has_the_form_that_sockets_get() -> None:
    frame = decode_json(system_text("orders:acme", "error", "x").removeprefix(b"data: "))

    assert frame["event"] == "system"
    assert frame["payload"] == {"extension": "system", "status": "error", "message": "x", "channel": "orders:acme"}
