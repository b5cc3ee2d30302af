"""A channel's memory: answers that are kept, and messages that wait for one."""

import msgspec

from rowcast.realtime.authorize import Claims
from rowcast.realtime.channel import Channel, broadcast_of
from rowcast.realtime.join import JoinRequest
from rowcast.realtime.messages import Frame, TopicKey, UserPush


def channel(*, is_private: bool = True, **request: bool) -> Channel:
    key = TopicKey("acme", is_private, "r")
    return Channel(1, "realtime:r", "1", "1", key, Claims("authenticated", 0), None, JoinRequest(**request))


def said(payload: bytes, ref: str = "2") -> Frame:
    return Frame("1", ref, "realtime:r", "broadcast", msgspec.Raw(payload))


def test_a_public_channel_may_say_everything_and_a_private_one_is_asked_about() -> None:
    private = channel()

    assert channel(is_private=False).may_write("broadcast") is True
    assert private.may_write("broadcast") is None
    private.remember_write("broadcast", is_allowed=False)
    private.remember_write("presence", is_allowed=True)
    assert (private.may_write("broadcast"), private.may_write("presence")) == (False, True)


def test_a_fresh_token_forgets_what_was_allowed() -> None:
    renewed = channel()
    renewed.remember_write("broadcast", is_allowed=True)
    renewed.renew(Claims("authenticated", 9), "t")

    assert renewed.may_write("broadcast") is None
    assert renewed.claims.expires_at_s == 9


def test_messages_wait_in_order_and_the_one_that_raised_the_question_goes_first() -> None:
    waiting = channel()
    waiting.asking = 1
    assert waiting.put_last(said(b"{}", "b"))
    assert waiting.put_last(said(b"{}", "c"))
    waiting.put_first(said(b"{}", "a"))

    assert waiting.take_first() is None
    waiting.asking = None
    assert [found.ref for found in iter(waiting.take_first, None)] == ["a", "b", "c"]
    assert waiting.waiting_bytes == 0


def test_what_waits_is_bounded_in_number_and_in_bytes() -> None:
    full, heavy = channel(), channel()

    assert [full.put_last(said(b"{}")) for _ in range(65)].count(True) == 64
    assert heavy.put_last(said(b"x" * 1_000_000))
    assert not heavy.put_last(said(b"x" * 100_000))


def test_a_broadcast_keeps_its_form_and_its_sender_unless_the_sender_wants_it_back() -> None:
    push = UserPush("1", "2", "realtime:r", "e", b"\x00", False)

    text, binary = broadcast_of(channel(), said(b'{"a":1}'), number=7), broadcast_of(channel(), push, number=7)
    own = broadcast_of(channel(wants_own=True), said(b"{}"), number=7)

    assert text is not None
    assert (text.form, text.payload, text.sender) == ("verbatim", b'{"a":1}', 7)
    assert binary is not None
    assert (binary.form, binary.event, binary.payload) == ("binary", "e", b"\x00")
    assert own is not None
    assert own.sender == 0
    assert broadcast_of(channel(), said(b"[1]"), number=7) is None
