"""Channels that hear one by one: the past first, nothing twice, nothing lost while the client does not read."""

import json

import msgspec

from rowcast.realtime.authorize import Claims
from rowcast.realtime.ear import ChangeFrames, ChannelChanges, Ear, broadcast_id
from rowcast.realtime.effects import Follow
from rowcast.realtime.fan_out import shared_frame
from rowcast.realtime.messages import Broadcast, TopicKey
from rowcast.realtime.protocol import Version

KEY = TopicKey("acme", True, "r")
FOLLOW = Follow(1, "realtime:r", "1", (), Claims("anon", 0))


class Writer:
    version: Version = 2

    def __init__(self) -> None:
        self.number = 7
        self.is_stalled = False
        self.written: list[bytes] = []
        self.sent: list[str] = []
        self.cuts: list[str] = []

    def write_shared(self, data: bytes) -> None:
        self.written.append(data)

    def note_sent(self, ear: Ear, broadcast_id: str) -> None:
        self.sent.append(broadcast_id)

    def cut(self, reason: str) -> None:
        self.cuts.append(reason)


def told(name: str, *, sender: int = 0, form: str = "user") -> Broadcast:
    meta = json.dumps({"id": name}).encode() if name else b""
    return Broadcast("acme", True, "r", "e", b"{}", meta, "binary" if form == "binary" else "user", sender)


def hear(ear: Ear, *broadcasts: Broadcast) -> None:
    ear.hear(broadcasts, [shared_frame(found, ear.version) for found in broadcasts])


def names(writer: Writer) -> list[str]:
    return [data.partition(b'"id":')[2].split(b'"')[1].decode() for data in writer.written]


def test_the_past_goes_first_then_what_was_held_and_nothing_comes_twice() -> None:
    writer = Writer()
    ear = Ear(writer, KEY, "s")
    hear(ear, told("3"), told("4"))
    assert writer.written == []
    ear.release([told("1"), told("2"), told("3")], "9")
    hear(ear, told("2"), told("5"))

    assert names(writer) == ["1", "2", "3", "4", "5"]
    assert writer.sent == ["1", "2", "3", "4", "5"]


def test_the_past_is_text_with_the_join_ref_for_version_2() -> None:
    writer = Writer()
    Ear(writer, KEY, None).release([told("1")], "9")

    assert json.loads(writer.written[0][2:]) == [
        "9",
        None,
        "realtime:r",
        "broadcast",
        {"event": "e", "payload": {}, "type": "broadcast", "meta": {"id": "1"}},
    ]


def test_who_does_not_recover_is_not_noted() -> None:
    writer = Writer()
    ear = Ear(writer, KEY, None)
    ear.release([told("1")], "9")
    hear(ear, told("2"))

    assert writer.sent == []


def test_a_senders_own_broadcast_is_left_out_and_others_are_not() -> None:
    writer = Writer()
    ear = Ear(writer, KEY, None)
    ear.release([], None)
    hear(ear, told("1", sender=7), told("2", sender=8))

    assert names(writer) == ["2"]


def test_a_client_that_does_not_read_loses_nothing_and_gets_it_in_order() -> None:
    writer = Writer()
    ear = Ear(writer, KEY, "s")
    writer.is_stalled = True
    ear.release([told(str(number)) for number in range(5)], "9")
    hear(ear, told("5"))
    assert (writer.written, ear.has_kept) == ([], True)
    writer.is_stalled = False
    ear.pump()
    hear(ear, told("6"))

    assert names(writer) == [str(number) for number in range(7)]


def test_what_is_live_waits_too_while_the_client_does_not_read() -> None:
    writer = Writer()
    ear = Ear(writer, KEY, "s")
    ear.release([], None)
    writer.is_stalled = True
    hear(ear, told("1"))
    assert (writer.written, writer.sent) == ([], [])
    writer.is_stalled = False
    ear.pump()

    assert writer.sent == ["1"]


def test_a_client_that_never_reads_again_is_cut() -> None:
    writer = Writer()
    ear = Ear(writer, KEY, "s")
    hear(ear, *(told(str(number)) for number in range(10_001)))

    assert writer.cuts == ["slow"]


def test_what_a_version_cannot_show_is_passed_over() -> None:
    writer = Writer()
    writer.version = 1
    ear = Ear(writer, KEY, "s")
    hear(ear, told("1", form="binary"), told("2"))
    ear.release([told("0", form="binary")], "9")

    assert names(writer) == ["2"]


def test_what_a_version_cannot_show_counts_as_sent_for_a_session() -> None:
    """Otherwise it would be told again at every join, and hold up the cursor of the session for good."""
    writer = Writer()
    writer.version = 1
    ear = Ear(writer, KEY, "s")
    ear.release([told("1", form="binary"), told("2")], "9")
    hear(ear, told("3", form="binary"))

    assert writer.sent == ["1", "2", "3"]
    assert len(writer.written) == 1


def test_a_channel_is_ended_for_a_gap_only_when_nothing_waits_in_it() -> None:
    writer = Writer()
    ear = Ear(writer, KEY, "s")
    ear.end("gap")
    ear.release([], "9")
    writer.is_stalled = True
    hear(ear, told("1"))
    assert writer.cuts == []
    writer.is_stalled = False
    ear.pump()
    ear.end("gap")

    assert writer.cuts == ["gap"]


def test_the_id_of_a_broadcast_is_in_its_meta() -> None:
    assert broadcast_id(told("x")) == "x"
    assert broadcast_id(told("")) == ""
    assert broadcast_id(Broadcast("acme", True, "r", "e", b"{}", b"junk")) == ""


def test_channels_of_one_topic_and_ids_share_one_frame_of_a_change() -> None:
    frames, data = ChangeFrames(), b'{"a":1}'
    first = frames.frame("realtime:r", (1, 2), data, 2)

    assert frames.frame("realtime:r", (1, 2), data, 2) is first
    assert frames.frame("realtime:r", (2,), data, 2) != first
    assert frames.frame("realtime:r", (1, 2), b'{"a":2}', 2) != first
    assert json.loads(first[2:]) == [
        None,
        None,
        "realtime:r",
        "postgres_changes",
        {"ids": [1, 2], "data": {"a": 1}},
    ]


def test_changes_wait_for_the_reply_to_the_join() -> None:
    writer = Writer()
    changes = ChannelChanges(writer, ChangeFrames(), FOLLOW)
    changes.hear_changes_system("ok", "Subscribed to PostgreSQL")
    changes.hear_change((1,), b'{"a":1}')
    assert writer.written == []
    changes.release()
    changes.hear_change((1,), b'{"a":2}')

    assert [part in b"".join(writer.written) for part in (b"Subscribed", b'{"a":1}', b'{"a":2}')] == [True] * 3
    changes.is_over = True
    changes.hear_change((1,), b'{"a":3}')
    assert len(writer.written) == 2


def test_an_older_client_gets_each_change_as_an_event_of_its_own() -> None:
    writer = Writer()
    changes = ChannelChanges(writer, ChangeFrames(), msgspec.structs.replace(FOLLOW, is_legacy=True))
    changes.release()
    changes.hear_change((5,), b'{"type":"UPDATE","record":{}}')
    changes.hear_change((5,), b'{"type":"DELETE","old_record":{}}')

    assert [json.loads(data[2:]) for data in writer.written] == [
        [None, None, "realtime:r", "UPDATE", {"type": "UPDATE", "record": {}}],
        [None, None, "realtime:r", "DELETE", {"type": "DELETE", "old_record": {}}],
    ]


def test_what_is_said_against_changes_is_remembered() -> None:
    changes = ChannelChanges(Writer(), ChangeFrames(), FOLLOW)
    changes.hear_changes_system("ok", "Subscribed to PostgreSQL")
    assert changes.fault is None
    changes.hear_changes_system("error", "no such table")

    assert changes.fault == "no such table"
