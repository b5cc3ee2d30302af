"""Frames between a server and its workers: whole however they are cut, and never believed when they are none."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rowcast.core.errors import RowcastError
from rowcast.realtime.hub import SUBJECT
from rowcast.realtime.messages import Broadcast, TopicKey, pack_broadcast, pack_broadcasts
from rowcast.server.worker_frames import (
    Begin,
    Frame,
    FrameReader,
    Interest,
    Publish,
    Published,
    Ready,
    Report,
    Told,
    Wants,
    encode_frame,
    topics_of,
)

FRAMES: list[Frame] = [
    Begin(1, b"{}", 7400), Ready(), Wants("realtime", True), Interest(TopicKey("acme", True, "room"), False),
    Publish(3, "realtime", [b"", b"x" * 1000]), Published(3, True), Told("delivery.due", [b"1"]), Report(b"{}", b"a 1"),
]  # fmt: skip


@given(st.lists(st.integers(min_value=1, max_value=400), max_size=30))
def test_frames_are_whole_however_they_are_cut(cuts: list[int]) -> None:
    written = b"".join(map(encode_frame, FRAMES))
    reader, found = FrameReader(), []

    for size in cuts:
        found += reader.take(written[:size])
        written = written[size:]
    found += reader.take(written)

    assert found == FRAMES


@pytest.mark.parametrize("data", [b"\xff\xff\xff\xff", b"\0\0\0\1\x00", b"\0\0\0\2\x91\x63", b"\0\0\0\0"])
def test_what_is_no_frame_is_an_error(data: bytes) -> None:
    with pytest.raises(RowcastError):
        list(FrameReader().take(data))


def test_a_broadcast_is_for_its_topic() -> None:
    broadcast = Broadcast("acme", True, "room", "said", b"{}", sender=7)

    assert topics_of(SUBJECT, pack_broadcast(broadcast)) == (broadcast.key,)


def test_a_broadcast_that_names_several_topics_is_for_each() -> None:
    broadcast = Broadcast("acme", True, "room", "said", b"{}")
    (message,) = pack_broadcasts([broadcast, msgspec.structs.replace(broadcast, topic="hall")])

    assert topics_of(SUBJECT, message) == (("acme", True, "room"), ("acme", True, "hall"))


@pytest.mark.parametrize(
    ("subject", "message"), [("delivery.due", b""), (SUBJECT, b""), (SUBJECT, b"\x91\xa1a"), (SUBJECT, b"1")]
)
def test_what_is_for_no_topic_is_for_everybody(subject: str, message: bytes) -> None:
    assert topics_of(subject, message) is None
