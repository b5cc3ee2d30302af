"""The frames that the server says by itself."""

import pytest

from rowcast.core.codec import decode_json
from rowcast.realtime import replies
from rowcast.realtime.messages import Frame

ASKED = Frame("1", "2", "realtime:r", "broadcast")


def test_a_reply_echoes_both_refs_and_holds_an_object() -> None:
    for found in (replies.reply(ASKED, "ok"), replies.refusal(ASKED, "why")):
        assert (found.join_ref, found.ref, found.topic, found.event) == ("1", "2", "realtime:r", "phx_reply")
        assert isinstance(decode_json(bytes(found.payload))["response"], dict)


def test_the_end_of_a_channel_carries_its_join_ref_twice() -> None:
    assert replies.closed("realtime:r", "1") == Frame("1", "1", "realtime:r", "phx_close")


def test_a_system_message_has_all_four_words_and_no_ref() -> None:
    found = replies.system("realtime:r", "1", "text")

    assert (found.join_ref, found.ref) == ("1", None)
    assert decode_json(bytes(found.payload)) == {
        "extension": "system",
        "status": "error",
        "message": "text",
        "channel": "r",
    }


@pytest.mark.parametrize(
    ("topic", "event", "status"),
    [("phoenix", "heartbeat", "ok"), ("realtime:r", "phx_leave", "ok"), ("realtime:r", "heartbeat", "error")],
)
def test_outside_a_channel_only_heartbeats_and_leaves_are_fine(topic: str, event: str, status: str) -> None:
    assert decode_json(bytes(replies.reply_outside(Frame(None, "2", topic, event)).payload))["status"] == status


def test_changes_that_nobody_tells_are_refused_by_their_parameters() -> None:
    found = replies.changes_refused("realtime:r", "1", {"event": "INSERT", "schema": "public", "table": "x"})

    assert b"[event: INSERT, schema: public, table: x, filter: nil]" in bytes(found.payload)
